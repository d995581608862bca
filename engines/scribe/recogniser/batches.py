"""Which windows are read together, and in how many columns: a net's time goes by both."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from engines.scribe.windows import WIDTH

WIDTHS = tuple(range(64, WIDTH + 1, 16))
"""Columns of the forms in which windows are read, px: of each as many as its text needs."""
ROOM = 8
"""Columns of paper that a form keeps behind the text, px."""
SIZES = (1, 4, 16)
"""Windows in a batch. More at once take little less time each and dirty more memory in a fresh child; with 2 and 8 the
nets would need a seventieth less time, and the zygote 44 MB more for what oneDNN keeps of each form."""
_CALL = 1.3
"""What a batch takes beside what its windows do, in windows of as many columns."""


def columns(pixels: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Of `WIDTHS` the least for each window, uint8 (n, HEIGHT, WIDTH): all before its padding, and `ROOM`."""
    padding = (pixels == pixels[:, :, -1:]).all(1)[:, ::-1].argmin(1)
    padding[(pixels == pixels[:, :1, :1]).all((1, 2))] = pixels.shape[2]
    needed = np.minimum(pixels.shape[2] - padding + ROOM, WIDTHS[-1])
    found: NDArray[np.intp] = np.array(WIDTHS)[np.searchsorted(WIDTHS, needed)]
    return found


def batches(needed: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.intp], int]]:
    """Indices of windows to read together, and in how many columns; ``needed`` (n,): what each needs.

    The cheapest way to deal out windows, the narrower first, to batches of `SIZES`, each as wide as its widest window:
    by dynamic programming over how many are dealt out."""
    order = np.argsort(needed, kind="stable")
    rising = needed[order].tolist()
    cost, last = [0.0], [0]
    for end, width in enumerate(rising, 1):
        least, size = min((cost[end - size] + (size + _CALL) * width, size) for size in SIZES if size <= end)
        cost.append(least)
        last.append(size)
    end = len(rising)
    while end:
        yield order[end - last[end] : end], rising[end - 1]
        end -= last[end]
