"""Lines: letter candidates chained to their neighbours, chains joined along their baselines, small marks taken in."""

from __future__ import annotations

import numpy as np

from engines.scribe.detector.chains import chained, joined
from engines.scribe.detector.fit import Lines, Regions, fit, skew
from engines.scribe.detector.near import Indices
from engines.scribe.detector.pieces import LIKELY, on_rows, stacked, united, with_marks
from engines.scribe.detector.textness import plausible

JOININGS = 2
"""A chain that lost its neighbour to a nearer one finds it again when that one has found its own."""
QUOTE = 0.6
"""Quotes and other marks that are as high as small letters are lower than this part of their line."""
MIN_HEIGHT = 4.0
"""Lower regions are marks, not letters, px of the working page."""


def lines(found: Regions) -> Lines:
    """Lines of the regions ``found`` (array of `regions.REGION`), both polarities, in no order."""
    fitted = candidates(found)
    return fitted.take(plausible(fitted))


def candidates(found: Regions) -> Lines:
    """Every line of the regions, print or not."""
    height = found["y1"] - found["y0"]
    width = found["x1"] - found["x0"]
    letter = (height >= MIN_HEIGHT) & (width <= 12 * height)
    usual = float(np.median(height[letter])) if letter.any() else 0.0
    bar = (width > 1.6 * height) & (found["area"] > 0.7 * width * height) & (height < 0.6 * usual)
    letter &= ~bar
    narrow = width < 1.3 * usual
    dots = np.flatnonzero((height < 0.45 * usual) & narrow)
    upper, lower = stacked(found[dots], usual)
    colons = united(found[dots[upper]], found[dots[lower]])
    letter[dots[upper]] = letter[dots[lower]] = narrow[dots[upper]] = narrow[dots[lower]] = False
    letters, label = _chained(found[letter], colons)
    slope = skew(fit(letters, label, skew=None))
    fitted = fit(letters, label, skew=slope)
    dots = np.flatnonzero((height < 0.6 * usual) & narrow)
    upper, lower = stacked(found[dots], usual, LIKELY)
    chosen, on_row = on_rows(united(found[dots[upper]], found[dots[lower]]), fitted)
    if len(on_row):
        letter[dots[upper[chosen]]] = letter[dots[lower[chosen]]] = False
        letters, label = _chained(found[letter], colons, on_row)
        fitted = fit(letters, label, skew=slope)
    for _ in range(JOININGS):
        label = joined(fitted)[label]
        _, label = np.unique(label, return_inverse=True)
        fitted = fit(letters, label, skew=slope)
    # A stop taken in brings the quote behind it into reach.
    return with_marks(with_marks(fitted, found[~letter]), found[:0], most=QUOTE)


def _chained(*parts: Regions) -> tuple[Regions, Indices]:
    """Letters of several kinds, and the number of each one's chain."""
    letters = np.concatenate(parts)
    _, label = np.unique(chained(letters), return_inverse=True)
    return letters, label
