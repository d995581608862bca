"""A batch of windows' output to readings: text, where each character fired, and how sure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.scribe.recogniser import ctc
from engines.scribe.recogniser.alphabet import CHARACTERS
from engines.scribe.windows import Reading

SURE = 0.95
"""A reading of which every character has this probability says no more than its text: there is nothing to repair."""
_EMPTY = np.zeros(0, np.float32)


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Over the last axis."""
    shifted = logits - logits.max(-1, keepdims=True)
    result: NDArray[np.float32] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result


def decoded(
    logits: NDArray[np.float32],
    columns: int,
    temperature: float = 1.0,
    language: ctc.Language | None = None,
    glance: float | None = None,
) -> list[Reading]:
    """Readings of ``logits`` float32 (n, steps, classes), each step ``columns`` px wide.

    The text is the one that a beam finds, with the ``language``'s say where one is given. A character's column is the
    centre of the step where it is most probable; its probability the one there, or where the net wavers its share
    beside what else could stand there, by net and language. Spaces at either end are dropped. The confidence is the
    net's probability of the text over all its alignments, its logarithm divided by ``temperature``: of that the
    language is no part.

    At a ``glance`` no reading says more than its text, and where that is less probable than so much, by the net as it
    is, its characters' probabilities are the net's at their columns: enough to tell noise by.
    """
    read = ctc.texts(logits, language, glance or 0.0)
    return [_reading(row, text, columns, temperature, glance is None) for row, text in zip(logits, read, strict=True)]


def _reading(
    logits: NDArray[np.float32], read: ctc.Text, columns: int, temperature: float, alternatives: bool
) -> Reading:
    confidence = float(np.exp(read.log_likelihood / temperature))
    text = "".join([CHARACTERS[number - 1] for number in read.classes.tolist()])
    kept = text.strip(" ")
    if not kept:
        return Reading("", _EMPTY, _EMPTY, confidence)
    lead = len(text) - len(text.lstrip(" "))
    chosen = slice(lead, lead + len(kept))
    probabilities = read.probabilities[chosen]
    return Reading(
        kept,
        ((read.steps[chosen] + 0.5) * columns).astype(np.float32),
        probabilities,
        confidence,
        log_softmax(logits) if alternatives and probabilities.min() < SURE else None,
    )
