"""The likeliest text of a stretch of the net's output, over all its alignments: prefix beam search without a lexicon.

Graves et al. 2006, section 3.2; Hannun et al. 2014, "First-Pass Large Vocabulary Continuous Speech Recognition using
Bi-Directional Recurrent DNNs". The best path loses a letter whose probability lies half on one step and half on the
next, as blanks are the likeliest on both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.scribe.recogniser.alphabet import BLANK

WIDTH = 6
LEAST = 0.004
"""Classes of lower probability are left out of a step."""


def search(probabilities: NDArray[np.float32], width: int = WIDTH) -> tuple[tuple[int, ...], tuple[int, ...], float]:
    """The likeliest classes of ``probabilities`` float32 (steps, classes), the step of each, and their probability."""
    # By text: its probability with a blank last, with its last character last, and the step where each fired. Plain
    # lists, as this loop is a tenth of a page's time.
    beam: dict[tuple[int, ...], list[Any]] = {(): [1.0, 0.0, ()]}
    lost = 1.0
    for step, row in enumerate(probabilities):
        likely = np.flatnonzero(row > LEAST)
        classes = list(zip(likely.tolist(), row[likely].tolist(), strict=True))
        grown: dict[tuple[int, ...], list[Any]] = {}
        for text, (blank, fired, steps) in beam.items():
            before = blank + fired
            last = text[-1] if text else BLANK
            for number, probability in classes:
                if number == BLANK:
                    _at(grown, text, steps)[0] += before * probability
                elif number == last:
                    stronger = step if probability > probabilities[steps[-1], number] else steps[-1]
                    _at(grown, text, (*steps[:-1], stronger))[1] += fired * probability
                    _at(grown, (*text, number), (*steps, step))[1] += blank * probability
                else:
                    _at(grown, (*text, number), (*steps, step))[1] += before * probability
        kept = sorted(grown.items(), key=_improbability)[:width] if len(grown) > 1 else list(grown.items())
        # Long noise would end below what a float holds.
        scale = -_improbability(kept[0])
        lost *= scale
        for _, prefix in kept:
            prefix[0] /= scale
            prefix[1] /= scale
        beam = dict(kept)
    text, (blank, fired, steps) = next(iter(beam.items()))
    return text, steps, (blank + fired) * lost


def _improbability(entry: tuple[tuple[int, ...], list[Any]]) -> float:
    prefix = entry[1]
    return -float(prefix[0] + prefix[1])


def _at(beam: dict[tuple[int, ...], list[Any]], text: tuple[int, ...], steps: tuple[int, ...]) -> list[Any]:
    found = beam.get(text)
    if found is None:
        found = beam[text] = [0.0, 0.0, steps]
    return found
