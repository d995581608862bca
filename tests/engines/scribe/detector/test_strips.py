"""Strips to windows: where cuts go, and what counts as ink."""

from __future__ import annotations

import itertools

import numpy as np

from engines.scribe.detector.strips import OVERLAP, cuts, ink_columns
from engines.scribe.windows import HEIGHT, WIDTH

PAPER, INK = 245, 20


def test_a_cut_through_a_narrow_gap_overlaps_as_a_word_may_go_on_there() -> None:
    ink = np.ones(3 * WIDTH, np.bool_)
    for start in range(50, len(ink) - 20, 60):
        ink[start : start + 8] = False
    parts = cuts(ink)
    assert len(parts) > 3
    for (offset, width), (following, _) in itertools.pairwise(parts):
        assert not ink[offset + width - 1]
        assert following == offset + width - OVERLAP
    assert sum(parts[-1]) == len(ink)


def test_a_cut_through_ink_overlaps() -> None:
    ink = np.ones(3 * WIDTH, np.bool_)
    parts = cuts(ink)
    assert parts[0] == (0, WIDTH)
    for (offset, width), (following, _) in itertools.pairwise(parts):
        assert following < offset + width - 24
    assert sum(parts[-1]) == len(ink)


def test_a_line_under_words_fills_no_gap_between_them() -> None:
    strip = np.full((HEIGHT, 120), PAPER, np.uint8)
    strip[6:22, 10:40] = strip[6:22, 60:100] = INK
    words = np.flatnonzero(ink_columns(strip))
    strip[24:26, 4:116] = INK
    assert (np.flatnonzero(ink_columns(strip)) == words).all()
    dash = np.full((HEIGHT, 40), PAPER, np.uint8)
    dash[14:18, 4:36] = INK
    assert np.flatnonzero(ink_columns(dash)).tolist() == list(range(4, 36))
