"""CTC decoding of a batch of windows: text, where each character fired, and how sure.

Graves et al. 2006, "Connectionist Temporal Classification": the best path, repeats merged, blanks dropped, and a beam
(`engines.scribe.recogniser.beam`) where the net wavers.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    paths = _paths(np.exp(log_probabilities))
    confidences = np.exp(log_likelihoods(log_probabilities, [path.classes for path in paths]) / temperature)
    return [_reading(log_probabilities[i], path, columns, float(confidences[i])) for i, path in enumerate(paths)]


@dataclass(frozen=True, slots=True)
class _Path:
    """The classes that were read, without blanks, the step of each and its probability, (n,) each."""

    classes: NDArray[np.intp]
    steps: NDArray[np.intp]
    probabilities: NDArray[np.float32]

    def replaced(self, start: int, end: int, classes: Sequence[int], steps: Sequence[int], share: float) -> _Path:
        """With ``classes`` between two steps instead; their own steps count from the first of these."""
        low, high = np.searchsorted(self.steps, (start, end))
        shares = np.full(len(classes), share, np.float32)
        return _Path(
            np.concatenate([self.classes[:low], np.array(classes, np.intp), self.classes[high:]]),
            np.concatenate([self.steps[:low], np.array(steps, np.intp) + start, self.steps[high:]]),
            np.concatenate([self.probabilities[:low], shares, self.probabilities[high:]]),
        )


def _paths(probabilities: NDArray[np.float32]) -> list[_Path]:
    """What the net's output (n, steps, classes) says, window by window."""
    count, steps, _ = probabilities.shape
    best = probabilities.argmax(-1)
    most = probabilities.max(-1)
    runs = _runs(best, most)
    certain = np.ones((count, steps + 2), np.bool_)
    certain[:, 1:-1] = probabilities[:, :, BLANK] > CERTAIN
    edges = np.diff(certain.astype(np.int8))
    windows, starts = np.nonzero(edges < 0)
    ends = np.nonzero(edges > 0)[1]
    wavers = _least(most, windows * steps + starts, windows * steps + ends) < CLEAR
    stretches = zip(windows[wavers].tolist(), starts[wavers].tolist(), ends[wavers].tolist(), strict=True)
    for window, start, end in stretches:
        text, its_steps, probability = search(probabilities[window, start:end])
        share = probability ** (1 / max(1, len(text)))
        runs[window] = runs[window].replaced(start, end, text, its_steps, share)
    return runs


def _least(values: NDArray[np.float32], starts: NDArray[np.intp], ends: NDArray[np.intp]) -> NDArray[np.float32]:
    """The least of ``values``, flattened, in each stretch; none is empty, and they ascend."""
    if not len(starts):
        return _EMPTY
    padded = np.append(values.ravel(), np.float32(1))
    result: NDArray[np.float32] = np.minimum.reduceat(padded, np.stack([starts, ends], 1).ravel())[::2]
    return result


def _runs(best: NDArray[np.intp], most: NDArray[np.float32]) -> list[_Path]:
    """The best paths: of each run of a class that is not blank its class, its most probable step, and that one's."""
    count, steps = best.shape
    begins = np.ones(best.shape, np.bool_)
    begins[:, 1:] = best[:, 1:] != best[:, :-1]
    starts = np.flatnonzero(begins)
    run = np.cumsum(begins.ravel()) - 1
    peaks = np.maximum.reduceat(most.ravel(), starts)
    # Of steps alike the first.
    at_peak = np.flatnonzero(most.ravel() == peaks[run])
    places = at_peak[np.unique(run[at_peak], return_index=True)[1]]
    classes = best.ravel()[starts]
    fired = classes != BLANK
    places, classes, peaks = places[fired], classes[fired], peaks[fired]
    bounds = np.searchsorted(places, np.arange(count + 1) * steps).tolist()
    inside = places % steps
    return [_Path(classes[low:high], inside[low:high], peaks[low:high]) for low, high in pairwise(bounds)]


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
