"""Strips: lines straightened between their rails, and the windows cut from them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.scribe.detector.fit import Lines
from engines.scribe.detector.pyramid import Pyramid
from engines.scribe.windows import HEIGHT, STEP, WIDTH, Rails

MARGIN = 0.15
"""Room above and below a line's ink, as a part of the ink's height; the net is trained with this."""
SIDE = 0.25
"""Room left and right of a line's ink, as a part of the ink's height."""
MAX_COLUMNS = 64 * WIDTH
"""Longer strips are noise a pixel high; they are squeezed."""
RULED = 0.75
"""Rows of a strip that are dark over more of their length than this are no row of letters."""
STRAIGHT = 0.3
"""Rails that leave a straight line by less than this, px, are cut in one affine step."""
MAX_SHRINK = 1.5
"""Strips that would shrink more than this are cut from a smaller copy of the page, so that no pixel goes unseen."""


def rails(line: Lines, scale: float, shape: tuple[int, ...]) -> list[Rails]:
    """A pair of rails for each line, in px of the full page of ``shape`` (height, width), inside it.

    ``scale`` is px of the page per px of the lines.
    """
    full = line.rise + line.drop
    start = np.maximum(line.start - SIDE * full, 0).astype(np.float64)
    end = np.minimum(line.end + SIDE * full, shape[1] / scale).astype(np.float64)
    strip_height = (1 + 2 * MARGIN) * full
    columns = np.ceil((end - start) * np.hypot(1.0, line.slope) / strip_height * HEIGHT)
    columns = np.clip(columns, 1, MAX_COLUMNS).astype(np.intp)
    points = -(-columns // STEP) + 1
    which = np.repeat(np.arange(len(line)), points)
    ends = np.cumsum(points)
    x = start[which] + (np.arange(len(which)) - (ends - points)[which]) * (STEP * (end - start) / columns)[which]
    from_middle = x - line.middle[which]
    slope = line.slope[which] + 2 * line.bend[which] * from_middle
    foot = np.stack([x, line.at(x, which)], axis=1)
    up = np.stack([slope, np.full(len(x), -1.0)], axis=1) / (1 + slope * slope)[:, None]
    top = foot + up * (line.rise + MARGIN * full)[which][:, None]
    bottom = foot - up * (line.drop + MARGIN * full)[which][:, None]
    limit = np.array([shape[1], shape[0]], np.float64)
    top = np.clip(top * scale, 0, limit).astype(np.float32)
    bottom = np.clip(bottom * scale, 0, limit).astype(np.float32)
    return (
        [
            Rails(its_top, its_bottom, int(length), bool(light))
            for its_top, its_bottom, length, light in zip(
                np.split(top, ends[:-1]), np.split(bottom, ends[:-1]), columns, line.light, strict=True
            )
        ]
        if len(line)
        else []
    )


def strip(pyramid: Pyramid, rail: Rails) -> NDArray[np.uint8]:
    """What lies between the rails, uint8 (HEIGHT, columns), dark on light."""
    height = float(np.hypot(*(rail.bottom[0] - rail.top[0])))
    page, scale = pyramid.shrunk(height / HEIGHT)
    if _straight(rail.top) and _straight(rail.bottom):
        span = (len(rail.top) - 1) * STEP
        along = (rail.top[-1] - rail.top[0]) * (scale / span)
        down = (rail.bottom[0] - rail.top[0]) * (scale / HEIGHT)
        origin = rail.top[0] * scale + (along + down) / 2 - 0.5
        matrix = np.stack([along, down, origin], axis=1).astype(np.float64)
        cut = cv2.warpAffine(
            page,
            matrix,
            (rail.columns, HEIGHT),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    else:
        top, bottom = rail.at(np.arange(rail.columns, dtype=np.float32) + np.float32(0.5))
        part = ((np.arange(HEIGHT, dtype=np.float32) + 0.5) / HEIGHT)[:, None, None]
        points = (top[None] + (bottom - top)[None] * part) * np.float32(scale) - np.float32(0.5)
        x, y = np.ascontiguousarray(points[:, :, 0]), np.ascontiguousarray(points[:, :, 1])
        cut = cv2.remap(page, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.bitwise_not(cut) if rail.inverted else cut, np.uint8)


def _straight(points: NDArray[np.float32]) -> bool:
    """True where points that are evenly spaced lie on a line, within a fraction of a px."""
    part = np.arange(len(points), dtype=np.float32)[:, None] / np.float32(len(points) - 1)
    return bool(np.abs(points - points[0] - (points[-1] - points[0]) * part).max() < STRAIGHT)


def middle_grey(pixels: NDArray[np.uint8]) -> int:
    """The median of pixels; of a strip, its ground."""
    return _quantile(pixels, 0.5)


def _quantile(pixels: NDArray[np.uint8], share: float) -> int:
    place = int(pixels.size * share)
    return int(np.partition(pixels.ravel(), place)[place])


def ink_columns(cut: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """True for the columns of a strip that hold ink (the rows at its edges, where neighbours show, and those of a line
    ruled through or under it left out)."""
    core = cut[3:-3]
    ground = _quantile(core[::2, ::3], 0.7)
    dark = core < ground - 0.35 * (ground - int(core.min(initial=255)))
    ruled = dark.sum(axis=1) > RULED * dark.shape[1]
    if ruled.any() and dark[~ruled].any():
        ruled[1:] |= ruled[:-1].copy()
        ruled[:-1] |= ruled[1:].copy()
        dark[ruled] = False
    return np.asarray(dark.any(axis=0), np.bool_)


def cuts(ink: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Windows of a strip as (offset, width): through the widest gaps in reach, else through ink; overlapping where the
    cut may part a word."""
    length = len(ink)
    starts, ends = _gaps(ink)
    out: list[tuple[int, int]] = []
    at = 0
    while length - at > WIDTH:
        left = length - at
        fair = left / -(-left // WIDTH)
        low, high = at + max(WIDTH // 3, int(fair * 0.6)), at + WIDTH
        middle = (starts + ends) / 2
        near = np.flatnonzero((middle >= low) & (middle <= high))
        gap = (ends - starts)[near]
        wide = gap >= MIN_GAP
        if wide.any():
            score = np.minimum(gap, WORD_SPACE) * 8.0 - np.abs(middle[near] - (at + fair)) * 0.25
            best = near[np.argmax(np.where(wide, score, -np.inf))]
            stop = int(middle[best])
            out.append((at, stop - at))
            at = stop if ends[best] - starts[best] >= BETWEEN_WORDS else stop - OVERLAP
        else:
            out.append((at, WIDTH))
            at += WIDTH - OVERLAP
    out.append((at, length - at))
    return out


MIN_GAP = 7
"""A cut between two windows wants a gap of so many columns free of ink; narrower ones may lie inside a word."""
WORD_SPACE = 12
"""A wider gap makes no better cut."""
BETWEEN_WORDS = 10
"""Through a gap of fewer a word may go on, as digits set wide do: one window has to look across."""
OVERLAP = 40
"""Columns that two windows share where a cut may part a word: about one letter and a half, and room for doubt."""


def _gaps(ink: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Starts and ends of the runs without ink."""
    edges = np.diff(np.concatenate([[True], ink, [True]]).astype(np.int8))
    return np.flatnonzero(edges == -1), np.flatnonzero(edges == 1)
