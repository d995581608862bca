"""Made windows of the categories that reading is measured by, with a seed that training does not use."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.scribe.training import distort, fonts
from engines.scribe.training.corpus import Corpus
from engines.scribe.training.lab.crops import Sample
from engines.scribe.training.settings import RUNS, DataSettings
from engines.scribe.training.windows import Maker

SETS = ("letters", "books", "receipts", "thermal", "photos", "screens", "negatives")
_SEED = 77
_SCREEN_PX = (11.0, 22.0)
"""Height of a screen's lines of text, from ascender to descender, px."""

Grey = NDArray[np.uint8]
Rng = np.random.Generator


class _Thermal(Maker):
    """Thermal print alone: gaps, smears, fading, on paper that was scanned."""

    def _scan(self, rng: Rng, ink: NDArray[np.float32], top: float, bottom: float, look: str) -> Grey:
        del look
        return super()._scan(rng, distort.thermal(rng, ink, bottom - top), top, bottom, "clean")


class _Screen(Maker):
    """Letters of few pixels on an even ground, dark on light or light on dark, as a screen shows them."""

    def _scan(self, rng: Rng, ink: NDArray[np.float32], top: float, bottom: float, look: str) -> Grey:
        del look
        shrink = rng.uniform(*_SCREEN_PX) / (bottom - top)
        height, width = ink.shape
        if shrink < 1:
            small = (max(8, round(width * shrink)), max(8, round(height * shrink)))
            ink = np.asarray(cv2.resize(ink, small, interpolation=cv2.INTER_AREA), np.float32)
        ground = rng.uniform(0.75, 1)
        text = ground - rng.uniform(0.4, 0.75)
        image = distort.grey(ground + (text - ground) * ink)
        if rng.random() < 0.3:  # a screenshot that was sent on
            image = distort.jpeg(rng, image)
        return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def made_samples(name: str, count: int) -> list[Sample]:
    """``count`` windows of the set ``name``, one of `SETS`. Raises ImportError or OSError where the training extra or
    fonts are missing."""
    corpus, every = Corpus(RUNS / "pools.json"), fonts.load(RUNS / "fonts.json")
    makers = {"thermal": _Thermal, "screens": _Screen}
    kept = _only(every, "serif") if name == "books" else every
    maker = makers.get(name, Maker)(corpus, kept, DataSettings())
    samples = []
    for i in range(count):
        rng = np.random.default_rng([_SEED, _seed_of(name), i])
        kind, look = {
            "letters": ("sentence", ("clean", "bitonal")[i % 2]), "books": ("sentence", ("bitonal", "clean")[i % 2]),
            "receipts": ("receipt", "receipt"), "thermal": (("receipt", "item", "numbers")[i % 3], "receipt"),
            "photos": ("sentence", "photo"), "screens": (("sentence", "heading", "contact")[i % 3], "clean"),
            "negatives": ("negative", None),
        }[name]  # fmt: skip
        window, text, kind, look = maker.make(rng, kind, look)
        samples.append(Sample(window, text, name, kind, look))
    return samples


def _seed_of(name: str) -> int:
    # The numbers that the first four had when they were the only ones: figures stay comparable.
    return {"letters": 0, "receipts": 1, "photos": 2, "negatives": 3, "books": 4, "thermal": 5, "screens": 6}[name]


def _only(every: fonts.Fonts, look: str) -> fonts.Fonts:
    """Fonts of ``look``, whatever look is asked for."""
    kept = [font for font in every.fonts if font.look == look]
    looks = ("sans", "serif", "mono", "printer", "rare")
    return fonts.Fonts([replace(font, look=other) for other in looks for font in kept], dict.fromkeys(looks, 0.2))
