"""What becomes of a drawn page: scanned, faxed, photographed, shown white on black, or left as it is."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.scribe.orientation.training.sheet import Ink, Rng
from engines.scribe.training import distort

Grey = NDArray[np.uint8]

LOOKS = {"clean": 0.22, "scan": 0.3, "bitonal": 0.26, "photo": 0.16, "negative": 0.06}
"""Shares of what becomes of a drawn page."""
LOOKS_OF = {"receipt": {"clean": 0.08, "scan": 0.37, "bitonal": 0.08, "photo": 0.45, "negative": 0.02}}
"""Those of a layout that differs."""


def scanned(rng: Rng, ink: Ink, look: str, unit: float) -> Grey:
    """What becomes of the drawn page: uint8, dark on light unless ``look`` is negative."""
    if rng.random() < 0.35:
        ink = distort.weight(rng, ink, unit)
    if look in ("scan", "photo") and rng.random() < 0.3:
        ink = distort.wear(rng, ink, unit)
    if look == "photo":
        return _photographed(rng, ink, unit)
    if rng.random() < 0.6:
        ink = _skewed(ink, rng.normal(0, 1.2))
    if look == "bitonal":
        return distort.bitonal(rng, ink, unit)
    if look == "clean":
        return distort.grey(1 - ink * rng.uniform(0.6, 1))
    if look == "negative":
        tone = 0.02 + rng.uniform(0, 0.25) + ink * rng.uniform(0.5, 0.75)
        return distort.grey(distort.noise(rng, tone.astype(np.float32), 0.02))
    tone = distort.print_on(rng, ink, _paper(rng, ink.shape, unit), (0.45, 0.95))
    if rng.random() < 0.7:
        tone = distort.blur(rng, tone, unit, 0.05)
    tone = distort.noise(rng, tone, 0.05)
    image = distort.grey(tone)
    return distort.jpeg(rng, image) if rng.random() < 0.5 else image


def _photographed(rng: Rng, ink: Ink, unit: float) -> Grey:
    """On a table, seen a little aslant, unevenly lit."""
    rows, columns = ink.shape
    around = float(rng.choice([0.0, rng.uniform(0.02, 0.35)]))
    height, width = int(rows * (1 + around)), int(columns * (1 + around))
    place = rng.uniform(0, 1, 2) * (width - columns, height - rows)
    corners = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float32)
    to = corners + place + rng.normal(0, 0.015, (4, 2)) * (columns, columns)
    angle = np.radians(rng.normal(0, 3))
    middle = to.mean(axis=0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    to = ((to - middle) @ turn.T + middle).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(corners, to)
    ink = np.asarray(cv2.warpPerspective(ink, matrix, (width, height), flags=cv2.INTER_LINEAR), np.float32)
    mask = np.asarray(cv2.warpPerspective(np.ones((rows, columns), np.float32), matrix, (width, height)), np.float32)
    paper = _paper(rng, (height, width), unit)
    table = distort.ground(rng, (height, width), unit) * rng.uniform(0.2, 1)
    tone = paper * mask + table * (1 - mask)
    tone = distort.print_on(rng, ink, tone.astype(np.float32), (0.4, 0.9))
    tone = tone * rng.uniform(0.55, 1)
    if rng.random() < 0.85:
        tone = distort.blur(rng, tone, unit, 0.09)
    tone = distort.noise(rng, tone, 0.06)
    image = distort.grey(tone)
    return distort.jpeg(rng, image) if rng.random() < 0.7 else image


def _paper(rng: Rng, shape: tuple[int, ...], unit: float) -> Ink:
    tone = np.full(shape, rng.uniform(0.75, 1), np.float32)
    if rng.random() < 0.6:
        tone += rng.uniform(0, 0.03) * distort.low_noise(rng, (shape[0], shape[1]), 80)
    if rng.random() < 0.4:
        x = np.linspace(-1, 1, shape[1], dtype=np.float32)[None]
        y = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
        tone *= 1 - np.clip(rng.normal(0, 0.12) * x + rng.normal(0, 0.12) * y, -0.1, 0.5)
    if rng.random() < 0.15:  # folds
        for _ in range(int(rng.integers(1, 4))):
            at = int(rng.uniform(0.1, 0.9) * shape[0])
            tone[at : at + max(1, int(unit / 8))] *= rng.uniform(0.7, 0.95)
    return tone


def _skewed(ink: Ink, degrees: float) -> Ink:
    rows, columns = ink.shape
    matrix = cv2.getRotationMatrix2D((columns / 2, rows / 2), degrees, 1)
    return np.asarray(cv2.warpAffine(ink, matrix, (columns, rows), flags=cv2.INTER_LINEAR), np.float32)
