"""What an eager detector brings that is no text: grounds, rules, halftone, edges, blobs, logos, dust; as ink."""

from __future__ import annotations

import cv2
import numpy as np

from engines.scribe.training import distort, emblems
from engines.scribe.training.distort import Ink, Rng


def drawn(rng: Rng, shape: tuple[int, int], icons: dict[str, str]) -> Ink:
    """Ink float32 of ``shape`` that holds no character; ``icons``: fonts of icons, and what to leave out of each."""
    h, w = shape
    ink = np.zeros(shape, np.float32)
    roll = rng.random()
    if roll < 0.2:
        for _ in range(int(rng.integers(1, 5))):
            ink = distort.rules(rng, ink, h / 6, h * 5 / 6)
    elif roll < 0.36:
        ink = _halftone(rng, shape)
    elif roll < 0.52:
        bumps = distort.low_noise(rng, shape, rng.uniform(4, 40)) - rng.uniform(-0.3, 1)
        ink = np.clip(bumps * rng.uniform(1, 12), 0, 1)
    elif roll < 0.64:
        for _ in range(int(rng.integers(1, 6))):
            _arc(rng, ink)
    elif roll < 0.84:
        ink = emblems.logo(rng, shape, icons)
    elif roll < 0.92:
        ink[:, : int(rng.integers(w))] = 1
    if rng.random() < 0.4:
        ink = distort.dust(rng, ink, h * 2 / 3)
    return ink.astype(np.float32)


def _halftone(rng: Rng, shape: tuple[int, int]) -> Ink:
    pitch = rng.uniform(2.5, 9)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    dots = np.sin(x * 6.28 / pitch) * np.sin((y + rng.uniform(-0.5, 0.5) * x) * 6.28 / pitch)
    return np.clip((dots + rng.uniform(-0.5, 0.5)) * 3, 0, 1)


def _arc(rng: Rng, ink: Ink) -> None:
    h, w = ink.shape
    centre = (int(rng.integers(w)), int(rng.integers(h)))
    axes = (int(rng.integers(2, 60)), int(rng.integers(2, 40)))
    thickness = -1 if rng.random() < 0.5 else int(rng.integers(1, 4))
    cv2.ellipse(ink, centre, axes, float(rng.uniform(0, 180)), 0, float(rng.uniform(90, 360)), 1.0, thickness)
