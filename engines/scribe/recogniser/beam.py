"""The likeliest text of a stretch of the net's output, over all its alignments: prefix beam search without a lexicon.

Graves et al. 2006, section 3.2; Hannun et al. 2014, "First-Pass Large Vocabulary Continuous Speech Recognition using
Bi-Directional Recurrent DNNs". The best path loses a letter whose probability lies half on one step and half on the
next, as blanks are the likeliest on both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.scribe.recogniser.alphabet import BLANK

WIDTH = 6
LEAST = 0.004
"""Classes of lower probability are left out of a step."""


@dataclass(slots=True)
class _Prefix:
    """Probabilities of a text so far, by whether its last step is blank, and the step where each character fired."""

    blank: float = 0.0
    fired: float = 0.0
    steps: tuple[int, ...] = ()

    @property
    def probability(self) -> float:
        return self.blank + self.fired


def search(probabilities: NDArray[np.float32], width: int = WIDTH) -> tuple[tuple[int, ...], tuple[int, ...], float]:
    """The likeliest classes of ``probabilities`` float32 (steps, classes), the step of each, and their probability."""
    beam: dict[tuple[int, ...], _Prefix] = {(): _Prefix(blank=1.0)}
    lost = 1.0
    for step, row in enumerate(probabilities):
        likely = np.flatnonzero(row > LEAST)
        grown: dict[tuple[int, ...], _Prefix] = {}
        for text, prefix in beam.items():
            for number, probability in zip(likely.tolist(), row[likely].tolist(), strict=True):
                if number == BLANK:
                    _at(grown, text, prefix.steps).blank += prefix.probability * probability
                    continue
                before = prefix.probability
                if text and text[-1] == number:
                    last = prefix.steps[-1]
                    stronger = step if probability > probabilities[last, number] else last
                    same = _at(grown, text, (*prefix.steps[:-1], stronger))
                    same.fired += prefix.fired * probability
                    before = prefix.blank
                _at(grown, (*text, number), (*prefix.steps, step)).fired += before * probability
        kept = sorted(grown.items(), key=lambda entry: -entry[1].probability)[:width]
        # Long noise would end below what a float holds.
        scale = kept[0][1].probability
        lost *= scale
        for _, prefix in kept:
            prefix.blank /= scale
            prefix.fired /= scale
        beam = dict(kept)
    text, best = next(iter(beam.items()))
    return text, best.steps, best.probability * lost


def _at(beam: dict[tuple[int, ...], _Prefix], text: tuple[int, ...], steps: tuple[int, ...]) -> _Prefix:
    if text not in beam:
        beam[text] = _Prefix(steps=steps)
    return beam[text]
