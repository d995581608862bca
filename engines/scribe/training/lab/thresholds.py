"""Finds the buckets of confidence: from where words are noise, and from where they need no repair.

Each threshold is that with the most words right against words wrong and missed (F1) on the samples given; among equals
that nearest to the one before, because a threshold that nothing speaks for should stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engines.api import Word
from engines.scribe.recogniser.reader import Recogniser
from engines.scribe.training.lab.calibration import hits
from engines.scribe.training.lab.crops import Sample
from engines.scribe.training.lab.reading import Read, read
from engines.scribe.wordinator.buckets import Buckets

_NOISE = tuple(np.round(np.arange(0.1, 0.96, 0.05), 3).tolist())
_SURE = (0.0, 0.5, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 1.0)


@dataclass(frozen=True, slots=True)
class Found:
    """Buckets, and the F1 of words with those before and with these."""

    buckets: Buckets
    before: float
    after: float


def found(net: Recogniser, samples: Sequence[Sample], start: Buckets) -> Found:
    """The best buckets for words read in ``samples``, negatives among them."""
    kept = [sample for sample in samples if sample.spaces]
    parts = read(net, [sample.strip for sample in kept])
    wanted = sum(len(sample.text.split()) for sample in kept)

    def f1(buckets: Buckets) -> float:
        lines = _lines(parts, buckets)
        marks = [hit for sample, line in zip(kept, lines, strict=True) for _, hit in hits(sample, line)]
        return 2 * sum(marks) / max(1, len(marks) + wanted)

    buckets = start
    for name, values in (("noise", _NOISE), ("noise_known", _NOISE), ("noise_short", _NOISE), ("sure", _SURE)):
        buckets = _best([replace(buckets, **{name: value}) for value in values], buckets, name, f1)
    return Found(buckets, f1(start), f1(buckets))


def _lines(parts: Sequence[Read], buckets: Buckets) -> list[list[Word]]:
    return [line for part in parts for line in part.words(buckets)]


def _best(choices: Sequence[Buckets], before: Buckets, name: str, score: Callable[[Buckets], float]) -> Buckets:
    scores = {choice: score(choice) for choice in (*choices, before)}
    best = max(scores.values())
    equal = [choice for choice, one in scores.items() if one == best]
    return min(equal, key=lambda choice: abs(getattr(choice, name) - getattr(before, name)))
