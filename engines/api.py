"""What an engine is, and the values that pass between engines and those who call them.

An engine turns the pixels of one page into lines of words. It is found by the entry point group ``cloister.engines``
(see `engines.registry`), loaded once in a zygote, and called in cells forked from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]
Point: TypeAlias = tuple[float, float]


class Stage(StrEnum):
    """The parts of a request's work that are timed."""

    DECODE = "decode"
    ORIENT = "orient"
    DETECT = "detect"
    RECOGNISE = "recognise"
    WORDINATE = "wordinate"
    RENDER = "render"


@dataclass(frozen=True, slots=True)
class Quad:
    """Four corners in px, clockwise from the top left of the text as it is read."""

    top_left: Point
    top_right: Point
    bottom_right: Point
    bottom_left: Point


@dataclass(frozen=True, slots=True)
class Page:
    """One page, decoded, its EXIF orientation honoured.

    ``pixels`` is uint8 of shape (height, width, 3), RGB; of a grey page it may be a view whose three channels are one
    (``strides[2] == 0``), which is not contiguous. ``dpi`` is what the file states, None where it states nothing.
    ``number`` counts from 1. Raises ValueError for pixels of another type or shape, so that no engine meets them.
    """

    pixels: Pixels
    number: int = 1
    dpi: float | None = None

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if self.pixels.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
            raise ValueError(f"a page is uint8 (height, width, 3), not {self.pixels.dtype} {shape}")


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it is printed; no white space in it.

    ``confidence`` lies in 0..1 and is calibrated: of the words of 0.9, nine in ten are right.
    """

    text: str
    confidence: float
    quad: Quad


@dataclass(frozen=True, slots=True)
class Line:
    """Words from left to right as they are read."""

    words: tuple[Word, ...]
    quad: Quad

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


@dataclass(frozen=True, slots=True)
class Turn:
    """Degrees clockwise (0, 90, 180, 270) that bring a page upright, and how sure that is: 0..1, 0 if nobody looked."""

    degrees: int = 0
    confidence: float = 0.0


@dataclass(frozen=True, slots=True)
class PageText:
    """What was read on a page: lines in reading order, quads in px of the page as it was given.

    ``seconds`` holds the wall time of the engine's own stages.
    """

    lines: tuple[Line, ...]
    turn: Turn = Turn()
    seconds: Mapping[Stage, float] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a cell of an engine needs for the largest page: ``memory_bytes``, and ``pids``, its processes and threads.

    An operator's own limits hold where they are higher.
    """

    memory_bytes: int = 256 << 20
    pids: int = 1


@dataclass(frozen=True, slots=True)
class Program:
    """A program that an engine's cells execute. All else that they could reach is named here.

    ``path`` is absolute. ``reads`` are files and folders, absolute, that the cell sees read-only: libraries, models,
    licences. ``network`` leaves the host's network in reach, for licence servers. ``scratch_bytes`` bounds the files in
    ``/tmp``, the cell's own, where page and output lie.
    """

    path: str
    reads: tuple[str, ...] = ()
    network: bool = False
    scratch_bytes: int = 256 << 20


class Engine(Protocol):
    """Reads pages. One instance lives in one zygote; its forks call `recognize`.

    A class may fulfil this by its shape alone, or inherit from it for the defaults. It is called with the keys of its
    table in the settings as keyword arguments; what does not suit it is an `engines.errors.OptionsError`.
    """

    name: str
    version: str
    model_version: str = ""
    """Names the weights; empty where there are none of our own."""
    languages: tuple[str, ...]
    """BCP 47 tags."""
    policy: str = "base"
    """Seccomp policy its cells work under: the name of ``jail/policy/<name>.policy``, or an absolute path."""
    limits: Limits = Limits()
    program: Program | None = None
    """None for an engine that works in its own process."""

    def load(self) -> None:
        """Read models and run every shape once. Called in the zygote, before any fork; may open files.

        Raises `engines.errors.MissingError` where something it needs is not installed.
        """

    def recognize(self, page: Page) -> PageText:
        """Read a page. Called in a cell, where nothing can be opened or imported.

        Any page has an answer, if an empty one; quads lie in the page.
        """
