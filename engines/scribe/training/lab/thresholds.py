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
from engines.scribe.wordinator.words import evidence

_NOISE = tuple(np.round(np.arange(0.1, 0.96, 0.025), 3).tolist())
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
    # All words, none dropped and none repaired: noise is told from the rest by these.
    raw = [
        (len(word.text) == 1, evidence(word.text, word.confidence), hit)
        for sample, line in zip(kept, _lines(parts, Buckets(0.0, 0.0, 0.0, 1.0)), strict=True)
        for word, hit in hits(sample, line)
    ]
    short = np.array([one for one, _, _ in raw], np.bool_)
    values, right = np.array([value for _, value, _ in raw]), np.array([hit for _, _, hit in raw], np.bool_)

    def kept_f1(noise: float, noise_short: float) -> float:
        stays = values >= np.where(short, noise_short, noise)
        return _f1(int((stays & right).sum()), int(stays.sum()), wanted)

    def whole_f1(buckets: Buckets) -> float:
        lines = _lines(parts, buckets)
        marks = [hit for sample, line in zip(kept, lines, strict=True) for _, hit in hits(sample, line)]
        return _f1(sum(marks), len(marks), wanted)

    noise = _best(_NOISE, start.noise, lambda value: kept_f1(value, start.noise_short))
    noise_short = _best(_NOISE, start.noise_short, lambda value: kept_f1(noise, value))
    buckets = replace(start, noise=noise, noise_short=noise_short)
    sure = _best(_SURE, start.sure, lambda value: whole_f1(replace(buckets, sure=value)))
    buckets = replace(buckets, sure=sure)
    return Found(buckets, whole_f1(start), whole_f1(buckets))


def _lines(parts: Sequence[Read], buckets: Buckets) -> list[list[Word]]:
    return [line for part in parts for line in part.words(buckets)]


def _best(values: Sequence[float], before: float, score: Callable[[float], float]) -> float:
    scores = {value: score(value) for value in (*values, before)}
    best = max(scores.values())
    return min((value for value, one in scores.items() if one == best), key=lambda value: abs(value - before))


def _f1(right: int, read_: int, wanted: int) -> float:
    return 2 * right / max(1, read_ + wanted)
