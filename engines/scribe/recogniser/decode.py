"""Greedy CTC decoding of a batch of windows: text, where each character fired, and how sure.

Graves et al. 2006, "Connectionist Temporal Classification": the best path, repeats merged, blanks dropped.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.scribe.recogniser.alphabet import BLANK, CHARACTERS
from engines.scribe.windows import Reading

_EMPTY = np.zeros(0, np.float32)


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Over the last axis."""
    shifted = logits - logits.max(-1, keepdims=True)
    result: NDArray[np.float32] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result


def greedy(logits: NDArray[np.float32], columns: int, temperature: float = 1.0) -> list[Reading]:
    """Readings of ``logits`` float32 (n, steps, classes), each step ``columns`` px wide.

    A character's column is the centre of the step where it is most probable, its probability the one there. Spaces at
    either end are dropped. The confidence is the best path's probability, its logarithm divided by ``temperature``.
    """
    if not len(logits):
        return []
    log_probabilities = log_softmax(logits)
    best = log_probabilities.argmax(-1)
    scores = np.take_along_axis(log_probabilities, best[..., None], -1)[..., 0]
    starts = best != BLANK
    starts[:, 1:] &= best[:, 1:] != best[:, :-1]
    confidences = np.exp(scores.sum(-1) / temperature)
    return [
        _reading(best[i], scores[i], np.flatnonzero(starts[i]), columns, float(confidences[i])) for i in range(len(logits))
    ]


def _reading(best: NDArray[np.intp], scores: NDArray[np.float32], starts: NDArray[np.intp], columns: int, confidence: float) -> Reading:
    text = "".join(CHARACTERS[best[start] - 1] for start in starts)
    kept = text.strip(" ")
    if not kept:
        return Reading("", _EMPTY, _EMPTY, confidence)
    lead = len(text) - len(text.lstrip(" "))
    steps = np.empty(len(kept), np.intp)
    for i, start in enumerate(starts[lead : lead + len(kept)]):
        end = start + 1
        while end < len(best) and best[end] == best[start]:
            end += 1
        steps[i] = start + int(scores[start:end].argmax())
    return Reading(kept, ((steps + 0.5) * columns).astype(np.float32), np.exp(scores[steps]), confidence)
