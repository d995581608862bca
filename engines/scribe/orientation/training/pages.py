"""Made pages of every layout, upright: what the orientation net learns from, and what it is counted on.

A page is drawn as ink and pictures on paper, and then scanned, faxed, photographed or left as it is. The same
generator state gives the same page.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from engines.scribe.training import distort
from engines.scribe.training.corpus import Corpus
from engines.scribe.training.fonts import Font, Fonts

Rng = np.random.Generator
Grey = NDArray[np.uint8]
Ink = NDArray[np.float32]

HELD_FAMILIES = 8
"""One font family in so many is kept for the pages that are counted on, and never trained with."""
REAL_SHARE = 0.5
"""Share of the receipts that are put together from real lines."""


@dataclass(frozen=True, slots=True)
class MadePage:
    """``grey`` uint8 (height, width), upright; ``layout`` and ``look`` tell how it was made; ``words`` it holds."""

    grey: Grey
    layout: str
    look: str
    words: int


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


class _Sheet:
    """A page while it is drawn: ink as a Pillow image, and words counted."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.image = Image.new("L", (width, height), 0)
        self.draw = ImageDraw.Draw(self.image)
        self.pictures: list[tuple[Ink, int, int]] = []
        self.words = 0


class PageMaker:
    """Makes one page at a time. With ``held``, of the fonts that are never trained with."""

    def __init__(self, corpus: Corpus, fonts: Fonts, lines: RealLines | None, *, held: bool = False) -> None:
        self._corpus = corpus
        self._fonts = fonts
        self._lines = lines
        self._held = held

    def make(self, rng: Rng, layout: str | None = None) -> MadePage:
        """An upright page."""
        layout = layout or _pick(rng, LAYOUTS)
        sheet = _Sheet(*_size(rng, layout))
        unit = _letters(rng, sheet, layout)
        DRAWERS[layout](self, rng, sheet, unit)
        if rng.random() < 0.2:
            self._stamp(rng, sheet, unit)
        if rng.random() < 0.06:
            self._sideways(rng, sheet, unit)
        if rng.random() < 0.12:
            _scribble(rng, sheet, unit)
        looks = LOOKS_OF.get(layout, LOOKS)
        look = _pick(rng, looks)
        ink = np.asarray(np.asarray(sheet.image) / 255, np.float32)
        for picture, left, top in sheet.pictures:
            ink[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
        return MadePage(_scanned(rng, ink, look, unit), layout, look, sheet.words)

    # Text.

    def font(self, rng: Rng, look: str | None = None) -> Font:
        """A font of the half, trained with or held, that this maker draws from."""
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
        self, sheet: _Sheet, at: tuple[float, float], text: str, face: ImageFont.FreeTypeFont, anchor: str = "ls"
    ) -> float:
        """Text with its baseline at ``at``; how long it is, px."""
        try:
            sheet.draw.text(at, text, fill=255, font=face, anchor=anchor)
            sheet.words += len(text.split())
            return float(face.getlength(text))
        except OSError:  # FreeType gives up on this glyph at this size
            return 0.0

    def paragraph(  # noqa: PLR0917
        self, rng: Rng, sheet: _Sheet, box: tuple[float, float, float, float], font: Font, unit: float, most: int
    ) -> float:
        """Up to ``most`` lines of running text in a box (left, top, right, bottom); where the last one ends."""
        left, top, right, bottom = box
        face = _face(font, unit)
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

    def _stamp(self, rng: Rng, sheet: _Sheet, unit: float) -> None:
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
        face = _face(font, max(8, side / rng.uniform(5, 9)))
        for row in (0.42, 0.6):
            word = self.text(rng, str(rng.choice(["heading", "date", "code"])), 1, font).upper()[:12]
            draw.text((side / 2, side * row), word, fill=255, font=face, anchor="mm")
        angle = rng.normal(0, 12) if rng.random() < 0.5 else rng.uniform(0, 360)
        turned = stamp.rotate(float(angle), resample=Image.Resampling.BILINEAR)
        shade = float(rng.uniform(0.4, 1))
        place = (int(rng.integers(max(1, sheet.width - side))), int(rng.integers(max(1, sheet.height - side))))
        sheet.image.paste(int(255 * shade), place, turned)

    def _sideways(self, rng: Rng, sheet: _Sheet, unit: float) -> None:
        """A line along a margin that stands on end, as archives and printers put on upright pages."""
        font = self.font(rng)
        length = int(sheet.height * rng.uniform(0.2, 0.6))
        strip = Image.new("L", (length, int(2 * unit)), 0)
        text = self.text(rng, "sentence", 9, font)
        ImageDraw.Draw(strip).text((0, 1.4 * unit), text, fill=255, font=_face(font, unit), anchor="ls")
        strip = strip.rotate(90 if rng.random() < 0.7 else 270, expand=True)
        x = int(rng.uniform(0, 0.04) * sheet.width) if rng.random() < 0.6 else int(sheet.width - 2.2 * unit)
        sheet.image.paste(255, (x, int(rng.uniform(0.05, 0.35) * sheet.height)), strip)

    # Layouts.

    def receipt(self, rng: Rng, sheet: _Sheet, unit: float) -> None:
        if self._lines is not None and rng.random() < REAL_SHARE:
            self._real_receipt(rng, sheet, self._lines)
            return
        font = self.font(rng, str(rng.choice(["mono", "printer", "sans", "sans"])))
        face, large = _face(font, unit), _face(font, unit * rng.uniform(1.2, 2.2))
        left, right = sheet.width * 0.06, sheet.width * 0.94
        pitch = unit * rng.uniform(1.2, 1.8)
        y = unit * 3
        capitals = rng.random() < 0.5
        end = sheet.height * (rng.uniform(0.3, 1) if rng.random() < 0.4 else 1)
        middle = sheet.width / 2
        for number in range(int(rng.integers(2, 7))):
            text = self.text(rng, str(rng.choice(["heading", "contact", "code", "date"])), 3, font)
            self.write(sheet, (middle, y), text.upper() if capitals else text, large if number == 0 else face, "ms")
            y += pitch * (1.6 if number == 0 else 1)
        while y < end - unit:
            roll = rng.random()
            if roll < 0.08:
                mark = str(rng.choice(["-", "=", "*", "_", "."])) * 60
                while face.getlength(mark) > right - left:
                    mark = mark[:-2]
                self.write(sheet, (left, y), mark, face)
            elif roll < 0.65:
                text = self.text(rng, "receipt", 3, font)
                self.write(sheet, (left, y), text.upper() if capitals else text, face)
                self.write(sheet, (right, y), self.text(rng, "numbers", 1, font)[:12], face, "rs")
            elif roll < 0.85:
                text = self.text(rng, str(rng.choice(["contact", "date", "code", "sentence"])), 5, font)
                self.write(sheet, (left, y), text.upper() if capitals else text, face)
            elif roll < 0.9:
                _barcode(rng, sheet, (int(sheet.width * 0.2), int(y), int(sheet.width * 0.8), int(y + 4 * unit)))
                y += 4 * unit
            y += pitch

    def _real_receipt(self, rng: Rng, sheet: _Sheet, lines: RealLines) -> None:
        height = float(np.clip(sheet.width / rng.uniform(12, 26), 11, 48))
        y = rng.uniform(1, 3) * height
        end = sheet.height * (rng.uniform(0.3, 1) if rng.random() < 0.4 else 1) - height
        pitch = rng.uniform(0.9, 1.3)
        centred = rng.random() < 0.3
        while y < end:
            x = sheet.width * 0.04
            for _ in range(1 if rng.random() < 0.6 else 2):
                ink = lines.draw(rng)
                scale = height / ink.shape[0]
                size = (max(1, round(ink.shape[1] * scale)), max(1, round(height)))
                how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
                ink = np.clip(np.asarray(cv2.resize(ink, size, interpolation=how)), 0, 1)
                if centred:
                    x = max(x, (sheet.width - size[0]) / 2)
                strip = Image.fromarray((ink * 255).astype(np.uint8))
                sheet.image.paste(255, (int(x), int(y)), strip)
                sheet.words += 2
                x += size[0] + rng.uniform(0.5, 6) * height
                if x > sheet.width * 0.7:
                    break
            y += height * pitch * (1 if rng.random() < 0.9 else 2)

    def letter(self, rng: Rng, sheet: _Sheet, unit: float) -> None:
        font = self.font(rng)
        face = _face(font, unit)
        left, right = sheet.width * rng.uniform(0.07, 0.16), sheet.width * rng.uniform(0.84, 0.94)
        y = sheet.height * rng.uniform(0.03, 0.1)
        head = self.font(rng)
        anchor, x = (("ms", sheet.width / 2), ("ls", left), ("rs", right))[int(rng.integers(3))]
        big = _face(head, unit * rng.uniform(1.3, 2.8))
        self.write(sheet, (x, y), self.text(rng, "heading", 2, head), big, anchor)
        if rng.random() < 0.3:
            _logo(rng, sheet, unit)
        y += unit * 2
        for _ in range(int(rng.integers(0, 4))):
            self.write(sheet, (x, y), self.text(rng, "contact", 3, font), face, anchor)
            y += unit * 1.3
        y += unit * rng.uniform(1, 5)
        for _ in range(int(rng.integers(0, 6))):
            self.write(sheet, (left, y), self.text(rng, str(rng.choice(["contact", "heading"])), 3, font), face)
            y += unit * 1.3
        if rng.random() < 0.7:
            self.write(sheet, (right, y), self.text(rng, "date", 1, font), face, "rs")
        y += unit * 2
        end = sheet.height * (rng.uniform(0.35, 0.7) if rng.random() < 0.4 else 0.93)
        while y < end:
            kind = int(rng.integers(2, 9))
            y = self.paragraph(rng, sheet, (left, y, right, end), font, unit, kind) + unit * rng.uniform(0, 1.2)
        if rng.random() < 0.5:
            self.write(sheet, (left, y + unit * 3), self.text(rng, "heading", 2, font), face)

    def book(self, rng: Rng, sheet: _Sheet, unit: float) -> None:
        font = self.font(rng, "serif" if rng.random() < 0.8 else None)
        left, right = sheet.width * rng.uniform(0.05, 0.16), sheet.width * rng.uniform(0.84, 0.95)
        face = _face(font, unit)
        self.write(sheet, (left, sheet.height * 0.05), str(int(rng.integers(1, 900))), face)
        self.write(sheet, (right, sheet.height * 0.05), self.text(rng, "heading", 3, font).upper(), face, "rs")
        y = sheet.height * (0.07 if rng.random() < 0.8 else rng.uniform(0.15, 0.4))
        end = sheet.height * (0.95 if rng.random() < 0.8 else rng.uniform(0.3, 0.9))
        while y < end:
            y = self.paragraph(rng, sheet, (left, y, right, end), font, unit, int(rng.integers(3, 16)))

    def columns(self, rng: Rng, sheet: _Sheet, unit: float) -> None:
        font, head = self.font(rng), self.font(rng)
        count = int(rng.integers(2, 5))
        y = sheet.height * rng.uniform(0.03, 0.08)
        big = _face(head, unit * rng.uniform(1.8, 4))
        self.write(sheet, (sheet.width * 0.05, y + 2 * unit), self.text(rng, "heading", 4, head), big)
        y += 4 * unit
        pitch = sheet.width * 0.92 / count
        for number in range(count):
            x = sheet.width * 0.04 + number * pitch
            top = y
            end = sheet.height * rng.uniform(0.5, 0.97)
            while top < end:
                if rng.random() < 0.12:
                    _picture(rng, sheet, (int(x), int(top), int(x + pitch * 0.92), int(top + pitch * 0.6)))
                    top += pitch * 0.65
                most = int(rng.integers(2, 14))
                top = self.paragraph(rng, sheet, (x, top, x + pitch * 0.92, end), font, unit, most)

    def table(self, rng: Rng, sheet: _Sheet, unit: float) -> None:
        font = self.font(rng)
        face = _face(font, unit)
        left, right = sheet.width * 0.05, sheet.width * 0.95
        y = sheet.height * rng.uniform(0.03, 0.15)
        self.write(sheet, (left, y), self.text(rng, "heading", 5, font), _face(font, unit * 1.5))
        y += 2 * unit
        count = int(rng.integers(3, 8))
        edges = np.sort(np.concatenate([[left, right], rng.uniform(left + 3 * unit, right, count - 1)]))
        rules = rng.random()
        pitch = unit * rng.uniform(1.3, 2.4)
        upright_heads = rng.random() < 0.12
        if upright_heads:  # column heads that stand on end
            for x in edges[:-1]:
                strip = Image.new("L", (int(6 * unit), int(1.4 * unit)), 0)
                words = self.text(rng, "heading", 1, font)
                ImageDraw.Draw(strip).text((0, unit), words, fill=255, font=face, anchor="ls")
                sheet.image.paste(255, (int(x), int(y)), strip.rotate(90, expand=True))
            y += 6.5 * unit
        end = sheet.height * (0.95 if rng.random() < 0.6 else rng.uniform(0.35, 0.9))
        kinds = [str(rng.choice(["numbers", "numbers", "date", "code", "single", "sentence"])) for _ in edges[1:]]
        top = y
        numeric = rng.random() < 0.5
        while y < end - pitch:
            for number, (x, after, kind) in enumerate(zip(edges[:-1], edges[1:], kinds, strict=True)):
                if after - x < 1.5 * unit or rng.random() < 0.1:
                    continue
                what = "sentence" if number == 0 else ("numbers" if numeric else kind)
                text = self.text(rng, what, 2, font)
                while text and face.getlength(text) > after - x - unit:
                    text = text[: -max(1, len(text) // 6)].rstrip()
                if not text:
                    continue
                if number and what == "numbers":
                    self.write(sheet, (after - 0.4 * unit, y + pitch * 0.7), text, face, "rs")
                else:
                    self.write(sheet, (x + 0.4 * unit, y + pitch * 0.7), text, face)
            y += pitch
            if rules < 0.5:
                sheet.draw.line((left, y, right, y), fill=220, width=max(1, int(unit / 14)))
        if rules < 0.3:
            for x in edges:
                sheet.draw.line((x, top, x, y), fill=220, width=max(1, int(unit / 14)))

    def form(self, rng: Rng, sheet: _Sheet, unit: float) -> None:
        labels, filled = self.font(rng, "sans" if rng.random() < 0.7 else None), self.font(rng)
        small, face = _face(labels, unit * rng.uniform(0.7, 1)), _face(filled, unit * rng.uniform(0.9, 1.3))
        left, right = sheet.width * 0.05, sheet.width * 0.95
        y = sheet.height * 0.06
        title = self.text(rng, "heading", 4, labels)
        self.write(sheet, (left, y), title.upper(), _face(labels, unit * rng.uniform(1.2, 2)))
        y += 2 * unit
        boxed = rng.random() < 0.5
        end = sheet.height * (0.95 if rng.random() < 0.7 else rng.uniform(0.4, 0.9))
        while y < end:
            cells = int(rng.integers(1, 4))
            high = unit * rng.uniform(2, 3.5)
            for number in range(cells):
                x, after = left + (right - left) * number / cells, left + (right - left) * (number + 1) / cells
                if boxed:
                    sheet.draw.rectangle((x, y, after, y + high), outline=230, width=max(1, int(unit / 12)))
                label = self.text(rng, "heading", 2, labels)
                self.write(sheet, (x + unit * 0.3, y + unit), label, small)
                if rng.random() < 0.6:
                    kind = str(rng.choice(["contact", "date", "code", "numbers", "heading"]))
                    self.write(sheet, (x + unit * 0.5, y + high - unit * 0.2), self.text(rng, kind, 2, filled), face)
                elif rng.random() < 0.3:
                    sheet.draw.rectangle((x + unit, y + unit * 1.3, x + 2 * unit, y + unit * 2.3), outline=255)
                if not boxed:
                    sheet.draw.line((x, y + high, after - unit, y + high), fill=200, width=1)
            y += high + unit * rng.uniform(0, 1)
            if rng.random() < 0.1:
                y = self.paragraph(rng, sheet, (left, y, right, end), labels, unit * 0.8, 3) + unit

    def slide(self, rng: Rng, sheet: _Sheet, unit: float) -> None:
        font = self.font(rng)
        y = sheet.height * rng.uniform(0.1, 0.25)
        left = sheet.width * rng.uniform(0.05, 0.2)
        big = _face(font, unit * rng.uniform(1.4, 2.2))
        self.write(sheet, (left, y), self.text(rng, "heading", 4, font), big)
        y += 3 * unit
        while y < sheet.height * rng.uniform(0.5, 0.95):
            self.write(sheet, (left, y), self.text(rng, "item", 5, font), _face(font, unit))
            y += unit * rng.uniform(1.4, 2.2)
        if rng.random() < 0.5:
            side = int(min(sheet.width, sheet.height) * 0.35)
            box = (int(sheet.width * 0.6), int(sheet.height * 0.55), int(sheet.width * 0.6) + side, 0)
            _picture(rng, sheet, (*box[:3], min(sheet.height - 4, box[1] + side)))

    def chart(self, rng: Rng, sheet: _Sheet, unit: float) -> None:
        font = self.font(rng, "sans" if rng.random() < 0.7 else None)
        face = _face(font, unit)
        left, right = sheet.width * 0.15, sheet.width * 0.92
        top, bottom = sheet.height * 0.15, sheet.height * rng.uniform(0.5, 0.8)
        title = self.text(rng, "heading", 5, font)
        self.write(sheet, (sheet.width / 2, top - unit), title, _face(font, unit * 1.4), "ms")
        sheet.draw.line((left, top, left, bottom, right, bottom), fill=255, width=2)
        bars = int(rng.integers(4, 12))
        for number in range(bars):
            x = left + (right - left) * (number + 0.2) / bars
            after = x + (right - left) * 0.6 / bars
            high = bottom - (bottom - top) * float(rng.uniform(0.1, 0.95))
            sheet.draw.rectangle((x, high, after, bottom), fill=int(rng.integers(60, 255)))
            label = self.text(rng, str(rng.choice(["single", "numbers"])), 1, font)[:6]
            self.write(sheet, (x, bottom + 1.4 * unit), label, face)
            tick = bottom - (bottom - top) * number / bars
            self.write(sheet, (left - unit * 0.5, tick), str(number * 10), face, "rs")
        if rng.random() < 0.5:
            self.paragraph(
                rng, sheet, (left, bottom + 3 * unit, right, sheet.height * 0.95), font, unit, int(rng.integers(2, 9))
            )

    def sparse(self, rng: Rng, sheet: _Sheet, unit: float) -> None:
        """A page with a few lines somewhere: titles, labels, notes."""
        font = self.font(rng)
        y = sheet.height * rng.uniform(0.05, 0.7)
        x = sheet.width * rng.uniform(0.05, 0.4)
        for _ in range(int(rng.integers(2, 7))):
            kind = str(rng.choice(["sentence", "heading", "contact", "code", "date", "numbers"]))
            self.write(sheet, (x, y), self.text(rng, kind, 4, font), _face(font, unit * rng.uniform(0.8, 1.5)))
            y += 1.8 * unit
        if rng.random() < 0.4:
            left, top = int(sheet.width * rng.uniform(0, 0.5)), int(sheet.height * rng.uniform(0, 0.5))
            right, bottom = left + int(sheet.width * 0.4), top + int(sheet.height * 0.3)
            if bottom < y - 12 * unit or top > y:
                _picture(rng, sheet, (left, top, right, bottom))


LAYOUTS = {
    "receipt": 0.24, "letter": 0.15, "book": 0.1, "columns": 0.09, "table": 0.13, "form": 0.12, "slide": 0.05,
    "chart": 0.05, "sparse": 0.07,
}  # fmt: skip
"""Shares of the layouts."""
DRAWERS: dict[str, Callable[[PageMaker, Rng, _Sheet, float], None]] = {
    "receipt": PageMaker.receipt,
    "letter": PageMaker.letter,
    "book": PageMaker.book,
    "columns": PageMaker.columns,
    "table": PageMaker.table,
    "form": PageMaker.form,
    "slide": PageMaker.slide,
    "chart": PageMaker.chart,
    "sparse": PageMaker.sparse,
}
LOOKS = {"clean": 0.22, "scan": 0.3, "bitonal": 0.26, "photo": 0.16, "negative": 0.06}
"""Shares of what becomes of a drawn page."""
LOOKS_OF = {"receipt": {"clean": 0.08, "scan": 0.37, "bitonal": 0.08, "photo": 0.45, "negative": 0.02}}


def _pick(rng: Rng, shares: dict[str, float]) -> str:
    weights = np.array(list(shares.values()))
    return list(shares)[int(rng.choice(len(weights), p=weights / weights.sum()))]


def _size(rng: Rng, layout: str) -> tuple[int, int]:
    """Width and height, px: about 0.2 to 1.6 million, larger pages would be shrunk all the same."""
    area = float(np.exp(rng.uniform(np.log(350_000), np.log(1_500_000))))
    aspect = {"receipt": rng.uniform(1.1, 3.2), "slide": rng.uniform(0.55, 0.8)}.get(layout, rng.uniform(1.2, 1.5))
    if layout not in ("receipt", "slide") and rng.random() < 0.2:
        aspect = 1 / aspect
    width = (area / aspect) ** 0.5
    return int(width), int(width * aspect)


def _letters(rng: Rng, sheet: _Sheet, layout: str) -> float:
    """Font size, px: from what can just be read to what fills the page."""
    least = 11.0
    most = {"slide": sheet.width / 16, "receipt": sheet.width / 18, "sparse": sheet.width / 20}.get(
        layout, sheet.width / 34
    )
    return float(np.exp(rng.uniform(np.log(least), np.log(max(least + 2, most)))))


_FACES: dict[tuple[str, int], ImageFont.FreeTypeFont] = {}


def _face(font: Font, size: float) -> ImageFont.FreeTypeFont:
    key = (font.path, max(7, round(size)))
    if key not in _FACES:
        if len(_FACES) > 1000:
            _FACES.clear()
        _FACES[key] = ImageFont.truetype(*key, layout_engine=ImageFont.Layout.BASIC)
    return _FACES[key]


def _barcode(rng: Rng, sheet: _Sheet, box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    x = float(left)
    module = max(1.0, (right - left) / 95)
    while x < right:
        wide = module * int(rng.integers(1, 4))
        sheet.draw.rectangle((x, top, x + wide - 1, bottom), fill=255)
        x += wide + module * int(rng.integers(1, 4))


def _logo(rng: Rng, sheet: _Sheet, unit: float) -> None:
    x, y, side = rng.uniform(0, 0.8) * sheet.width, rng.uniform(0, 0.06) * sheet.height, unit * rng.uniform(2, 6)
    shade = int(rng.integers(90, 255))
    if rng.random() < 0.5:
        sheet.draw.ellipse((x, y, x + side, y + side), fill=shade)
    else:
        sheet.draw.polygon([(x, y + side), (x + side / 2, y), (x + side, y + side)], fill=shade)


def _picture(rng: Rng, sheet: _Sheet, box: tuple[int, int, int, int]) -> None:
    """A photograph of nothing in particular: soft shapes, edges, grain."""
    left, top, right, bottom = (max(0, side) for side in box)
    right, bottom = min(right, sheet.width), min(bottom, sheet.height)
    if right - left < 8 or bottom - top < 8:
        return
    shape = (bottom - top, right - left)
    picture = 0.5 + 0.25 * distort.low_noise(rng, shape, max(8, shape[1] * rng.uniform(0.1, 0.6)))
    for _ in range(int(rng.integers(0, 6))):
        middle = (int(rng.integers(shape[1])), int(rng.integers(shape[0])))
        cv2.circle(picture, middle, int(shape[1] * rng.uniform(0.03, 0.3)), float(rng.random()), -1)
    picture += rng.uniform(0, 0.15) * distort.low_noise(rng, shape, rng.uniform(1.5, 12))
    sheet.pictures.append((np.clip(picture, 0, 1).astype(np.float32), left, top))


def _scribble(rng: Rng, sheet: _Sheet, unit: float) -> None:
    """A signature, a tick, a note by hand."""
    count = int(rng.integers(6, 30))
    steps = rng.normal((unit * 0.6, 0), unit * 1.2, (count, 2)).cumsum(axis=0)
    start = rng.uniform((0, 0), (sheet.width * 0.8, sheet.height))
    points = [(float(x), float(y)) for x, y in steps + start]
    sheet.draw.line(points, fill=int(rng.integers(120, 255)), width=max(1, int(unit / 10)), joint="curve")


def _scanned(rng: Rng, ink: Ink, look: str, unit: float) -> Grey:
    """What becomes of the drawn page: uint8, dark on light unless ``look`` is negative."""
    if rng.random() < 0.35:
        ink = distort.weight(rng, ink, unit)
    if look in ("scan", "photo") and rng.random() < 0.3:
        ink = distort.wear(rng, ink, unit)
    if look == "photo":
        return _photographed(rng, ink, unit)
    if rng.random() < 0.6:
        ink = _skewed(ink, rng.normal(0, 1.2))
    if look == "bitonal":
        return distort.bitonal(rng, ink, unit)
    if look == "clean":
        return distort.grey(1 - ink * rng.uniform(0.6, 1))
    if look == "negative":
        tone = 0.02 + rng.uniform(0, 0.25) + ink * rng.uniform(0.5, 0.75)
        return distort.grey(distort.noise(rng, tone.astype(np.float32), 0.02))
    tone = distort.print_on(rng, ink, _paper(rng, ink.shape, unit), (0.45, 0.95))
    if rng.random() < 0.7:
        tone = distort.blur(rng, tone, unit, 0.05)
    tone = distort.noise(rng, tone, 0.05)
    image = distort.grey(tone)
    return distort.jpeg(rng, image) if rng.random() < 0.5 else image


def _photographed(rng: Rng, ink: Ink, unit: float) -> Grey:
    """On a table, seen a little aslant, unevenly lit."""
    rows, columns = ink.shape
    around = float(rng.choice([0.0, rng.uniform(0.02, 0.35)]))
    height, width = int(rows * (1 + around)), int(columns * (1 + around))
    place = rng.uniform(0, 1, 2) * (width - columns, height - rows)
    corners = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float32)
    to = corners + place + rng.normal(0, 0.015, (4, 2)) * (columns, columns)
    angle = np.radians(rng.normal(0, 3))
    middle = to.mean(axis=0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    to = ((to - middle) @ turn.T + middle).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(corners, to)
    ink = np.asarray(cv2.warpPerspective(ink, matrix, (width, height), flags=cv2.INTER_LINEAR), np.float32)
    mask = np.asarray(cv2.warpPerspective(np.ones((rows, columns), np.float32), matrix, (width, height)), np.float32)
    paper = _paper(rng, (height, width), unit)
    table = distort.ground(rng, (height, width), unit) * rng.uniform(0.2, 1)
    tone = paper * mask + table * (1 - mask)
    tone = distort.print_on(rng, ink, tone.astype(np.float32), (0.4, 0.9))
    tone = tone * rng.uniform(0.55, 1)
    if rng.random() < 0.85:
        tone = distort.blur(rng, tone, unit, 0.09)
    tone = distort.noise(rng, tone, 0.06)
    image = distort.grey(tone)
    return distort.jpeg(rng, image) if rng.random() < 0.7 else image


def _paper(rng: Rng, shape: tuple[int, ...], unit: float) -> Ink:
    tone = np.full(shape, rng.uniform(0.75, 1), np.float32)
    if rng.random() < 0.6:
        tone += rng.uniform(0, 0.03) * distort.low_noise(rng, (shape[0], shape[1]), 80)
    if rng.random() < 0.4:
        x = np.linspace(-1, 1, shape[1], dtype=np.float32)[None]
        y = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
        tone *= 1 - np.clip(rng.normal(0, 0.12) * x + rng.normal(0, 0.12) * y, -0.1, 0.5)
    if rng.random() < 0.15:  # folds
        for _ in range(int(rng.integers(1, 4))):
            at = int(rng.uniform(0.1, 0.9) * shape[0])
            tone[at : at + max(1, int(unit / 8))] *= rng.uniform(0.7, 0.95)
    return tone


def _skewed(ink: Ink, degrees: float) -> Ink:
    rows, columns = ink.shape
    matrix = cv2.getRotationMatrix2D((columns / 2, rows / 2), degrees, 1)
    return np.asarray(cv2.warpAffine(ink, matrix, (columns, rows), flags=cv2.INTER_LINEAR), np.float32)
