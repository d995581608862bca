"""Which points lie in which boxes, without looking at every pair."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Indices = NDArray[np.intp]

MAX_PAIRS = 4_000_000
"""More pairs than this come from noise; the boxes that come last are then answered with nothing."""


def points_in_boxes(
    points: tuple[Floats, Floats], boxes: tuple[Floats, Floats, Floats, Floats]
) -> tuple[Indices, Indices]:
    """Pairs (box, point) of indices such that the point (x, y) lies in the box (x0, y0, x1, y1), its edges included.

    Points are filed by bands of rows and, in a band, by x; a box asks every band that it crosses.
    """
    px, py = points
    x0, y0, x1, y1 = boxes
    none = np.zeros(0, np.intp)
    if not len(px) or not len(x0):
        return none, none
    band = max(1.0, float(np.median(y1 - y0)) / 2)
    floor = float(px.min()) - 1
    span = float(px.max()) - floor + 2
    row = np.floor(py.astype(np.float64) / band)
    key = row * span + (px - floor)
    order = np.argsort(key, kind="stable")
    key = key[order]
    top = np.maximum(np.floor(y0.astype(np.float64) / band), row.min())
    bottom = np.minimum(np.floor(y1.astype(np.float64) / band), row.max())
    rows = np.maximum(bottom - top + 1, 0).astype(np.intp)
    box = np.repeat(np.arange(len(x0)), rows)
    asked = (np.repeat(top, rows) + _counted(rows)) * span
    left = np.clip(x0.astype(np.float64) - floor, 0, span)
    right = np.clip(x1.astype(np.float64) - floor, 0, span - 1)
    low = np.searchsorted(key, asked + left[box], side="left")
    number = np.maximum(np.searchsorted(key, asked + right[box], side="right") - low, 0)
    if number.sum() > MAX_PAIRS:
        number[np.cumsum(number) > MAX_PAIRS] = 0
    box = np.repeat(box, number)
    point = order[np.repeat(low, number) + _counted(number)]
    inside = (py[point] >= y0[box]) & (py[point] <= y1[box])
    return box[inside], point[inside]


def _counted(lengths: Indices) -> Indices:
    """0, 1, ... n-1 for each n of ``lengths``, one after the other."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) - np.repeat(ends - lengths, lengths)
