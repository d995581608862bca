"""Where words stand: their quads, snapped to the ink of their strip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engines.api import Quad
from engines.scribe.detector.strips import MARGIN
from engines.scribe.windows import HEIGHT, Rails
from engines.scribe.wordinator.candidates import Candidate
from engines.scribe.wordinator.stitch import Gaps

INK_TOP = HEIGHT * MARGIN / (1 + 2 * MARGIN)
"""Row of a strip at which its line's ink begins; it ends as far from the other edge."""


def quads(rails: Rails, words: Sequence[Candidate]) -> list[Quad]:
    """The page's px of words of one strip, over the height of the line's ink."""
    extents = [_extent(word.strip.blanks, word.fired, word.neighbours, word.strip.length) for word in words]
    top, bottom = rails.at(np.array(extents, np.float32).ravel())
    part = (bottom - top) * np.float32(INK_TOP / HEIGHT)
    upper, lower = (top + part).tolist(), (bottom - part).tolist()
    return [
        Quad(tuple(upper[i]), tuple(upper[i + 1]), tuple(lower[i + 1]), tuple(lower[i]))
        for i in range(0, len(upper), 2)
    ]


def _extent(
    blanks: Gaps,
    fired: tuple[float, float],
    neighbours: tuple[float, float],
    length: int,
) -> tuple[float, float]:
    """Where the ink of a word begins and ends, whose first and last characters fired at the columns ``fired``.

    The word is bounded by the widest ``blanks`` to its left and right, short of the ``neighbours``' characters.
    """
    starts, ends = blanks
    (first, last), (before, after) = fired, neighbours
    left, right = max(0.0, (before + first) / 2), min(float(length), (last + after) / 2)
    middle = (starts + ends) / 2
    a, b = np.searchsorted(middle, (before, first))
    if a < b:
        left = float(ends[a + np.argmax((ends - starts)[a:b])])
    a, b = np.searchsorted(middle, (last, after))
    if a < b:
        right = float(starts[a + np.argmax((ends - starts)[a:b])])
    left, right = min(left, first), max(right, last)
    return max(0.0, left), min(float(length), max(right, left + 1.0))
