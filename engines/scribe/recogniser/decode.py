"""Greedy CTC decoding of a batch of windows: text, where each character fired, and how sure.

Graves et al. 2006, "Connectionist Temporal Classification": the best path, repeats merged, blanks dropped.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.scribe.recogniser.alphabet import BLANK, CHARACTERS
from engines.scribe.windows import Reading

SURE = 0.95
"""A reading of which every character has this probability says no more than its text: there is nothing to repair."""
_EMPTY = np.zeros(0, np.float32)


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Over the last axis."""
    shifted = logits - logits.max(-1, keepdims=True)
    result: NDArray[np.float32] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result


def greedy(logits: NDArray[np.float32], columns: int, temperature: float = 1.0) -> list[Reading]:
    """Readings of ``logits`` float32 (n, steps, classes), each step ``columns`` px wide.

    A character's column is the centre of the step where it is most probable, its probability the one there. Spaces at
    either end are dropped. The confidence is the text's probability over all its alignments (`log_likelihoods`), its
    logarithm divided by ``temperature``.
    """
    if not len(logits):
        return []
    log_probabilities = log_softmax(logits)
    best = log_probabilities.argmax(-1)
    starts = best != BLANK
    starts[:, 1:] &= best[:, 1:] != best[:, :-1]
    fired = [np.flatnonzero(row) for row in starts]
    confidences = np.exp(
        log_likelihoods(log_probabilities, [row[at] for row, at in zip(best, fired, strict=True)]) / temperature
    )
    return [
        _reading(log_probabilities[i], best[i], fired[i], columns, float(confidences[i])) for i in range(len(logits))
    ]


def log_likelihoods(log_probabilities: NDArray[np.float32], labels: list[NDArray[np.intp]]) -> NDArray[np.float64]:
    """Log-probability of each window's ``labels`` over all alignments: CTC's forward algorithm, rescaled at each step.

    ``log_probabilities`` (n, steps, classes); the labels (classes, no blanks) may differ in length.
    """
    count, steps, _ = log_probabilities.shape
    lengths = np.array([2 * len(label) + 1 for label in labels])
    states = np.full((count, int(lengths.max())), BLANK)
    for row, label in zip(states, labels, strict=True):
        row[1 : 2 * len(label) : 2] = label
    emitted = np.exp(np.take_along_axis(log_probabilities, states[:, None, :], 2).astype(np.float64))
    emitted *= (np.arange(states.shape[1]) < lengths[:, None])[:, None, :]
    skips = np.zeros(states.shape)
    skips[:, 2:] = (states[:, 2:] != BLANK) & (states[:, 2:] != states[:, :-2])
    alpha = np.zeros((count, states.shape[1] + 2))  # two states that are never reached lead, so that shifts are slices
    alpha[:, 2:4] = emitted[:, 0, :2]
    total = np.zeros(count)
    for step in range(1, steps):
        alpha[:, 2:] = (alpha[:, 2:] + alpha[:, 1:-1] + skips * alpha[:, :-2]) * emitted[:, step]
        scale = np.maximum(alpha.sum(1), 1e-300)
        total += np.log(scale)
        alpha /= scale[:, None]
    rows = np.arange(count)
    ends = alpha[rows, lengths + 1] + np.where(lengths > 1, alpha[rows, lengths], 0)
    result: NDArray[np.float64] = np.minimum(total + np.log(np.maximum(ends, 1e-300)), 0)
    return result


def _reading(
    log_probabilities: NDArray[np.float32],
    best: NDArray[np.intp],
    starts: NDArray[np.intp],
    columns: int,
    confidence: float,
) -> Reading:
    scores = log_probabilities[np.arange(len(best)), best]
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
    probabilities = np.exp(scores[steps])
    return Reading(
        kept,
        ((steps + 0.5) * columns).astype(np.float32),
        probabilities,
        confidence,
        log_probabilities if probabilities.min() < SURE else None,
    )
