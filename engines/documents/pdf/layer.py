"""The hidden text layer of a page: what was read, as a content stream that shows nothing and selects like print.

What readers of PDFs make of a layer differs. This form came through all those tried (see tests/pdf): one text object
for each line; a word and the space after it in one string, no space after the last; each word scaled across to its
box; glyphs with an outline. The line's matrix turns with the text, so skewed and turned lines need nothing more.
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


@dataclass(frozen=True, slots=True)
class _Span:
    """A word in the frame of its line, where x runs along the text and y up: its edges and its middle."""

    text: str
    left: float
    right: float
    middle: float
    height: float


def content(lines: Iterable[Line], to_user: Matrix, codes: Codes) -> bytes:
    """A content stream with the words of ``lines``, whose quads ``to_user`` maps to user space; empty without words.

    The stream leaves the graphics state as it was. It wants the font made of ``codes`` under the name `FONT`.
    """
    texts = [text for text in (_line(line, to_user, codes) for line in lines) if text]
    return "\n".join((f"q {_INVISIBLE} Tr", *texts, "Q", "")).encode("ascii") if texts else b""


def _line(line: Line, to_user: Matrix, codes: Codes) -> str:
    words = [word for word in line.words if word.text]
    if not words:
        return ""
    quads = [_mapped(word.quad, to_user) for word in words]
    along = _direction(quads)
    up = _upward(quads, along)
    spans = sorted(map(_span, words, quads, [along] * len(words), [up] * len(words)), key=lambda span: span.left)
    height = _height(spans)
    middles = _middles(spans, height)
    # The baseline lies so that the em box, from descent to ascent, is the line's height.
    baselines = [middle - height / 2 - height * DESCENT / UNITS for middle in middles]

    x, y = spans[0].left, baselines[0]
    origin = (along[0] * x + up[0] * y, along[1] * x + up[1] * y)
    parts = [
        "BT",
        f"/{FONT} {_number(height)} Tf",
        f"{_number(along[0], 6)} {_number(along[1], 6)} {_number(up[0], 6)} {_number(up[1], 6)}"
        f" {_number(origin[0])} {_number(origin[1])} Tm",
    ]
    last = len(spans) - 1
    for index, span in enumerate(spans):
        if index:
            parts.append(f"{_number(span.left - x)} {_number(baselines[index] - y)} Td")
            x, y = span.left, baselines[index]
        natural = len(span.text) * height * ADVANCE / UNITS
        stretch = 100 * max(span.right - span.left, _MIN_EXTENT) / natural
        text = codes.encode(span.text if index == last else span.text + " ").hex().upper()
        parts.append(f"{_number(stretch)} Tz <{text}> Tj")
    parts.append("ET")
    return "\n".join(parts)


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


def _span(word: Word, quad: Quad, along: Point, up: Point) -> _Span:
    def at(point: Point, axis: Point) -> float:
        return point[0] * axis[0] + point[1] * axis[1]

    left = (at(quad.top_left, along) + at(quad.bottom_left, along)) / 2
    right = (at(quad.top_right, along) + at(quad.bottom_right, along)) / 2
    top = (at(quad.top_left, up) + at(quad.top_right, up)) / 2
    bottom = (at(quad.bottom_left, up) + at(quad.bottom_right, up)) / 2
    return _Span(_visual(word.text), left, right, (top + bottom) / 2, top - bottom)


def _visual(text: str) -> str:
    """Characters from left to right as they stand on the page: readers turn right-to-left words back themselves."""
    right_to_left = sum(unicodedata.bidirectional(character) in ("R", "AL") for character in text)
    return text[::-1] if 2 * right_to_left > len(text) else text


def _height(spans: Sequence[_Span]) -> float:
    """The line's height: its highest word's, unless that is far off the others' (a bracket over two lines)."""
    heights = [span.height for span in spans]
    return max(min(max(heights), 1.5 * statistics.median(heights)), _MIN_EXTENT)


def _middles(spans: Sequence[_Span], height: float) -> list[float]:
    """Where each word's middle lies across the line.

    A word lower than the line (no ascender, a dash) says little about where its baseline is: it takes the place of the
    nearest word that fills the line's height.
    """
    full = [span for span in spans if span.height >= _FULL_HEIGHT * height] or list(spans)
    nearest = [min(full, key=lambda other, at=span.left: abs(other.left - at)).middle for span in spans]  # type: ignore[misc]
    level = statistics.median(nearest)
    return [level if abs(middle - level) < _LEVEL * height else middle for middle in nearest]


def _number(value: float, places: int = 3) -> str:
    """A PDF number: no exponent, no needless zeros."""
    text = f"{value:.{places}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
