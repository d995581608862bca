"""How true words' confidences are: of the words of 0.9, are nine in ten right?

Words come out of the Wordinator as the engine gives them, but for the temperature; each is right if the truth of its
line has it (each truth word once). The expected calibration error (Naeini et al. 2015, "Obtaining Well Calibrated
Probabilities Using Bayesian Binning") is over bins of equal width; the temperature divides the logarithm of the
confidence and is that of the greatest likelihood (after Guo et al. 2017, "On Calibration of Modern Neural Networks").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engines.api import Word
from engines.scribe.recogniser.reader import Recogniser
from engines.scribe.training.lab.crops import Sample
from engines.scribe.training.lab.reading import read
from engines.scribe.wordinator.buckets import Buckets

BINS = 20
_LEAST = 50
"""Words that a category must have for an error of its own."""

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Judged:
    """Words with confidence (n,), whether each is right (n,), and the sample it is of (n,)."""

    confidence: Floats
    right: Bools
    samples: tuple[Sample, ...]

    def where(self, chosen: Bools) -> Judged:
        return Judged(
            self.confidence[chosen],
            self.right[chosen],
            tuple(sample for sample, one in zip(self.samples, chosen, strict=True) if one),
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far the confidence of a category's words is from the truth, as it is and with the temperature."""

    name: str
    words: int
    right: float
    confidence: float
    error: float
    tempered: float


def judged(net: Recogniser, samples: Sequence[Sample], buckets: Buckets) -> Judged:
    """The words that are read in ``samples``, without their temperature. Sets without spaces have no words to judge."""
    kept = [sample for sample in samples if sample.spaces]
    plain = replace(buckets, temperature=1.0)
    lines = [line for part in read(net, [sample.strip for sample in kept]) for line in part.words(plain)]
    found = [(word, hit, sample) for sample, line in zip(kept, lines, strict=True) for word, hit in hits(sample, line)]
    return Judged(
        np.array([word.confidence for word, _, _ in found], np.float64),
        np.array([hit for _, hit, _ in found], np.bool_),
        tuple(sample for _, _, sample in found),
    )


def hits(sample: Sample, line: Sequence[Word]) -> Iterator[tuple[Word, bool]]:
    """Each word of a line and whether it is right."""
    left = Counter((sample.text.upper() if sample.folded else sample.text).split())
    for word in line:
        text = word.text.upper() if sample.folded else word.text
        left[text] -= 1
        yield word, left[text] >= 0


def temperature(confidence: Floats, right: Bools) -> float:
    """The divisor of log-confidence that makes ``right`` likeliest."""
    logs = np.log(np.clip(confidence, 1e-12, 1 - 1e-7))
    grid = np.exp(np.linspace(np.log(0.2), np.log(8), 200))

    def likelihood(divisor: float) -> float:
        p = np.clip(np.exp(logs / divisor), 1e-6, 1 - 1e-6)
        return float(np.where(right, np.log(p), np.log1p(-p)).sum())

    return float(max(grid, key=likelihood))


def calibration_error(confidence: Floats, right: Bools, bins: int = BINS) -> float:
    """Expected calibration error over ``bins`` of equal width."""
    return sum(abs(sure - hit) * count for sure, hit, count in binned(confidence, right, bins)) / max(1, len(right))


def binned(confidence: Floats, right: Bools, bins: int = BINS) -> list[tuple[float, float, int]]:
    """(mean confidence, share right, words) of each bin that has any."""
    place = np.minimum((confidence * bins).astype(np.intp), bins - 1)
    return [
        (float(confidence[place == b].mean()), float(right[place == b].mean()), int((place == b).sum()))
        for b in range(bins)
        if (place == b).any()
    ]


def crossed(words: Judged) -> tuple[float, Floats]:
    """The temperature fitted on all, and each word's confidence with the one that was fitted on the other half of the
    lines, so that no word is judged by what it was fitted on."""
    if not len(words.right):
        return 1.0, words.confidence
    numbers = {id(sample): number for number, sample in enumerate({id(one): one for one in words.samples}.values())}
    half = np.array([numbers[id(sample)] % 2 == 0 for sample in words.samples])
    tempered = np.empty_like(words.confidence)
    for one in (half, ~half):
        if one.any() and (~one).any():
            tempered[one] = words.confidence[one] ** (1 / temperature(words.confidence[~one], words.right[~one]))
        else:
            tempered[one] = words.confidence[one]
    return temperature(words.confidence, words.right), tempered


def calibrations(words: Judged, tempered: Floats) -> Iterator[Calibration]:
    """Of all words, and of each set, kind and look that has enough."""
    yield _calibration("all", words, tempered)
    for what in ("set", "kind", "look"):
        names = np.array([getattr(sample, what) for sample in words.samples], object)
        for name in sorted({str(name) for name in names if name}):
            chosen = np.asarray(names == name, np.bool_)
            if chosen.sum() >= _LEAST:
                yield _calibration(f"{what} {name}", words.where(chosen), tempered[chosen])


def _calibration(name: str, words: Judged, tempered: Floats) -> Calibration:
    return Calibration(
        name,
        len(words.right),
        float(words.right.mean()) if len(words.right) else 0.0,
        float(words.confidence.mean()) if len(words.right) else 0.0,
        calibration_error(words.confidence, words.right),
        calibration_error(tempered, words.right),
    )
