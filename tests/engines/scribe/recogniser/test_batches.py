"""How windows are dealt out to batches."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engines.scribe.recogniser.batches import SIZES, WIDTHS, batches


def dealt(needed: list[int]) -> list[tuple[list[int], int]]:
    return [(chosen.tolist(), width) for chosen, width in batches(np.array(needed, np.intp))]


@given(st.lists(st.sampled_from(WIDTHS), max_size=60))
def test_each_window_is_in_one_batch_wide_enough_for_it(needed: list[int]) -> None:
    found = dealt(needed)
    assert sorted(itertools.chain.from_iterable(chosen for chosen, _ in found)) == list(range(len(needed)))
    assert all(len(chosen) in SIZES and width in WIDTHS for chosen, width in found)
    assert all(width == max(needed[place] for place in chosen) for chosen, width in found)


def test_windows_of_like_width_are_read_together_and_a_far_narrower_one_alone() -> None:
    assert dealt([256] * 16) == [(list(range(16)), 256)]
    assert sorted(dealt([240, 256, 240, 256]), key=str) == [([0, 2, 1, 3], 256)]
    assert sorted(dealt([64, *[256] * 4])) == [([0], 64), ([1, 2, 3, 4], 256)]
