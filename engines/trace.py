"""How an engine came to its words, for those who work on it: what its net looked at, and what was decided."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from engines.api import Page, PageText, Quad


class Act(StrEnum):
    """Kinds of decisions."""

    CUT = "cut"
    """A line was cut between two windows."""
    STITCH = "stitch"
    """Two overlapping windows were joined: text in the overlap was taken once."""
    JOIN = "join"
    """Two windows meet inside a word, or a mark stood apart from its word, which became one."""
    SPLIT = "split"
    """A word was split at a gap in the ink where the net saw no space."""
    REPAIR = "repair"
    """A word became one of the lexicon, a letter away."""
    DROP = "drop"
    """A word was taken for noise."""


@dataclass(frozen=True, slots=True)
class TracedWindow:
    """A piece of the page that the net looked at, what it read there, and how sure it was, 0..1."""

    quad: Quad
    text: str
    confidence: float


@dataclass(frozen=True, slots=True)
class TracedDecision:
    """A decision about ``text`` at ``quad``; ``measure`` is what it was decided on (see the act)."""

    act: Act
    quad: Quad
    text: str
    measure: float


@dataclass(frozen=True, slots=True)
class Trace:
    """Of one page, quads in px of the page as it was given; windows in reading order."""

    windows: tuple[TracedWindow, ...]
    decisions: tuple[TracedDecision, ...]


@runtime_checkable
class Tracing(Protocol):
    """What an engine has beside `engines.api.Engine` that can say how it came to its words."""

    def traced(self, page: Page) -> tuple[PageText, Trace]:
        """As `Engine.recognize`, with the trace."""
