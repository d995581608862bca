"""Crops of a page in which letters can be told upright from turned: where its text seems to be, at one letter size.

A page as a whole says little of 0 against 180 degrees; a handful of letters says much. So places with marks of letters'
size are looked for in a small copy, whichever way the text runs, and cut from the page itself at a scale where letters
are about as large everywhere. Nothing here knows up from down: a turned page gives about the same crops, turned.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]

SIDE = 64
"""Rows and columns of a crop, px."""
LETTER = 11.0
"""The usual mark's size in a crop, px: capitals are about 14 high, and a crop shows two or three lines."""
MOST = 48
"""Crops of a page at most."""

_AREA = 700_000
"""Pages of more px are searched in a small copy that has so many."""
_NEARBY = 31
"""Marks are darker than the mean of a square of this side, px of the small copy."""
_FAINTEST = 12
"""Marks differ from their surroundings by so many grey levels at least."""
_SHARE = 0.3
"""And by this share of what the strongest marks do."""
_SMALLEST, _LARGEST = 3.0, 90.0
"""Sizes of marks that may be letters, px of the small copy."""
_MAX_MARKS = 20_000
"""More marks than this are noise: every second, third... of them is looked at."""


def crops(grey: Grey, most: int = MOST) -> Grey:
    """Up to ``most`` crops, uint8 (n, `SIDE`, `SIDE`), of a grey page (height, width); none where none are found."""
    return next(batches(grey, most, most), np.zeros((0, SIDE, SIDE), np.uint8))


def batches(grey: Grey, size: int, most: int = MOST) -> Iterator[Grey]:
    """Up to ``most`` crops of a page, ``size`` at a time, cut when they are asked for.

    Each batch is spread over the page as the rest are.
    """
    halves = _halves(grey)
    small = _within_area(halves[-1])
    x, y, usual = _marks(small)
    if not len(x):
        return
    side = SIDE * usual / LETTER
    centres = _places(x, y, 0.75 * side)[:most]
    # The smallest copy that shows as much as a crop does: the page itself may be far larger.
    page = next((half for half in reversed(halves) if side * half.shape[1] >= SIDE * small.shape[1]), grey)
    scale = page.shape[1] / small.shape[1]
    for start in range(0, len(centres), size):
        yield np.stack([_cut(page, centre * scale, side * scale) for centre in centres[start : start + size]])


def _halves(grey: Grey) -> list[Grey]:
    """The page, half of it, half of that and so on, as long as that leaves more than `_AREA`."""
    pages = [grey]
    while pages[-1].size > 4 * _AREA and min(pages[-1].shape) > 1:
        height, width = pages[-1].shape[0] // 2, pages[-1].shape[1] // 2
        # By exactly two: OpenCV is ten times slower at any other factor.
        even = pages[-1][: 2 * height, : 2 * width]
        pages.append(np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), np.uint8))
    return pages


def _within_area(grey: Grey) -> Grey:
    """The page in `_AREA` px at most."""
    if grey.size <= _AREA:
        return grey
    scale = (_AREA / grey.size) ** 0.5
    size = (max(1, int(grey.shape[1] * scale)), max(1, int(grey.shape[0] * scale)))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _marks(small: Grey) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Centres of the marks of about letters' size, px of ``small``, and that size."""
    none = np.zeros(0, np.float32)
    mean = cv2.blur(small, (_NEARBY, _NEARBY), borderType=cv2.BORDER_REPLICATE)
    strength, level = max(
        ((side, _strongest(side)) for side in (cv2.subtract(mean, small), cv2.subtract(small, mean))),
        key=lambda found: found[1],
    )
    threshold = max(_FAINTEST, _SHARE * level)
    _, mask = cv2.threshold(strength, threshold, 1, cv2.THRESH_BINARY)
    _, _, stats, centres = cv2.connectedComponentsWithStats(np.asarray(mask, np.uint8), connectivity=8)
    step = -(-len(stats) // _MAX_MARKS)
    stats, centres = stats[1::step], centres[1::step]
    wide, tall = stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]
    short, long = np.minimum(wide, tall), np.maximum(wide, tall)
    mark = np.minimum(long, 1.3 * short)
    likely = (mark >= _SMALLEST) & (mark <= _LARGEST) & (long <= 12 * short)
    likely &= stats[:, cv2.CC_STAT_AREA] >= 0.12 * wide * tall
    if not likely.any():
        return none, none, 0.0
    mark, centres = mark[likely], centres[likely].astype(np.float32)
    order = np.argsort(mark)
    reached = np.cumsum(mark[order])
    usual = float(mark[order][np.searchsorted(reached, reached[-1] / 2)])
    alike = (mark >= 0.45 * usual) & (mark <= 2.2 * usual)
    return centres[alike, 0], centres[alike, 1], usual


def _strongest(difference: cv2.typing.MatLike) -> int:
    """The level that one pixel in a thousand passes; every fourth row tells."""
    counts = np.cumsum(cv2.calcHist([difference[::4]], [0], None, [256], [0, 256]).ravel()[::-1])
    return 255 - int(np.searchsorted(counts, 0.001 * counts[-1]))


def _places(x: NDArray[np.float32], y: NDArray[np.float32], cell: float) -> NDArray[np.float64]:
    """Middles (n, 2) of the marks in each square of the page of side ``cell``: the fuller half first, each spread."""
    column, row = (x / cell).astype(np.int64), (y / cell).astype(np.int64)
    _, label, count = np.unique(row * 1_000_003 + column, return_inverse=True, return_counts=True)
    middles = np.stack([np.bincount(label, x) / count, np.bincount(label, y) / count], axis=1)
    ranked = np.argsort(-count, kind="stable")
    full = ranked[: max(MOST, len(ranked) // 2)]
    spread = np.random.default_rng(len(full)).permutation(len(full))
    return np.asarray(middles[full[spread]], np.float64)


def _cut(grey: Grey, centre: NDArray[np.float64], side: float) -> Grey:
    """The square of ``side`` px about ``centre``, moved into the page where it would leave it, as one crop."""
    height, width = grey.shape
    span = max(1, round(side))
    left = int(np.clip(round(centre[0] - side / 2), 0, max(0, width - span)))
    top = int(np.clip(round(centre[1] - side / 2), 0, max(0, height - span)))
    part = grey[top : top + span, left : left + span]
    if part.shape != (span, span):
        down, right = span - part.shape[0], span - part.shape[1]
        part = np.asarray(cv2.copyMakeBorder(part, 0, down, 0, right, cv2.BORDER_REPLICATE), np.uint8)
    how = cv2.INTER_AREA if span > SIDE else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, (SIDE, SIDE), interpolation=how), np.uint8)
