"""A contact sheet of the fonts that made windows are drawn in: what they look like, and which glyphs are struck out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from engines.scribe.recogniser.alphabet import CHARACTERS
from engines.scribe.training.fonts import Font

_LINE = "Hamburgefonstiv 0123456789 €&fi"
_PX = 22
_ROW = 34
_NAME = 250
_SAMPLE = 360
_WIDTH = 1500
_STRUCK = (190, 30, 40)


def chosen(fonts: Sequence[Font], look: str, pattern: str) -> list[Font]:
    """The fonts of a look (empty: of any) whose family matches ``pattern``; without a pattern one file a family."""
    kept = [font for font in fonts if look in ("", font.look)]
    if pattern:
        return [font for font in kept if re.search(pattern, f"{font.family} {font.style}", re.IGNORECASE)]
    families: dict[tuple[str, str], Font] = {}
    for font in kept:
        families.setdefault((font.look, font.family), font)
    return list(families.values())


def struck_out(font: Font) -> str:
    """The characters of the alphabet that the font may not draw."""
    return "".join(character for character in CHARACTERS if character not in font.characters)


def draw(fonts: Sequence[Font], path: Path) -> None:
    """Write the sheet: a row a font with its look and name, a line set in it, and in red its glyphs that are struck
    out, as it draws them where it draws them at all."""
    plain = ImageFont.load_default(13)
    image = Image.new("RGB", (_WIDTH, max(1, len(fonts)) * _ROW), "white")
    pen = ImageDraw.Draw(image)
    for number, font in enumerate(fonts):
        top = number * _ROW
        struck = struck_out(font)
        name = f"{font.look}: {font.family} {font.style}"[:38]
        pen.text((4, top + 2), name, (40, 40, 40), plain)
        pen.text((4, top + 17), f"{len(struck)} struck out", (130, 130, 130), plain)
        try:
            face = ImageFont.truetype(font.path, _PX, layout_engine=ImageFont.Layout.BASIC)
            line = "".join(character for character in _LINE if font.draws(character))
            pen.text((_NAME, top + 4), line, (0, 0, 0), face)
            _strike(pen, face, struck, top + 4)
        except OSError as error:  # FreeType gives up on it at this size
            pen.text((_NAME, top + 8), str(error), _STRUCK, plain)
        pen.line((0, top + _ROW - 1, _WIDTH, top + _ROW - 1), fill=(225, 225, 225))
    image.save(path, "PNG", optimize=True)


def _strike(pen: ImageDraw.ImageDraw, face: ImageFont.FreeTypeFont, struck: str, top: int) -> None:
    x = float(_NAME + _SAMPLE)
    for character in struck:
        width = pen.textlength(character, face)
        if x + width > _WIDTH:
            return
        pen.text((x, top), character, _STRUCK, face)
        pen.line((x, top + _PX // 2, x + width, top + _PX // 2), fill=_STRUCK)
        x += width + 5
