"""What may be words: the characters of a strip between the breaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.scribe.wordinator.spaces import breaks
from engines.scribe.wordinator.stitch import Strip
from engines.scribe.wordinator.trace import Decision


@dataclass(frozen=True, slots=True)
class Candidate:
    """What may be a word: ``characters`` (n,) of a ``strip``, as indices, and the ``text`` they make.

    ``confidence`` is the net's probability of them, ``alike`` that of them or others that look like them. ``fired`` are
    the strip columns of the first and the last one, ``neighbours`` those of the letters before and after, or a column
    beyond the strip's edge where there is none.
    """

    strip: Strip
    characters: NDArray[np.intp]
    text: str
    confidence: float
    alike: float
    fired: tuple[float, float]
    neighbours: tuple[float, float]


def candidates(strip: Strip, trace: list[Decision]) -> list[Candidate]:
    """What may be words of a strip, left to right."""
    letters = np.array([place for place, character in enumerate(strip.text) if not character.isspace()], np.intp)
    if not len(letters):
        return []
    stops = (np.flatnonzero(breaks(strip, letters, letters[1:] - letters[:-1] > 1, trace)) + 1).tolist()
    columns = [-1.0, *strip.columns[letters].tolist(), strip.length + 1.0]
    out = []
    for first, end in zip([0, *stops], [*stops, len(letters)], strict=True):
        chosen = letters[first:end]
        out.append(
            Candidate(
                strip,
                chosen,
                "".join(strip.text[place] for place in chosen),
                min(1.0, float(strip.probabilities[chosen].prod(dtype=np.float64))),
                min(1.0, float(strip.alike[chosen].prod(dtype=np.float64))),
                (columns[first + 1], columns[end]),
                (columns[first], columns[end + 1]),
            )
        )
    return out
