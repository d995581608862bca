"""CTC decoding in C++: a prefix beam weighed by a language model of characters, and how probable a text is.

Graves et al. 2006, "Connectionist Temporal Classification"; Hannun et al. 2014, "First-Pass Large Vocabulary Continuous
Speech Recognition using Bi-Directional Recurrent DNNs". Method and definitions: `beam.hpp`, `alignment.hpp`,
`language.hpp`. The best path loses a letter whose probability lies half on one step and half on the next, as blanks are
the likeliest on both; and a net of half a million parameters knows little of how words go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.scribe.recogniser.alphabet import CLASSES, encode
from engines.scribe.recogniser.ctc import _ctc

PATH = Path(__file__).with_name("language.npz")
START: int = _ctc.START
"""The symbol that stands before a text's first in n-grams."""
END: int = _ctc.END
"""The symbol that stands after a text's last."""
ORDER = 6
UNIT = 1 / 16
"""Nats of one step of the costs in the file."""

MARKS = ("'’‘‚", '"“”„', "-–—−", ".,:;")
"""Marks that look alike."""
ALIKE = ("0123456789", *MARKS, "$€£¥¢")
"""Characters between which the model never prefers one: which it is, the net sees, and a number is not guessed."""

WEIGHT = 0.25
"""What a nat of the language model's counts beside one of the net's."""
BONUS = 1.0
"""Nats for each character: the model makes every one cost something, and long texts would lose."""
WIDTH = 8
"""Prefixes that live on from a step to the next."""
LEAST = 0.001
"""Classes of lower probability are left out of a step."""
MARGIN = 8.0
"""Nats by which a prefix may lie behind the best."""


@dataclass(frozen=True, slots=True)
class Text:
    """``classes`` intp (n,), no blanks; the ``steps`` (n,) at which they are most probable, and ``probabilities``
    float32 (n,); ``log_likelihood``: the text's, over all its alignments."""

    classes: NDArray[np.intp]
    steps: NDArray[np.intp]
    probabilities: NDArray[np.float32]
    log_likelihood: float


class Language:
    """How likely characters are after those before them."""

    def __init__(self, keys: NDArray[np.uint64], costs: NDArray[np.uint8], backoffs: NDArray[np.uint8]) -> None:
        """N-grams of up to `ORDER` symbols, eight bits each, the latest lowest; what each costs, and what it does to
        back off from it, in `UNIT`."""
        self.model = _ctc.Language(keys, costs, backoffs, symbols(), order=ORDER, unit=UNIT)

    @classmethod
    def load(cls, path: Path = PATH) -> Language:
        """As `save` kept it."""
        with np.load(path, allow_pickle=False) as file:
            return cls(np.cumsum(file["steps"], dtype=np.uint64), file["costs"], file["backoffs"])

    def cost(self, classes: Sequence[int]) -> float:
        """Nats that a text of these classes costs from its beginning."""
        return float(self.model.cost(np.array(classes, np.uint8)))


def save(keys: NDArray[np.uint64], costs: NDArray[np.uint8], backoffs: NDArray[np.uint8], path: Path = PATH) -> None:
    """Keep a model: ``keys`` ascend, and the steps between them take less room."""
    np.savez_compressed(path, steps=np.diff(keys, prepend=np.uint64(0)), costs=costs, backoffs=backoffs)


@cache
def language() -> Language:
    """The one that comes with Cloister. Read once, before cells are forked: they can open no file."""
    return Language.load()


def symbols() -> NDArray[np.uint8]:
    """The language model's symbol of each class, uint8 (CLASSES,): itself, or the first of those that are `ALIKE`."""
    result = np.arange(CLASSES, dtype=np.uint8)
    for group in ALIKE:
        classes = encode(group)
        result[classes] = classes[0]
    return result


def texts(logits: NDArray[np.float32], language: Language | None, least: float = 0.0) -> list[Text]:
    """What each window of ``logits`` float32 (n, steps, classes) says; by the net alone where there is no model.

    Of a text that is less probable than ``least`` characters have the net's own probabilities at their steps: to weigh
    them against all that could stand there takes a third of the time."""
    read, fired, probabilities, lengths, likelihoods = _ctc.read(
        np.ascontiguousarray(logits),
        None if language is None else language.model,
        width=WIDTH,
        least=LEAST,
        margin=MARGIN,
        weight=WEIGHT,
        bonus=0.0 if language is None else BONUS,
        doubted=float(np.log(least)) if least > 0 else -np.inf,
    )
    bounds = pairwise([0, *np.cumsum(lengths).tolist()])
    classes, steps = read.astype(np.intp), fired.astype(np.intp)
    return [
        Text(classes[low:high], steps[low:high], probabilities[low:high], likelihood)
        for (low, high), likelihood in zip(bounds, likelihoods.tolist(), strict=True)
    ]


def log_likelihoods(log_probabilities: NDArray[np.float32], labels: Sequence[NDArray[np.intp]]) -> NDArray[np.float64]:
    """Log-probability of each window's label over all alignments (n,); minus infinity where it needs more steps.

    ``log_probabilities`` float32 (n, steps, classes); the labels (classes, no blanks) may differ in length.
    """
    flat = np.concatenate([*labels, np.zeros(0, np.intp)]).astype(np.uint8)
    lengths = np.array([len(label) for label in labels], np.int64)
    result: NDArray[np.float64] = _ctc.log_likelihoods(np.ascontiguousarray(log_probabilities), flat, lengths)
    return result
