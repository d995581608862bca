"""From strips of characters to lines of words: where words begin and end, what is noise, where each stands on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.api import Line, Point, Quad, Word
from engines.scribe.detector.strips import MARGIN
from engines.scribe.windows import HEIGHT, Rails, Reading, Windows
from engines.scribe.wordinator.spaces import breaks, gaps
from engines.scribe.wordinator.stitch import Strip, stitched
from engines.scribe.wordinator.trace import Act, Decision

NOISE = 0.25
"""Words of lower confidence are noise."""
NOISE_SHORT = 0.45
"""So are words of one character of lower confidence than this."""
INK_TOP = HEIGHT * MARGIN / (1 + 2 * MARGIN)
"""Row of a strip at which its line's ink begins; it ends as far from the other edge."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """A word and its place in the strip."""

    word: Word
    left: float
    right: float


def words(windows: Windows, readings: Sequence[Reading]) -> tuple[tuple[Line, ...], tuple[Decision, ...]]:
    """The lines of words that ``readings`` of ``windows`` spell, in reading order, and each decision taken on the way."""
    trace: list[Decision] = []
    found: list[tuple[Rails, list[Word]]] = []
    given = list(readings)
    if not given:
        return (), ()
    starts = np.flatnonzero(np.concatenate([[True], windows.line[1:] != windows.line[:-1]]))
    for members in np.split(np.arange(len(given)), starts[1:]):
        if not any(given[place].text for place in members):
            continue
        strip = stitched(windows, given, members, trace)
        rail = windows.rails[strip.line]
        placed = _words(strip, rail, trace)
        if placed:
            found.append((rail, placed))
    return tuple(_lines([its_words for _, its_words in found])), tuple(trace)


def _words(strip: Strip, rail: Rails, trace: list[Decision]) -> list[Word]:
    """The words of a strip."""
    space = np.array([character.isspace() for character in strip.text], np.bool_)
    letters = np.flatnonzero(~space)
    if not len(letters):
        return []
    columns = strip.columns[letters]
    seen = np.diff(np.cumsum(space)[letters]) > 0
    starts, ends = gaps(strip.ink)
    cut = breaks(strip, letters, seen, trace)
    out: list[Word] = []
    first = 0
    for last in [*np.flatnonzero(cut).tolist(), len(letters) - 1]:
        chosen = letters[first : last + 1]
        text = "".join(strip.text[i] for i in chosen)
        confidence = float(np.prod(strip.probabilities[chosen].astype(np.float64)))
        noise = NOISE_SHORT if len(text) == 1 else NOISE
        if confidence ** (1 / max(1.0, len(text) ** 0.5)) < noise:
            trace.append(Decision(Act.DROP, strip.line, float(columns[first]), text, confidence))
        else:
            before = columns[first - 1] if first else -1.0
            after = columns[last + 1] if last + 1 < len(letters) else len(strip.ink) + 1.0
            left, right = _extent(starts, ends, columns[first], columns[last], before, after, len(strip.ink))
            out.append(Word(text, min(confidence, 1.0), _quad(rail, left, right)))
        first = last + 1
    return out


def _extent(
    starts: NDArray[np.intp],
    ends: NDArray[np.intp],
    first: float,
    last: float,
    before: float,
    after: float,
    length: int,
) -> tuple[float, float]:
    """Where the ink of a word begins and ends, whose first and last characters fired at ``first`` and ``last``.

    The word is bounded by the widest gaps of ink to its left and right, short of its neighbours' characters.
    """
    middle = (starts + ends) / 2
    left_gaps = np.flatnonzero((middle > before) & (middle < first))
    right_gaps = np.flatnonzero((middle > last) & (middle < after))
    width = ends - starts
    left = float(ends[left_gaps[np.argmax(width[left_gaps])]]) if len(left_gaps) else max(0.0, (before + first) / 2)
    right = float(starts[right_gaps[np.argmax(width[right_gaps])]]) if len(right_gaps) else min(length, (last + after) / 2)
    left, right = min(left, float(first)), max(right, float(last))
    return max(0.0, left), min(float(length), max(right, left + 1.0))


def _quad(rail: Rails, left: float, right: float) -> Quad:
    """The page's px of strip columns ``left`` to ``right``, over the height of the line's ink."""
    top, bottom = rail.at(np.array([left, right], np.float32))
    part = np.float32(INK_TOP / HEIGHT)
    upper, lower = top + (bottom - top) * part, bottom - (bottom - top) * part
    return Quad(_point(upper[0]), _point(upper[1]), _point(lower[1]), _point(lower[0]))


def _point(at: NDArray[np.float32]) -> Point:
    return float(at[0]), float(at[1])


def _lines(strips: list[list[Word]]) -> list[Line]:
    """Strips, in reading order, as lines: those that stand side by side on one baseline are one line."""
    out: list[list[Word]] = []
    for its_words in strips:
        if out and _same_line(out[-1][-1].quad, its_words[0].quad):
            out[-1].extend(its_words)
        else:
            out.append(list(its_words))
    return [Line(tuple(its_words), _around(its_words)) for its_words in out]


def _same_line(left: Quad, right: Quad) -> bool:
    """True where the right quad goes on where the left one ends, at about the same height."""
    top, bottom = left.top_right[1], left.bottom_right[1]
    other_top, other_bottom = right.top_left[1], right.bottom_left[1]
    shared = min(bottom, other_bottom) - max(top, other_top)
    small = min(bottom - top, other_bottom - other_top)
    return shared >= 0.6 * small and right.top_left[0] >= left.top_right[0] - small / 2


def _around(its_words: list[Word]) -> Quad:
    first, last = its_words[0].quad, its_words[-1].quad
    return Quad(first.top_left, last.top_right, last.bottom_right, first.bottom_left)
