"""Chains: letters linked to their neighbours, and chains that go on along one baseline."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.scribe.detector.fit import Lines, Regions
from engines.scribe.detector.near import Floats, Indices, points_in_boxes

LETTER_GAP = 1.3
"""Letters of a chain are at most this many letter heights apart."""
WORD_GAP = 2.2
"""Chains of a line are at most this many line heights apart; wider gaps are columns."""
OVERLAP = 2.4
"""Chains of a line overlap by at most this many line heights: the pieces of broken letters that stand between them may
have gone to either."""
BAND = 0.75
"""And then both fill this part of the higher one's height at least, where their baselines differ."""
SAME_INK = 0.4
"""The fainter of two neighbours in a chain has at least this part of the other's contrast: creases have less."""


def chained(letters: Regions) -> Indices:
    """A label for each letter: those of a chain of mutually nearest neighbours, left to right, share theirs."""
    count = len(letters)
    x0, x1, y0, y1 = (letters[name] for name in ("x0", "x1", "y0", "y1"))
    height, contrast = y1 - y0, letters["contrast"]
    scale = np.maximum(height, np.minimum(0.8 * (x1 - x0), 1.6 * height))
    reach = 1.5 * LETTER_GAP * scale
    first, second = points_in_boxes((x0, (y0 + y1) / 2), (x0, y0 - height, x1 + reach, y1 + height))
    tall = np.maximum(height[first], height[second])
    small = np.minimum(height[first], height[second])
    overlap = np.minimum(y1[first], y1[second]) - np.maximum(y0[first], y0[second])
    gap = x0[second] - x1[first]
    centre = np.abs(y0[first] + y1[first] - y0[second] - y1[second]) / 2
    fits = (
        (_before(x0, first, second))
        & (overlap >= 0.45 * small)
        & (tall <= 3.2 * small)
        & (gap <= LETTER_GAP * np.minimum(np.maximum(scale[first], scale[second]), 2 * small))
        & (gap >= -0.6 * np.minimum(x1[first] - x0[first], x1[second] - x0[second]))
        & (letters["light"][first] == letters["light"][second])
        & (np.minimum(contrast[first], contrast[second]) >= SAME_INK * np.maximum(contrast[first], contrast[second]))
    )
    first, second = first[fits], second[fits]
    cost = np.maximum(gap[fits], 0) + centre[fits] + 0.3 * (tall[fits] - small[fits])
    return _chains(count, first, second, cost)


def joined(chain: Lines) -> Indices:
    """A label for each chain: those that go on along the same baseline share theirs."""
    top, bottom = chain.base - chain.rise, chain.base + chain.drop
    tall = np.maximum(chain.rise, 0.8 * chain.size)
    lean = np.abs(chain.slope) * (chain.end - chain.start + 4 * tall) + 0.5 * tall
    begin = chain.base - chain.slope * (chain.middle - chain.start) - chain.rise / 2
    first, second = points_in_boxes(
        (chain.start, begin), (chain.start, top - lean, chain.end + WORD_GAP * 2 * tall, bottom + lean)
    )
    gap = chain.start[second] - chain.end[first]
    between = (chain.start[second] + chain.end[first]) / 2
    base, other = chain.at(between, first), chain.at(between, second)
    off = np.abs(base - other)
    # Pieces of a broken letter chain with its neighbours or with each other: then the band that both fill tells.
    shared = np.minimum(base + chain.drop[first], other + chain.drop[second])
    shared -= np.maximum(base - chain.rise[first], other - chain.rise[second])
    full = chain.rise + chain.drop
    same = (gap < 0) & (shared >= BAND * np.maximum(full[first], full[second]))
    small = np.minimum(tall[first], tall[second])
    large = np.maximum(tall[first], tall[second])
    fits = (
        _before(chain.start, first, second)
        & (gap <= WORD_GAP * np.where(large > 1.4 * small, 0.5 * large, small))
        & (gap >= -OVERLAP * small)
        & ((off <= 0.3 * small) | same)
        & (large <= 2.0 * small)
        & (chain.light[first] == chain.light[second])
    )
    first, second = first[fits], second[fits]
    cost = np.abs(gap[fits]) + off[fits] + 0.3 * (large[fits] - small[fits])
    return _chains(len(chain), first, second, cost)


def _before(x: Floats, first: Indices, second: Indices) -> NDArray[np.bool_]:
    """True where the first starts left of the second; equal starts count by index, so that no chain closes."""
    return np.asarray((x[first] < x[second]) | ((x[first] == x[second]) & (first < second)), np.bool_)


def _chains(count: int, first: Indices, second: Indices, cost: Floats) -> Indices:
    """Labels (count,) of chains: first and second are linked where each is the other's cheapest."""
    right = _cheapest(count, first, second, cost)
    left = _cheapest(count, second, first, cost)
    root = np.arange(count)
    linked = np.flatnonzero((left >= 0) & (right[left] == root))
    root[linked] = left[linked]
    for _ in range(int(count).bit_length()):
        root = root[root]
    return root


def _cheapest(count: int, first: Indices, second: Indices, cost: Floats) -> Indices:
    best = np.full(count, -1, np.intp)
    order = np.argsort(-cost, kind="stable")
    best[first[order]] = second[order]  # the last written, the cheapest, stays
    return best
