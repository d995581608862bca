"""Text on a sheet: which fonts, which words, lines and paragraphs, stamps, and lines that were real once."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from engines.scribe.orientation.training.sheet import Ink, Rng, Sheet, face_of
from engines.scribe.training.corpus import Corpus
from engines.scribe.training.fonts import Font, Fonts

HELD_FAMILIES = 8
"""One font family in so many is kept for the pages that are counted on, and never trained with."""
RARE = 0.25
"""So many of the fonts that are trained with are rare ones, beyond those that come up by their share: pages to come are
set in faces that nobody foresaw."""


class RealLines:
    """Windows of real receipt lines, as `engines.scribe.training.data` keeps them: uint8 (n, 32, 256), ink dark."""

    def __init__(self, files: list[Path]) -> None:
        self._files = [np.load(file, mmap_mode="r") for file in files]

    def draw(self, rng: Rng) -> Ink:
        """One line as ink, float32 (32, w), 0 paper to 1 ink, without the padding at its right."""
        file = self._files[int(rng.integers(len(self._files)))]
        window = np.asarray(file[int(rng.integers(len(file)))])
        ground = float(np.median(window))
        told = np.flatnonzero((window != window[:, -1:]).any(axis=0))
        window = window[:, : int(told[-1]) + 1] if len(told) else window[:, :1]
        depth = max(24.0, ground - float(window.min()))
        return np.asarray(np.clip((ground - window.astype(np.float32)) / depth, 0, 1), np.float32)


class Writer:
    """Writes on sheets. With ``held``, in the fonts that are never trained with; ``lines`` are real ones, if any."""

    def __init__(self, corpus: Corpus, fonts: Fonts, lines: RealLines | None, *, held: bool) -> None:
        self._corpus = corpus
        self._fonts = fonts
        self._held = held
        self.lines = lines

    def font(self, rng: Rng, look: str | None = None) -> Font:
        """A font of the half, trained with or held, that this writer writes in."""
        if look is None and not self._held and rng.random() < RARE:
            look = "rare"
        for _ in range(200):
            font = self._fonts.draw(rng, look)
            if (zlib.crc32(font.family.encode()) % HELD_FAMILIES == 0) == self._held:
                return font
        raise RuntimeError("no font of the half that is wanted: are there enough?")

    def text(self, rng: Rng, kind: str, words: int, font: Font) -> str:
        for _ in range(8):
            text = self._corpus.line(rng, kind, words)
            if font.draws(text):
                return text
        return "".join(c for c in text if font.draws(c)).strip() or "0"

    def write(
        self, sheet: Sheet, at: tuple[float, float], text: str, face: ImageFont.FreeTypeFont, anchor: str = "ls"
    ) -> float:
        """Text with its baseline at ``at``; how long it is, px."""
        try:
            sheet.draw.text(at, text, fill=255, font=face, anchor=anchor)
            sheet.words += len(text.split())
            return float(face.getlength(text))
        except OSError:  # FreeType gives up on this glyph at this size
            return 0.0

    def paragraph(  # noqa: PLR0917
        self, rng: Rng, sheet: Sheet, box: tuple[float, float, float, float], font: Font, unit: float, most: int
    ) -> float:
        """Up to ``most`` lines of running text in a box (left, top, right, bottom); where the last one ends."""
        left, top, right, bottom = box
        face = face_of(font, unit)
        pitch = unit * rng.uniform(1.15, 1.9)
        indent = unit * rng.choice([0, 0, 1.5, 3])
        justified = rng.random() < 0.5
        space = max(2.0, face.getlength(" "))
        y = top + unit
        for number in range(most):
            if y > bottom:
                break
            x = left + (indent if number == 0 else 0)
            words: list[str] = []
            length = 0.0
            queue = self.text(rng, "sentence", 14, font).split()
            limit = right - x if number < most - 1 else (right - x) * rng.uniform(0.15, 1)
            while length < limit:
                if not queue:
                    queue = self.text(rng, "sentence", 10, font).split()
                word = queue.pop(0)
                step = face.getlength(word) + space
                if length + step > limit + space:
                    break
                words.append(word)
                length += step
            gap = space
            if justified and number < most - 1 and len(words) > 3:
                gap = min(space + (limit + space - length) / (len(words) - 1), 4 * space)
            for word in words:
                x += self.write(sheet, (x, y), word, face) + gap
            y += pitch
        return float(y)

    def stamp(self, rng: Rng, sheet: Sheet, unit: float) -> None:
        """A stamp: a ring or a frame with words, at any angle, anywhere; paler than print."""
        side = int(unit * rng.uniform(6, 14))
        stamp = Image.new("L", (side, side), 0)
        draw = ImageDraw.Draw(stamp)
        pen = max(1, side // 40)
        if rng.random() < 0.5:
            draw.ellipse((pen, pen, side - pen, side - pen), outline=255, width=pen)
        else:
            draw.rectangle((pen, side // 4, side - pen, 3 * side // 4), outline=255, width=pen)
        font = self.font(rng)
        face = face_of(font, max(8, side / rng.uniform(5, 9)))
        for row in (0.42, 0.6):
            word = self.text(rng, str(rng.choice(["heading", "date", "code"])), 1, font).upper()[:12]
            draw.text((side / 2, side * row), word, fill=255, font=face, anchor="mm")
        angle = rng.normal(0, 12) if rng.random() < 0.5 else rng.uniform(0, 360)
        turned = stamp.rotate(float(angle), resample=Image.Resampling.BILINEAR)
        shade = float(rng.uniform(0.4, 1))
        place = (int(rng.integers(max(1, sheet.width - side))), int(rng.integers(max(1, sheet.height - side))))
        sheet.image.paste(int(255 * shade), place, turned)

    def sideways(self, rng: Rng, sheet: Sheet, unit: float) -> None:
        """A line along a margin that stands on end, as archives and printers put on upright pages."""
        font = self.font(rng)
        length = int(sheet.height * rng.uniform(0.2, 0.6))
        strip = Image.new("L", (length, int(2 * unit)), 0)
        text = self.text(rng, "sentence", 9, font)
        ImageDraw.Draw(strip).text((0, 1.4 * unit), text, fill=255, font=face_of(font, unit), anchor="ls")
        strip = strip.rotate(90 if rng.random() < 0.7 else 270, expand=True)
        x = int(rng.uniform(0, 0.04) * sheet.width) if rng.random() < 0.6 else int(sheet.width - 2.2 * unit)
        sheet.image.paste(255, (x, int(rng.uniform(0.05, 0.35) * sheet.height)), strip)
