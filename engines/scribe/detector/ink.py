"""Ink: how dark each pixel of a page is for the place where it stands, whatever the light on the page."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

BLOCK = 8
"""Side of the squares on which the local range of grey is taken, px of the working page."""
MIN_CONTRAST = 18
"""Grey levels between the darkest and the lightest of a neighbourhood below which it is flat and says nothing."""
STRONG_CONTRAST = 48
"""Grey levels from which on more contrast gives no more weight, so that faint print keeps its own threshold."""
SHARES = (0.36, 0.5, 0.66)
"""Thresholds, as parts of the way from the lightest grey nearby to the darkest. The first is below one half, as thin
strokes are blurred; the last tears apart what only smears, highlighters and shadows join."""
LIGHTEST = len(SHARES)


def levels(grey: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The page in `LIGHTEST` + 1 levels, uint8 (height, width): `LIGHTEST` is ground, 0 the darkest ink.

    Beside it the contrast, grey levels, around each `BLOCK` x `BLOCK` square, float32.

    The page is lightly smoothed first, against dither and noise. Each threshold is a smooth surface laid between the
    darkest and the lightest grey nearby (Bernsen 1986); flat places, among them the inside of thick strokes and empty
    paper, take theirs from the places with contrast around them, the nearer the more (normalised convolution, Knutsson
    and Westin 1993, over a pyramid). So the same levels serve hairlines and 200 px letters, dark text and light.
    """
    smooth = np.asarray(cv2.GaussianBlur(grey, (3, 3), 0, borderType=cv2.BORDER_REPLICATE), np.uint8)
    surface = _surface(smooth)
    if surface is None:
        return np.full_like(grey, LIGHTEST), np.zeros(
            (-(-grey.shape[0] // BLOCK), -(-grey.shape[1] // BLOCK)), np.float32
        )
    lightest, contrast = surface
    out = np.zeros(grey.shape, np.uint8)
    for share in SHARES:
        coarse = np.clip(lightest - contrast * share, 0, 255).astype(np.uint8)
        size = (coarse.shape[1] * BLOCK, coarse.shape[0] * BLOCK)
        fine = cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)[: grey.shape[0], : grey.shape[1]]
        out += np.greater_equal(smooth, fine).view(np.uint8)
    return out, contrast


def _surface(grey: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """The lightest grey and the contrast around each `BLOCK` x `BLOCK` square; None for a flat page."""
    darkest, lightest = _extremes(grey)
    around = np.ones((3, 3), np.uint8)
    low = cv2.erode(darkest, around).astype(np.float32)
    high = cv2.dilate(lightest, around).astype(np.float32)
    contrast = high - low
    weight = np.where(contrast >= MIN_CONTRAST, np.minimum(contrast, STRONG_CONTRAST) ** 2, 0).astype(np.float32)
    if not weight.any():
        return None
    filled = _filled(np.stack([high, contrast], axis=2), weight)
    return filled[:, :, 0], filled[:, :, 1]


def _extremes(grey: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The darkest and the lightest grey of each square, the last ones filled up with the page's edge."""
    height, width = grey.shape
    padded = cv2.copyMakeBorder(grey, 0, -height % BLOCK, 0, -width % BLOCK, cv2.BORDER_REPLICATE)
    rows = padded.reshape(padded.shape[0] // BLOCK, BLOCK, padded.shape[1])
    shape = (rows.shape[0], padded.shape[1] // BLOCK, BLOCK)
    return rows.min(axis=1).reshape(shape).min(axis=2), rows.max(axis=1).reshape(shape).max(axis=2)


def _filled(values: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """``values`` (height, width, 2) averaged by ``weight``, where there is little of it with those from afar."""
    product = cv2.GaussianBlur(values * weight[:, :, None], (5, 5), 0)
    total = cv2.GaussianBlur(weight, (5, 5), 0)
    if max(weight.shape) == 1:
        return values
    size = (max(1, weight.shape[1] // 2), max(1, weight.shape[0] // 2))
    coarse_weight = np.asarray(cv2.resize(total, size, interpolation=cv2.INTER_AREA), np.float32)
    coarse = np.asarray(cv2.resize(product, size, interpolation=cv2.INTER_AREA), np.float32)
    coarse = (coarse / np.maximum(coarse_weight, np.float32(1e-6))[:, :, None]).astype(np.float32)
    size = (weight.shape[1], weight.shape[0])
    far = cv2.resize(_filled(coarse, coarse_weight), size, interpolation=cv2.INTER_LINEAR)
    trust = np.float32(MIN_CONTRAST * MIN_CONTRAST)
    return np.asarray((product + far * trust) / (total + trust)[:, :, None], np.float32)
