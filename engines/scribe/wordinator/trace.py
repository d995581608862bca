"""What the Wordinator decided, where, and on what."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Act(StrEnum):
    """Kinds of decisions."""

    STITCH = "stitch"
    """Two overlapping windows were joined: text in the overlap was taken once."""
    JOIN = "join"
    """Two windows meet inside a word, which became one."""
    SPLIT = "split"
    """A word was split at a gap in the ink where the net saw no space."""
    REPAIR = "repair"
    """A word became one of the lexicon, a letter away."""
    DROP = "drop"
    """A word was taken for noise."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision: on strip ``line`` of the windows, at strip ``column`` (px), about ``text``.

    ``measure`` is what it was decided on: a gap in px for splits and joins, the overlap in px for stitches, a
    confidence for drops, the new word's probability for repairs, whose text is both words.
    """

    act: Act
    line: int
    column: float
    text: str
    measure: float
