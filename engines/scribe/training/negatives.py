"""What an eager detector brings that is no text: grounds, rules, halftone, edges, blobs, logos, dust; as ink."""

from __future__ import annotations

import cv2
import numpy as np

from engines.scribe.training import distort, emblems
from engines.scribe.training.distort import Ink, Rng


def drawn(rng: Rng, shape: tuple[int, int], icons: dict[str, str]) -> Ink:
    """Ink float32 of ``shape``, or narrower, that holds no character; ``icons``: fonts of icons, and what to leave out
    of each."""
    h, w = shape
    ink = np.zeros(shape, np.float32)
    roll = rng.random()
    if roll < 0.15:
        return _piece(rng, shape)
    if roll < 0.3:
        for _ in range(int(rng.integers(1, 5))):
            ink = distort.rules(rng, ink, h / 6, h * 5 / 6)
    elif roll < 0.42:
        ink = _halftone(rng, shape)
    elif roll < 0.54:
        bumps = distort.low_noise(rng, shape, rng.uniform(4, 40)) - rng.uniform(-0.3, 1)
        ink = np.clip(bumps * rng.uniform(1, 12), 0, 1)
    elif roll < 0.64:
        for _ in range(int(rng.integers(1, 6))):
            _arc(rng, ink)
    elif roll < 0.86:
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


def _piece(rng: Rng, shape: tuple[int, int]) -> Ink:
    """One dark piece of a texture, cut as tall as it is, as the detector cuts a line of text: grain of wood, a vein of
    marble, a stain; mostly a narrow strip."""
    h, w = shape
    for _ in range(20):
        texture = _texture(rng, (192, 192))
        labels, _, boxes, _ = cv2.connectedComponentsWithStats((texture > 0.5).astype(np.uint8))
        whole = [i for i in range(1, labels) if boxes[i, 3] >= 6 and boxes[i, 4] >= 16 and boxes[i, 3] < 150]
        if not whole:
            continue
        x, y, width, height, _ = boxes[whole[int(rng.integers(len(whole)))]]
        beside, above = int(height * rng.uniform(0, 0.4)), int(height * rng.uniform(0, 0.2))
        cut = texture[max(0, y - above) : y + height + above, max(0, x - beside) : x + width + beside]
        width = min(w, max(8, round(cut.shape[1] * h / cut.shape[0])))
        return np.asarray(cv2.resize(cut, (width, h), interpolation=cv2.INTER_AREA), np.float32)
    return np.zeros(shape, np.float32)


def _texture(rng: Rng, shape: tuple[int, int]) -> Ink:
    """Ink of something that is no print: streaks at any angle, veins, stains."""
    roll = rng.random()
    coarse = rng.uniform(6, 24)
    if roll < 0.5:
        longer = rng.uniform(4, 20)
        streaks = distort.low_noise(rng, (shape[0] * 2, max(4, int(shape[1] * 2 / longer))), coarse / 3)
        tone = cv2.resize(streaks, (shape[1] * 2, shape[0] * 2))
        angle = 90.0 * rng.integers(2) + rng.normal(0, 12)
        matrix = cv2.getRotationMatrix2D((shape[1], shape[0]), angle, 1.0)
        matrix[:, 2] -= (shape[1] / 2, shape[0] / 2)
        tone = cv2.warpAffine(tone, matrix, (shape[1], shape[0]))
        tone -= rng.uniform(0, 1)
    elif roll < 0.75:
        tone = rng.uniform(0.1, 0.4) - np.abs(distort.low_noise(rng, shape, coarse * 2))
    else:
        tone = distort.low_noise(rng, shape, coarse) - rng.uniform(0, 1)
    return np.clip(0.5 + tone * rng.uniform(1, 8), 0, 1)
