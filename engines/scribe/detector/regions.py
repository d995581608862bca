"""Letter candidates: connected regions of ink, dark on light and light on dark, with rules, frames and pictures dropped."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.scribe.detector.ink import threshold

REGION = np.dtype(
    [
        ("x0", np.float32),
        ("y0", np.float32),
        ("x1", np.float32),
        ("y1", np.float32),
        ("area", np.float32),
        ("light", np.bool_),
    ]
)
"""A region's box (px, ``x1`` and ``y1`` exclusive), its area in px, and whether it is light on dark."""

RULE_LENGTH = 56
"""Runs of ink of this length, px, are rules if they are thin."""
RULE_THICKNESS = 7
"""Rules are thinner than this, px."""
MAX_REGIONS = 24_000
"""A page of more is noise: the largest are kept."""
MAX_PANELS = 40
"""Dark panels searched for light text, the largest first."""


def regions(grey: NDArray[np.uint8]) -> NDArray[np.void]:
    """Letter candidates of a grey page (height, width) as an array of `REGION` (n,)."""
    dark = np.less(grey, threshold(grey)).view(np.uint8)
    dark -= _rules(dark)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(dark, connectivity=8, ltype=cv2.CV_32S)
    stats = stats[1:]
    found = [_candidates(stats, light=False)]
    for label in _panels(stats, dark.shape):
        found.append(_light_inside(labels, label + 1, stats[label]))
    merged = np.concatenate(found)
    if len(merged) > MAX_REGIONS:
        merged = merged[np.argpartition(merged["area"], -MAX_REGIONS)[-MAX_REGIONS:]]
    return merged[~_frames(merged, grey.shape)]


def _rules(dark: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The thin, long, straight runs of ink: table lines, underlines, frames; letters that touch them come free."""
    rules = np.zeros_like(dark)
    for long, thick in (
        ((RULE_LENGTH, 1), (1, RULE_THICKNESS)),
        ((1, RULE_LENGTH), (RULE_THICKNESS, 1)),
    ):
        runs = cv2.morphologyEx(dark, cv2.MORPH_OPEN, np.ones(long[::-1], np.uint8), borderValue=0)
        runs -= cv2.morphologyEx(runs, cv2.MORPH_OPEN, np.ones(thick[::-1], np.uint8), borderValue=0)
        rules |= runs
    return rules


def _candidates(stats: NDArray[np.int32], *, light: bool) -> NDArray[np.void]:
    """Components' statistics as regions, without specks of a pixel or two and long hairlines."""
    width, height, area = stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT], stats[:, cv2.CC_STAT_AREA]
    keep = (area >= 3) & (width < 14 * np.maximum(height, 3)) & (height < 14 * np.maximum(width, 2))
    kept = stats[keep]
    out = np.empty(len(kept), REGION)
    out["x0"] = kept[:, cv2.CC_STAT_LEFT]
    out["y0"] = kept[:, cv2.CC_STAT_TOP]
    out["x1"] = out["x0"] + kept[:, cv2.CC_STAT_WIDTH]
    out["y1"] = out["y0"] + kept[:, cv2.CC_STAT_HEIGHT]
    out["area"] = kept[:, cv2.CC_STAT_AREA]
    out["light"] = light
    return out


def _panels(stats: NDArray[np.int32], shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Indices of dark components that may hold light text: wide, well filled, larger than letters."""
    width, height, area = stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT], stats[:, cv2.CC_STAT_AREA]
    panels = np.flatnonzero((height >= 10) & (width >= 2 * height**0.5 * 5) & (area >= 0.35 * width * height) & (area >= 400))
    return panels[np.argsort(-area[panels], kind="stable")[:MAX_PANELS]]


def _light_inside(labels: NDArray[np.int32], label: int, stats: NDArray[np.int32]) -> NDArray[np.void]:
    """Light regions enclosed by one dark component."""
    x, y, width, height, _ = (int(value) for value in stats)
    inside = np.not_equal(labels[y : y + height, x : x + width], label).view(np.uint8)
    _, _, found, _ = cv2.connectedComponentsWithStats(inside, connectivity=4, ltype=cv2.CV_32S)
    found = found[1:]
    left, top = found[:, cv2.CC_STAT_LEFT], found[:, cv2.CC_STAT_TOP]
    right, bottom = left + found[:, cv2.CC_STAT_WIDTH], top + found[:, cv2.CC_STAT_HEIGHT]
    found = found[(left > 0) & (top > 0) & (right < width) & (bottom < height)]
    found[:, cv2.CC_STAT_LEFT] += x
    found[:, cv2.CC_STAT_TOP] += y
    return _candidates(found, light=True)


def _frames(found: NDArray[np.void], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """True for regions that hold many others of their polarity: frames, pictures, blobs, never letters."""
    step = 4
    frames = np.zeros(len(found), np.bool_)
    for light in (False, True):
        members = np.flatnonzero(found["light"] == light)
        some = found[members]
        some = some[some["area"] >= 8]
        rows, columns = shape[0] // step + 2, shape[1] // step + 2
        centre_x = ((some["x0"] + some["x1"]) / (2 * step)).astype(np.intp)
        centre_y = ((some["y0"] + some["y1"]) / (2 * step)).astype(np.intp)
        counts = np.bincount(centre_y * columns + centre_x, minlength=rows * columns).reshape(rows, columns)
        total = np.zeros((rows + 1, columns + 1), np.int64)
        np.cumsum(counts, axis=0, out=total[1:, 1:])
        np.cumsum(total[1:, 1:], axis=1, out=total[1:, 1:])
        box = found[members]
        x0, y0 = (box["x0"] / step).astype(np.intp), (box["y0"] / step).astype(np.intp)
        x1, y1 = (box["x1"] / step).astype(np.intp) + 1, (box["y1"] / step).astype(np.intp) + 1
        held = total[y1, x1] - total[y0, x1] - total[y1, x0] + total[y0, x0]
        frames[members] = (held > 6) & (box["y1"] - box["y0"] > 16)
    return frames
