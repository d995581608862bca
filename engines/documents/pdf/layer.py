"""The hidden text layer of a page: what was read, as a content stream that shows nothing and selects like print.

What readers of PDFs make of a layer differs. This form came through all those tried (see tests/pdf): one text object
for each line; a word and the space after it in one string, no space after the last; each word scaled across to its
box; glyphs with an outline.

Words of a line that lies almost along the page are level, each at its own height: Poppler breaks a word where its
baseline drifts by half a point. A line that is slanted so much that level words would miss their ink turns with the
ink; then a word is one glyph, which Poppler can't break, and nothing is scaled across, as pdf.js compares the places of
slanted glyphs wrongly between one scale and another. Where one line of a page is slanted all are. Lines that climb or
fall end in a space: their ends can be as high as the next line's beginning.
"""

from __future__ import annotations

import math
import statistics
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engines.api import Line, Point, Quad, Word
from engines.documents.pdf.font import ADVANCE, DESCENT, UNITS, Codes
from engines.documents.pdf.matrix import Matrix

FONT = "CloisterHidden"
"""The layer's name for its font among the page's resources."""
_INVISIBLE = 3
_MIN_EXTENT = 0.1
"""Words narrower or lower than this, in user space units, are made so wide or high: a size of 0 is drawn by nobody."""
_FULL_HEIGHT = 0.85
"""Share of the line's height from which a word is believed to show where the line lies."""
_LEVEL = 0.05
"""Words off the line by less than this share of its height are put on it."""
_NO_CLIMB = 1e-4
"""Slopes below this are the rounding of pixels."""
_WORD_DRIFT = 0.15
_LINE_DRIFT = 0.8
"""Shares of the line's height by which a level word, and a line of level words, may climb or fall."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """Unit vectors of user space: along a line, and from its feet to its head."""

    along: Point
    up: Point

    def at(self, x: float, y: float) -> Point:
        """The point of user space that is (x, y) in this frame."""
        return self.along[0] * x + self.up[0] * y, self.along[1] * x + self.up[1] * y


@dataclass(frozen=True, slots=True)
class _Span:
    """A word in a `_Frame`: its edges and its middle."""

    text: str
    left: float
    right: float
    middle: float
    height: float


def content(lines: Iterable[Line], to_user: Matrix, codes: Codes) -> bytes:
    """A content stream with the words of ``lines``, whose quads ``to_user`` maps to user space; empty without words.

    The stream leaves the graphics state as it was. It wants the font made of ``codes`` under the name `FONT`.
    """
    rows = [row for row in (_row(line, to_user) for line in lines) if row is not None]
    # All together: pdf.js loses the break between a level line and a slanted one.
    slant = any(row.wants_slant for row in rows) and codes.free >= sum(len(row.words) for row in rows)
    texts = []
    for row in rows:
        if slant and row.climb:
            frame = _Frame(row.slope, _upward(row.quads, row.slope))
            texts.append(_slanted(_spans(row.words, row.quads, frame), frame, codes))
        else:
            texts.append(_level(row.spans, row.axis, row.climb, codes))
    return "\n".join((f"q {_INVISIBLE} Tr", *texts, "Q", "")).encode("ascii") if texts else b""


@dataclass(frozen=True, slots=True)
class _Row:
    """A line in user space.

    ``slope`` is its direction; ``spans`` are its words in the frame ``axis`` nearest to it, and ``climb`` how far it
    climbs for each unit along that.
    """

    words: Sequence[Word]
    quads: Sequence[Quad]
    slope: Point
    axis: _Frame
    spans: Sequence[_Span]
    climb: float

    @property
    def wants_slant(self) -> bool:
        """Whether level words would miss their ink, or a line of them would climb into its neighbours."""
        height = _height(self.spans)
        widest = max(span.right - span.left for span in self.spans)
        whole = self.spans[-1].right - self.spans[0].left
        return abs(self.climb) * widest > _WORD_DRIFT * height or abs(self.climb) * whole > _LINE_DRIFT * height


def _row(line: Line, to_user: Matrix) -> _Row | None:
    words = [word for word in line.words if word.text]
    if not words:
        return None
    quads = [_mapped(word.quad, to_user) for word in words]
    slope = _direction(quads)
    axis = _nearest_axis(slope)
    climb = (slope[0] * axis.up[0] + slope[1] * axis.up[1]) / (slope[0] * axis.along[0] + slope[1] * axis.along[1])
    return _Row(words, quads, slope, axis, _spans(words, quads, axis), climb if abs(climb) > _NO_CLIMB else 0.0)


def _level(spans: Sequence[_Span], frame: _Frame, climb: float, codes: Codes) -> str:
    height = _height(spans)
    middles = _middles(spans, height, climb)
    ending = "" if max(middles) == min(middles) else " "
    texts = []
    for index, span in enumerate(spans):
        stretch = 100 * _width(span) / (len(span.text) * height * ADVANCE / UNITS)
        text = codes.characters(span.text + (" " if index < len(spans) - 1 else ending))
        texts.append(f"{_number(stretch)} Tz <{text.hex().upper()}> Tj")
    return _object(spans, middles, [height] * len(spans), texts, frame)


def _slanted(spans: Sequence[_Span], frame: _Frame, codes: Codes) -> str:
    height = _height(spans)
    middles = _middles(spans, height, 0.0)
    heights, texts = [], []
    for index, span in enumerate(spans):
        text, width = codes.word(span.text, _width(span) / height)
        # The glyph's width is near the word's; the font's size makes it the same.
        heights.append(_width(span) / width)
        shown = f"<{(text + codes.characters(' ')).hex().upper()}> Tj"
        # The scale across outlives a text object.
        texts.append(shown if index else f"100 Tz {shown}")
    return _object(spans, middles, heights, texts, frame)


def _object(
    spans: Sequence[_Span], middles: Sequence[float], heights: Sequence[float], texts: Sequence[str], frame: _Frame
) -> str:
    """A text object that shows ``texts`` where their spans are."""
    parts = ["BT"]
    x = y = size = 0.0
    for index, (span, middle, height, text) in enumerate(zip(spans, middles, heights, texts, strict=True)):
        if height != size:
            parts.append(f"/{FONT} {_number(height)} Tf")
            size = height
        # The em box, from descent to ascent, stands about the middle.
        baseline = middle - height / 2 - height * DESCENT / UNITS
        if index:
            parts.append(f"{_number(span.left - x)} {_number(baseline - y)} Td")
        else:
            turn = " ".join(_number(value, 6) for value in (*frame.along, *frame.up))
            origin = " ".join(map(_number, frame.at(span.left, baseline)))
            parts.append(f"{turn} {origin} Tm")
        x, y = span.left, baseline
        parts.append(text)
    return "\n".join((*parts, "ET"))


def _mapped(quad: Quad, to_user: Matrix) -> Quad:
    return Quad(
        to_user.map(quad.top_left),
        to_user.map(quad.top_right),
        to_user.map(quad.bottom_right),
        to_user.map(quad.bottom_left),
    )


def _direction(quads: Sequence[Quad]) -> Point:
    """The unit vector along the text: the words' bottom and top edges, the longer counting for more."""
    x = y = 0.0
    for quad in quads:
        x += quad.bottom_right[0] - quad.bottom_left[0] + quad.top_right[0] - quad.top_left[0]
        y += quad.bottom_right[1] - quad.bottom_left[1] + quad.top_right[1] - quad.top_left[1]
    length = math.hypot(x, y)
    return (x / length, y / length) if length > 0 else (1.0, 0.0)


def _upward(quads: Sequence[Quad], along: Point) -> Point:
    """The unit vector from the words' feet to their heads, square to the text.

    Mirrored pages have it on the other side.
    """
    up = (-along[1], along[0])
    heads = sum(
        (quad.top_left[0] - quad.bottom_left[0]) * up[0] + (quad.top_left[1] - quad.bottom_left[1]) * up[1]
        for quad in quads
    )
    return up if heads >= 0 else (-up[0], -up[1])


def _nearest_axis(direction: Point) -> _Frame:
    x, y = direction
    along = (math.copysign(1.0, x), 0.0) if abs(x) >= abs(y) else (0.0, math.copysign(1.0, y))
    return _Frame(along, (-along[1], along[0]))


def _spans(words: Sequence[Word], quads: Sequence[Quad], frame: _Frame) -> list[_Span]:
    """From left to right."""
    spans = (_span(word, quad, frame) for word, quad in zip(words, quads, strict=True))
    return sorted(spans, key=lambda span: span.left)


def _span(word: Word, quad: Quad, frame: _Frame) -> _Span:
    def between(one: Point, other: Point, axis: Point) -> float:
        return ((one[0] + other[0]) * axis[0] + (one[1] + other[1]) * axis[1]) / 2

    left = between(quad.top_left, quad.bottom_left, frame.along)
    right = between(quad.top_right, quad.bottom_right, frame.along)
    top = between(quad.top_left, quad.top_right, frame.up)
    bottom = between(quad.bottom_left, quad.bottom_right, frame.up)
    return _Span(_visual(word.text), left, right, (top + bottom) / 2, abs(top - bottom))


def _width(span: _Span) -> float:
    return max(span.right - span.left, _MIN_EXTENT)


def _visual(text: str) -> str:
    """Characters from left to right as they stand on the page: readers turn right-to-left words back themselves."""
    right_to_left = sum(unicodedata.bidirectional(character) in ("R", "AL") for character in text)
    return text[::-1] if 2 * right_to_left > len(text) else text


def _height(spans: Sequence[_Span]) -> float:
    """The line's height: its highest word's, unless that is far off the others' (a bracket over two lines)."""
    heights = [span.height for span in spans]
    return max(min(max(heights), 1.5 * statistics.median(heights)), _MIN_EXTENT)


def _middles(spans: Sequence[_Span], height: float, climb: float) -> list[float]:
    """Where each word's middle lies across the line, which climbs by ``climb``.

    A word lower than the line (no ascender, a dash) says little about where its baseline is: it takes its place from
    the nearest word that fills the line's height.
    """
    full = [span for span in spans if span.height >= _FULL_HEIGHT * height] or list(spans)
    middles = []
    for span in spans:
        nearest = min(full, key=lambda other, left=span.left: abs(other.left - left))  # type: ignore[misc]
        middles.append(nearest.middle + climb * (span.left + span.right - nearest.left - nearest.right) / 2)
    level = statistics.median(middles)
    if max(abs(middle - level) for middle in middles) < _LEVEL * height:
        return [level] * len(middles)
    return middles


def _number(value: float, places: int = 3) -> str:
    """A PDF number: no exponent, no needless zeros."""
    text = f"{value:.{places}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
