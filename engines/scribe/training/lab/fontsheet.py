"""A contact sheet of the fonts that made windows are drawn in: what they look like, and which glyphs are struck out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from PIL import Image, ImageDraw, ImageFont

from engines.scribe.recogniser.alphabet import CHARACTERS
from engines.scribe.training.fonts import Font

_LINE = "Hamburgefonstiv 0123456789 €&fi"
_PX = 22
_ROW = 46
_NAME = 250
_SAMPLE = 400
_WIDTH = 1500
_STRUCK = (190, 30, 40)

AnyFont: TypeAlias = "ImageFont.FreeTypeFont | ImageFont.ImageFont"


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
    out, as it draws them where it draws them at all, each above the character that it should be."""
    plain = ImageFont.load_default(13)
    # The characters' names are set in the font that has most of them.
    fullest = max(fonts, key=lambda font: len(font.characters), default=None)
    label = plain if fullest is None else ImageFont.truetype(fullest.path, 12)
    image = Image.new("RGB", (_WIDTH, max(1, len(fonts)) * _ROW), "white")
    pen = ImageDraw.Draw(image)
    for number, font in enumerate(fonts):
        top = number * _ROW
        struck = struck_out(font)
        pen.text((4, top + 4), f"{font.look}: {font.family} {font.style}"[:38], (40, 40, 40), plain)
        pen.text((4, top + 22), f"{len(struck)} struck out", (130, 130, 130), plain)
        try:
            face = ImageFont.truetype(font.path, _PX, layout_engine=ImageFont.Layout.BASIC)
            line = "".join(character for character in _LINE if font.draws(character))
            pen.text((_NAME, top + 6), line, (0, 0, 0), face)
            _strike(pen, face, label, struck, (max(_NAME + _SAMPLE, _NAME + pen.textlength(line, face) + 20), top))
        except OSError as error:  # FreeType gives up on it at this size
            pen.text((_NAME, top + 8), str(error), _STRUCK, plain)
        pen.line((0, top + _ROW - 1, _WIDTH, top + _ROW - 1), fill=(225, 225, 225))
    image.save(path, "PNG", optimize=True)


def _strike(pen: ImageDraw.ImageDraw, face: AnyFont, label: AnyFont, struck: str, place: tuple[float, float]) -> None:
    x, top = place
    for character in struck:
        width = max(12.0, pen.textlength(character, face))
        if x + width > _WIDTH:
            return
        pen.text((x, top), character, _STRUCK, face)
        pen.line((x, top + _PX // 2 + 2, x + width, top + _PX // 2 + 2), fill=_STRUCK)
        pen.text((x, top + _ROW - 18), character, (40, 40, 40), label)
        x += width + 6
