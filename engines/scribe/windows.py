"""The values that pass between scribe's stages: rails, windows and readings.

The detector lays a pair of rails along each line of text, above and below its ink, and straightens what lies between
them into a strip of `HEIGHT` rows. Windows of `HEIGHT` x `WIDTH` are cut from strips; the recogniser reads each window
alone; the Wordinator puts them together again and maps strip columns back to the page by the rails.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HEIGHT = 32
"""Rows of a window, px."""
WIDTH = 256
"""Columns of a window, px."""
STEP = 16
"""Strip columns between two points of a rail, px."""


@dataclass(frozen=True, slots=True)
class Rails:
    """Where a strip was cut from the page.

    ``top`` and ``bottom``, float32 (k, 2), are points in page px; point i belongs to strip column ``i * STEP``, on the
    strip's upper and lower edge. ``columns`` is the strip's length in px; ``k == ceil(columns / STEP) + 1``.
    ``inverted`` tells that the text is light on dark (its strip was inverted, so that ink is always dark).
    """

    top: NDArray[np.float32]
    bottom: NDArray[np.float32]
    columns: int
    inverted: bool = False

    def at(self, columns: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Points in page px on the upper and the lower rail at strip ``columns`` (n,): two arrays float32 (n, 2)."""
        position = np.clip(columns / STEP, 0, len(self.top) - 1)
        left = np.minimum(position.astype(np.intp), len(self.top) - 2)
        weight = (position - left)[:, None].astype(np.float32)
        top = self.top[left] * (1 - weight) + self.top[left + 1] * weight
        bottom = self.bottom[left] * (1 - weight) + self.bottom[left + 1] * weight
        return top, bottom


@dataclass(frozen=True, slots=True)
class Windows:
    """Fixed-size windows of a page, in reading order, and where each was cut.

    pixels  uint8 (n, HEIGHT, WIDTH), ink dark, right of ``width`` padded with the window's ground
    line    int32 (n,), index into ``rails``; never falls
    offset  int32 (n,), strip column of the window's first column; rises within a line
    width   int32 (n,), columns that show the page

    Windows of a line overlap where a cut had to go through ink: ``offset[i] + width[i] > offset[i + 1]``; text in the
    overlap is read twice.
    """

    pixels: NDArray[np.uint8]
    line: NDArray[np.int32]
    offset: NDArray[np.int32]
    width: NDArray[np.int32]
    rails: tuple[Rails, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the net read in one window.

    ``columns`` float32 (len(text),): the window column at which each character fired, px. ``probabilities`` float32
    (len(text),): the net's for each character at that column. ``confidence``: calibrated probability of the whole text,
    0..1. Spaces are characters. Empty text means that the net saw no text. ``log_probabilities`` float32 (steps,
    classes) are all that the net gave, each step as wide as the next; None where it was sure of every character.
    """

    text: str
    columns: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    confidence: float
    log_probabilities: NDArray[np.float32] | None = None
