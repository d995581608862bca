"""A line's windows put together again: one sequence of characters with strip columns, and the ink beneath them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.scribe.detector.strips import ink_columns
from engines.scribe.recogniser import ctc
from engines.scribe.recogniser.alphabet import CLASSES, case_pairs, encode
from engines.scribe.recogniser.port import COLUMNS
from engines.scribe.windows import Reading, Windows
from engines.scribe.wordinator.trace import Decision
from engines.trace import Act

(_SPACE,) = encode(" ")
_TORN_BETWEEN = (*ctc.MARKS, "-~", "xX×")
"""Characters that a net which sees one of them may be torn between, beside the two cases of a letter."""


def _looks() -> NDArray[np.bool_]:
    """Which classes look like which (CLASSES, CLASSES)."""
    alike = np.eye(CLASSES, dtype=np.bool_)
    for group in (*case_pairs(), *map(encode, _TORN_BETWEEN)):
        alike[np.ix_(group, group)] = True
    return alike


_LOOKS = _looks()
_TINY = np.finfo(np.float32).tiny

ALIKE = 10.0
"""The same character read in two windows fires within so many columns of the overlap."""

Gaps = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Starts and ends of runs of columns without ink, strip px."""

_Read = tuple[str, NDArray[np.float32]]
"""Text and the strip column at which each character fired."""


@dataclass(frozen=True, slots=True)
class Strip:
    """The characters of one strip, spaces among them, left to right, and where it has no ink.

    ``columns`` float32 (n,) in strip px; ``probabilities`` float32 (n,), ``alike``, those of the same characters or of
    others that look like them, and ``spaces``, those of a space before each; ``places`` intp (n,), the window each was
    read in. ``blanks`` are the gaps in the ink of its ``length`` columns; ``seams`` the columns at which two windows
    met without overlapping. ``height`` is what it takes of the page, px, ``middle`` the row of the page at half of it.
    """

    line: int
    text: str
    columns: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    alike: NDArray[np.float32]
    spaces: NDArray[np.float32]
    places: NDArray[np.intp]
    length: int
    blanks: Gaps
    seams: tuple[int, ...]
    height: float
    middle: float


def stitched(windows: Windows, readings: list[Reading], members: NDArray[np.intp], trace: list[Decision]) -> Strip:
    """The strip of windows ``members``, which belong to one line and stand from left to right."""
    line = int(windows.line[members[0]])
    rails = windows.rails[line]
    ink = np.zeros(rails.columns, np.bool_)
    seams = []
    text, columns = "", np.zeros(0, np.float32)
    probabilities = alike = spaces = np.zeros(0, np.float32)
    places = np.zeros(0, np.intp)
    end = 0
    for place in members:
        reading = readings[place]
        offset, width = int(windows.offset[place]), int(windows.width[place])
        ink[offset : offset + width] |= ink_columns(windows.pixels[place, :, :width])
        its_columns = reading.columns + offset
        keep, skip = len(text), 0
        if offset < end:
            keep, skip = _meeting((text, columns), (reading.text, its_columns), offset, end)
            trace.append(Decision(Act.STITCH, line, (offset + end) / 2, reading.text[skip:], float(end - offset)))
        elif end:
            seams.append(offset)
        text = text[:keep] + reading.text[skip:]
        columns = np.concatenate([columns[:keep], its_columns[skip:]])
        probabilities = np.concatenate([probabilities[:keep], reading.probabilities[skip:]])
        alike = np.concatenate([alike[:keep], _alike(reading)[skip:]])
        spaces = np.concatenate([spaces[:keep], _spaces(reading)[skip:]])
        places = np.concatenate([places[:keep], np.full(len(reading.text) - skip, place)])
        end = offset + width
    height = float(np.median(np.linalg.norm(rails.bottom - rails.top, axis=1)))
    middle = float(np.median(rails.bottom[:, 1] + rails.top[:, 1])) / 2
    blanks = _gaps(ink)
    return Strip(
        line, text, columns, probabilities, alike, spaces, places, len(ink), blanks, tuple(seams), height, middle
    )


def _alike(reading: Reading) -> NDArray[np.float32]:
    """The probabilities of a reading's characters or of others that look like them: by what the net gave the others
    beside each, or by all that it gave them there, where it is the language model that wavers."""
    given = reading.log_probabilities
    if given is None or not reading.text:
        return reading.probabilities
    steps = np.minimum((reading.columns / COLUMNS).astype(np.intp), len(given) - 1)
    classes = encode(reading.text)
    its = np.exp(given[steps, classes])
    all_alike = np.exp(given[steps]).sum(1, where=_LOOKS[classes])
    beside = reading.probabilities * all_alike / np.maximum(its, _TINY)
    return np.asarray(np.minimum(np.maximum(beside, all_alike), 1), np.float32)


def _spaces(reading: Reading) -> NDArray[np.float32]:
    """The probability of a space between each of a reading's characters and the one before, 0 where it isn't given."""
    out = np.zeros(len(reading.text), np.float32)
    given = reading.log_probabilities
    if given is not None and len(out) > 1:
        steps = np.minimum((reading.columns / COLUMNS).astype(np.intp), len(given) - 1)
        out[1:] = np.exp(np.maximum.reduceat(given[:, _SPACE], steps)[:-1])
    return out


def _gaps(ink: NDArray[np.bool_]) -> Gaps:
    edges = np.diff(np.concatenate([[False], ~ink, [False]]).astype(np.int8))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)


def _meeting(left_read: _Read, right_read: _Read, start: int, end: int) -> tuple[int, int]:
    """How many characters of the left text to keep and of the right to skip, so that the overlap is taken once.

    The texts meet in a character that both read at the same place, the nearest to the middle of the overlap, where both
    see it whole; else in the middle.
    """
    (left, left_at), (right, right_at) = left_read, right_read
    middle = (start + end) / 2
    best: tuple[float, int, int] | None = None
    for i in np.flatnonzero(left_at >= start):
        for j in np.flatnonzero(right_at <= end):
            if left[i] == right[j] and abs(left_at[i] - right_at[j]) <= ALIKE:
                # Of letters doubled each has its own place: two that fire apart are not the same one.
                apart = abs(float(left_at[i] - right_at[j]))
                away = abs(float(left_at[i] + right_at[j]) / 2 - middle) + apart
                if best is None or away < best[0]:
                    best = (away, int(i) + 1, int(j) + 1)
    if best is not None:
        return best[1], best[2]
    return int((left_at < middle).sum()), int((right_at < middle).sum())
