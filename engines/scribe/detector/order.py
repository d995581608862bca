"""Reading order: columns of running text one after the other, else rows from top to bottom, each from left to right.

A recursive XY-cut (Nagy and Seth 1984) on the boxes of lines. A gutter of white counts as a column's edge only where
what stands on both sides is running text: tables and receipts, short pieces side by side, are read row by row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]
Indices = NDArray[np.intp]

GUTTER = 0.8
"""A gutter is at least so many line heights wide."""
MIN_LINES = 4
"""A column has at least so many lines."""
RUNNING = 6.0
"""Lines of running text are, in the median, at least so many times as long as high."""
MAX_DEPTH = 8


def reading_order(boxes: Boxes, skew: float) -> Indices:
    """Indices of ``boxes`` (n, 4: x0, y0, x1, y1; px) in reading order; ``skew`` is the slope of the page's lines."""
    if not len(boxes):
        return np.zeros(0, np.intp)
    level = boxes.astype(np.float64)
    shift = skew * (level[:, 0] + level[:, 2]) / 2
    level[:, 1] -= shift
    level[:, 3] -= shift
    return np.array(_ordered(level, np.arange(len(boxes)), MAX_DEPTH), np.intp)


def _ordered(boxes: NDArray[np.float64], members: Indices, depth: int) -> list[int]:
    at = _gutter(boxes[members]) if depth and len(members) >= 2 * MIN_LINES else None
    if at is None:
        return _rows(boxes, members)
    x0, x1 = boxes[members, 0], boxes[members, 2]
    middle = (boxes[members, 1] + boxes[members, 3]) / 2
    across = (x0 < at) & (x1 > at)
    out: list[int] = []
    floors = [*np.sort(middle[across]).tolist(), np.inf]
    ceiling = -np.inf
    for floor in floors:
        band = ~across & (middle > ceiling) & (middle <= floor)
        for side in (band & (x1 <= at), band & (x0 >= at)):
            out += _ordered(boxes, members[side], depth - 1)
        out += members[across & (middle == floor)].tolist()
        ceiling = floor
    return out


def _gutter(boxes: NDArray[np.float64]) -> float | None:
    """The x of the widest gutter between columns of running text, None where there is none."""
    x0, x1, width = boxes[:, 0], boxes[:, 2], boxes[:, 2] - boxes[:, 0]
    height = boxes[:, 3] - boxes[:, 1]
    left, right = x0.min(), x1.max()
    narrow = width < 0.6 * (right - left)
    if narrow.sum() < 2 * MIN_LINES:
        return None
    order = np.argsort(x0[narrow])
    starts, reach = x0[narrow][order], np.maximum.accumulate(x1[narrow][order])
    gaps = starts[1:] - reach[:-1]
    usual = float(np.median(height))
    for index in np.argsort(-gaps):
        if gaps[index] < GUTTER * usual:
            return None
        at = float((starts[index + 1] + reach[index]) / 2)
        sides = (narrow & (x1 <= at), narrow & (x0 >= at))
        if all(side.sum() >= MIN_LINES and np.median(width[side] / height[side]) >= RUNNING for side in sides):
            return at
    return None


def _rows(boxes: NDArray[np.float64], members: Indices) -> list[int]:
    """Row by row: a box belongs to the row whose middle it covers and that covers its middle."""
    middle = (boxes[members, 1] + boxes[members, 3]) / 2
    out: list[int] = []
    row: list[int] = []
    bottom = -np.inf
    for index in np.argsort(middle, kind="stable"):
        member = int(members[index])
        if row and middle[index] > bottom:
            out += sorted(row, key=lambda i: boxes[i, 0])
            row = []
        row.append(member)
        low = float(np.mean([(boxes[i, 1] + 3 * boxes[i, 3]) / 4 for i in row]))
        bottom = low
    return out + sorted(row, key=lambda i: boxes[i, 0])
