"""Ink: which pixels of a grey page are darker than what lies around them, whatever the light on the page."""

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
DARKNESS = 0.42
"""Where the threshold lies between the lightest (0) and the darkest (1); below one half, as thin strokes are blurred."""


def threshold(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A smooth threshold surface, uint8 of ``grey``'s shape (height, width), both at least 1.

    Near the middle of the darkest and the lightest grey nearby (Bernsen 1986); flat places, among them the inside of thick
    strokes and empty paper, take theirs from the places with contrast around them, the nearer the more (normalised
    convolution, Knutsson and Westin 1993, over a pyramid). So one surface serves hairlines and 200 px letters, and
    splits the page into dark and light regions at once.
    """
    height, width = grey.shape
    darkest, lightest = _extremes(cv2.blur(grey, (3, 3), borderType=cv2.BORDER_REPLICATE))
    around = np.ones((3, 3), np.uint8)
    darkest = cv2.erode(darkest, around).astype(np.float32)
    lightest = cv2.dilate(lightest, around).astype(np.float32)
    contrast = lightest - darkest
    weight = np.where(contrast >= MIN_CONTRAST, np.minimum(contrast, STRONG_CONTRAST) ** 2, 0).astype(np.float32)
    surface = _filled(lightest - contrast * DARKNESS, weight)
    if surface is None:
        return np.zeros_like(grey)
    surface = cv2.resize(surface, (darkest.shape[1] * BLOCK, darkest.shape[0] * BLOCK), interpolation=cv2.INTER_LINEAR)
    return surface[:height, :width].astype(np.uint8)


def _extremes(grey: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The darkest and the lightest grey of each `BLOCK` x `BLOCK` square, the last ones filled up with the page's edge."""
    height, width = grey.shape
    padded = cv2.copyMakeBorder(grey, 0, -height % BLOCK, 0, -width % BLOCK, cv2.BORDER_REPLICATE)
    rows = padded.reshape(padded.shape[0] // BLOCK, BLOCK, padded.shape[1])
    shape = (rows.shape[0], padded.shape[1] // BLOCK, BLOCK)
    return rows.min(axis=1).reshape(shape).min(axis=2), rows.max(axis=1).reshape(shape).max(axis=2)


def _filled(values: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """``values`` averaged by ``weight`` at the finest scale that has any; None where all weights are zero."""
    if not weight.any():
        return None
    product = cv2.GaussianBlur(values * weight, (5, 5), 0)
    total = cv2.GaussianBlur(weight, (5, 5), 0)
    if min(values.shape) <= 2:  # nothing coarser to ask
        mean = float((values * weight).sum() / weight.sum())
        return np.where(total > 0, product / np.maximum(total, 1e-6), mean).astype(np.float32)
    half = (max(1, values.shape[1] // 2), max(1, values.shape[0] // 2))
    coarse_weight = cv2.resize(total, half, interpolation=cv2.INTER_AREA)
    coarse_product = cv2.resize(product, half, interpolation=cv2.INTER_AREA)
    coarse = _filled(coarse_product / np.maximum(coarse_weight, 1e-6), coarse_weight)
    if coarse is None:
        return None
    coarse = cv2.resize(coarse, (values.shape[1], values.shape[0]), interpolation=cv2.INTER_LINEAR)
    trust = MIN_CONTRAST * MIN_CONTRAST * 1.0
    return ((product + coarse * trust) / (total + trust)).astype(np.float32)
