"""What hands and light do to a printed sheet before it is scanned or photographed: creases, folds, glare.

Tone in and out (float32, 0 black to 1 white); sizes are relative to ``unit``, the line's ink height in px."""

from __future__ import annotations

import numpy as np

from engines.scribe.training.distort import Ink, Rng, low_noise


def creased(rng: Rng, tone: Ink, paper: Ink, unit: float) -> Ink:
    """A fold, or the facets of a sheet that was crumpled: each side of a crease has light of its own, along its crest
    print is rubbed off down to ``paper``, or a shadow lies."""
    crumpled = rng.random() < 0.35
    for _ in range(int(rng.integers(3, 8)) if crumpled else 1):
        away = _from_line(rng, (tone.shape[0], tone.shape[1]), unit, steep=crumpled)
        crest = np.exp(-((away / (unit * rng.uniform(0.015, 0.07))) ** 2))
        step = rng.normal(0, 0.06 if crumpled else 0.09)
        tone = tone * (1 + step * np.tanh(away / (unit * rng.uniform(0.03, 0.8))))
        if rng.random() < 0.5:
            tone = tone + rng.uniform(0.2, 0.9) * crest * (paper - tone)
        else:
            tone = tone * (1 - rng.uniform(0.05, 0.4) * crest)
    return tone


def _from_line(rng: Rng, shape: tuple[int, int], unit: float, *, steep: bool) -> Ink:
    """Each pixel's distance from a line through the picture, px, of either sign; across, along, or (``steep``) at any
    angle; torn fibres make it waver."""
    h, w = shape
    angle = rng.uniform(0, np.pi) if steep or rng.random() < 0.15 else rng.choice([0, np.pi / 2]) + rng.normal(0, 0.05)
    x = np.arange(w, dtype=np.float32)[None] - np.float32(rng.uniform(0, w))
    y = np.arange(h, dtype=np.float32)[:, None] - np.float32(rng.uniform(0, h))
    waver = np.float32(rng.uniform(0, 0.05) * unit) * low_noise(rng, shape, unit * rng.uniform(0.2, 1.5))
    return x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle)) + waver


def glare(rng: Rng, tone: Ink, unit: float) -> Ink:
    """A lamp's or a flash's reflection: a spot or a band that is washed out towards white."""
    h, w = tone.shape
    x = (np.arange(w, dtype=np.float32)[None] - np.float32(rng.uniform(0, w))) / np.float32(unit * rng.uniform(0.7, 6))
    y = (np.arange(h, dtype=np.float32)[:, None] - np.float32(rng.uniform(0, h))) / np.float32(
        unit * rng.uniform(0.5, 4)
    )
    lean = np.float32(rng.normal(0, 0.5))
    shine = np.float32(rng.uniform(0.25, 0.97)) * np.exp(-((x + lean * y) ** 2) - (y * (rng.random() < 0.7)) ** 2)
    return np.asarray(1 - (1 - tone) * (1 - shine), np.float32)
