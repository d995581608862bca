"""Pages whose words are known: laid out here, hidden in a PDF by the code under test."""

from __future__ import annotations

import io
import math
import random
from dataclasses import dataclass

import pikepdf

from engines.api import Line, Point, Quad, Word
from engines.documents.decode import Limits
from engines.documents.pdf import reading, writing

LIMITS = Limits(pixels=40_000_000, pages=100)
WORDS = tuple(
    "Invoice total due within thirty days of receipt Subtotal Discount 14.03.2026 18:42 A4 VAT number DE-204 17%"
    " Müller & Söhne naïve façade “quoted” €19.95 (net) C/O e.g. https://example.org/x?y=1 Nr. 20417 well-known"
    " quick brown fox jumps over lazy dog 𝔘".split()
)
LETTERS = tuple("aIxO1.é7—&iw")


@dataclass(frozen=True, slots=True)
class Layout:
    """How a page lies and how its words stand. ``gap`` in em, ``skew`` in degrees, ``turn`` the page's /Rotate."""

    gap: float = 0.3
    letters: bool = False
    skew: float = 0.0
    turn: int = 0
    origin: Point = (0.0, 0.0)
    crop: float = 0.0
    unit: float = 1.0

    def __str__(self) -> str:
        parts = [f"gap {self.gap}", f"skew {self.skew}", f"turn {self.turn}"]
        parts += ["letters"] * self.letters + [f"origin {self.origin}"] * (self.origin != (0, 0))
        parts += [f"crop {self.crop}"] * bool(self.crop) + [f"unit {self.unit}"] * (self.unit != 1)
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Specimen:
    """A PDF with a hidden layer, the lines that were put into it, and the px size of the page they are quads in."""

    pdf: bytes
    lines: tuple[Line, ...]
    width: int
    height: int
    dpi: float

    @property
    def words(self) -> tuple[Word, ...]:
        return tuple(word for line in self.lines for word in line.words)


def blank(layout: Layout) -> bytes:
    """A PDF of one page that shows nothing, A5 or turned A5."""
    pdf = pikepdf.new()
    width, height = (x / layout.unit for x in (420.0, 595.0))
    left, bottom = layout.origin
    box = [left, bottom, left + width, bottom + height]
    page = pikepdf.Dictionary(Type=pikepdf.Name.Page, MediaBox=box, Resources=pikepdf.Dictionary())
    if layout.crop:
        crop = layout.crop / layout.unit
        page.CropBox = [left + crop, bottom + 2 * crop, left + width - 3 * crop, bottom + height - 4 * crop]
    if layout.turn:
        page.Rotate = layout.turn
    if layout.unit != 1:
        page.UserUnit = layout.unit
    pdf.pages.append(pikepdf.Page(pdf.make_indirect(page)))
    buffer = io.BytesIO()
    pdf.save(buffer)
    return buffer.getvalue()


def make(layout: Layout, seed: int = 1) -> Specimen:
    """Lay out words on a blank page as ``layout`` says, and hide them in it."""
    body = blank(layout)
    (sheet,) = reading.sheets(body, LIMITS)
    lines = lay_out(layout, sheet.width, sheet.height, sheet.dpi, random.Random(seed))
    layers = [writing.Layer(1, lines, sheet.to_user)]
    return Specimen(writing.with_layers(body, layers), lines, sheet.width, sheet.height, sheet.dpi)


def lay_out(layout: Layout, width: int, height: int, dpi: float, random_: random.Random) -> tuple[Line, ...]:
    """Lines of words across a page of px, tilted about its middle."""
    em = 11 / 72 * dpi
    slant = abs(math.sin(math.radians(layout.skew)))
    margin = 0.08 * min(width, height) + slant * max(width, height) / 2
    lines = []
    y = margin
    while y + em < height - margin:
        x, words = margin, []
        while True:
            # Every other word only: Poppler takes letters alone, evenly spaced, for one word that is spaced out.
            text = random_.choice(LETTERS if layout.letters and len(words) % 2 else WORDS)
            wide = em * 0.5 * len(text) * random_.uniform(0.8, 1.2)
            if x + wide > width - margin:
                break
            words.append(Word(text, 0.9, _tilted((x, y, x + wide, y + em), layout.skew, (width / 2, height / 2))))
            x += wide + layout.gap * em
        if words:
            whole = Quad(words[0].quad.top_left, words[-1].quad.top_right, words[-1].quad.bottom_right,
                         words[0].quad.bottom_left)  # fmt: skip
            lines.append(Line(tuple(words), whole))
        y += 1.7 * em
    return tuple(lines)


def _tilted(box: tuple[float, float, float, float], degrees: float, middle: Point) -> Quad:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))

    def at(x: float, y: float) -> Point:
        dx, dy = x - middle[0], y - middle[1]
        return middle[0] + cos * dx - sin * dy, middle[1] + sin * dx + cos * dy

    left, top, right, bottom = box
    return Quad(at(left, top), at(right, top), at(right, bottom), at(left, bottom))
