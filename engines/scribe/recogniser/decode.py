"""CTC decoding of a batch of windows: text, where each character fired, and how sure.

Graves et al. 2006, "Connectionist Temporal Classification": the best path, repeats merged, blanks dropped, and a beam
(`engines.scribe.recogniser.beam`) where the net wavers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engines.scribe.recogniser.alphabet import BLANK, CHARACTERS
from engines.scribe.recogniser.beam import search
from engines.scribe.windows import Reading

SURE = 0.95
"""A reading of which every character has this probability says no more than its text: there is nothing to repair."""
CERTAIN = 0.998
"""Blanks of this probability part what can be read on its own."""
CLEAR = 0.9
"""Where each step's likeliest class has this probability, the best path is the likeliest text."""
_EMPTY = np.zeros(0, np.float32)


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Over the last axis."""
    shifted = logits - logits.max(-1, keepdims=True)
    result: NDArray[np.float32] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result


def decoded(logits: NDArray[np.float32], columns: int, temperature: float = 1.0) -> list[Reading]:
    """Readings of ``logits`` float32 (n, steps, classes), each step ``columns`` px wide.

    The best path is taken where each of its steps is sure; what lies between certain blanks and is not goes through a
    beam. A character's column is the centre of the step where it is most probable; its probability the one there, or
    its share in that of the text that the beam found. Spaces at either end are dropped. The confidence is the text's
    probability over all its alignments (`log_likelihoods`), its logarithm divided by ``temperature``.
    """
    if not len(logits):
        return []
    log_probabilities = log_softmax(logits)
    paths = [_path(np.exp(rows)) for rows in log_probabilities]
    confidences = np.exp(log_likelihoods(log_probabilities, [path.classes for path in paths]) / temperature)
    return [_reading(log_probabilities[i], path, columns, float(confidences[i])) for i, path in enumerate(paths)]


@dataclass(frozen=True, slots=True)
class _Path:
    """The classes that were read, without blanks, the step of each and its probability, (n,) each."""

    classes: NDArray[np.intp]
    steps: NDArray[np.intp]
    probabilities: NDArray[np.float32]


def _path(probabilities: NDArray[np.float32]) -> _Path:
    """What the net's output for one window (steps, classes) says."""
    best = probabilities.argmax(-1)
    most = probabilities.max(-1)
    certain = probabilities[:, BLANK] > CERTAIN
    edges = np.flatnonzero(np.diff(np.concatenate([[True], certain, [True]]).astype(np.int8)))
    classes: list[int] = []
    steps: list[int] = []
    shares: list[float] = []
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if most[start:end].min() < CLEAR:
            text, its_steps, probability = search(probabilities[start:end])
            its_shares = [probability ** (1 / max(1, len(text)))] * len(text)
        else:
            text, its_steps, its_shares = _best(best[start:end], most[start:end])
        classes += text
        steps += [start + step for step in its_steps]
        shares += its_shares
    return _Path(np.array(classes, np.intp), np.array(steps, np.intp), np.array(shares, np.float32))


def _best(best: NDArray[np.intp], most: NDArray[np.float32]) -> tuple[tuple[int, ...], tuple[int, ...], list[float]]:
    """The best path's classes, the step where each is most probable, and its probability there."""
    starts = np.flatnonzero(np.diff(best, prepend=BLANK))
    runs = [(start, end) for start, end in pairwise([*starts.tolist(), len(best)]) if best[start] != BLANK]
    steps = tuple(start + int(most[start:end].argmax()) for start, end in runs)
    return tuple(int(best[start]) for start, _ in runs), steps, [float(most[step]) for step in steps]


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


def _reading(log_probabilities: NDArray[np.float32], path: _Path, columns: int, confidence: float) -> Reading:
    text = "".join(CHARACTERS[number - 1] for number in path.classes)
    kept = text.strip(" ")
    if not kept:
        return Reading("", _EMPTY, _EMPTY, confidence)
    lead = len(text) - len(text.lstrip(" "))
    chosen = slice(lead, lead + len(kept))
    probabilities = path.probabilities[chosen]
    return Reading(
        kept,
        ((path.steps[chosen] + 0.5) * columns).astype(np.float32),
        probabilities,
        confidence,
        log_probabilities if probabilities.min() < SURE else None,
    )
