"""A page as a program wrote it, in its own coordinates, and the way from there to the page as it was given."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from engines import boxes
from engines.api import PageText, Turn
from engines.boxes import UNSTATED, BoxedWord
from engines.errors import ProgramError

_FARTHEST = 1e7
"""px, or whatever unit: coordinates beyond are nonsense."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """Lines of words, their boxes on a page of ``width`` x ``height`` in the program's unit; None where it states none.

    ``upright_by`` is how far the program turned the page clockwise to have it upright, None where it does not say.
    ``on_turned`` tells that the boxes lie on that turned page, and that ``width`` and ``height`` are its.
    """

    lines: tuple[tuple[BoxedWord, ...], ...]
    width: float | None = None
    height: float | None = None
    upright_by: int | None = None
    on_turned: bool = False

    def on_page(self, width: int, height: int, *, seen: tuple[float, float] | None = None) -> PageText:
        """The same on a page of ``width`` x ``height`` px, of which the program saw ``seen``, in the same px."""
        degrees = self.upright_by or 0
        across, down = seen or (width, height)
        if self.on_turned and degrees in (90, 270):
            across, down = down, across
        x = across / self.width if self.width else 1.0
        y = down / self.height if self.height else 1.0
        placed = []
        for line in self.lines:
            words = []
            for word in line:
                box = word.box.scaled(x, y)
                if self.on_turned:
                    box = box.unturned(degrees, across, down)
                words.append(replace(word, box=box, degrees=(word.degrees - degrees) % 360))
            placed.append(words)
        return PageText(
            lines=boxes.lines(placed, width, height),
            turn=Turn() if self.upright_by is None else Turn(degrees, UNSTATED),
        )


def number(text: str | None, what: str) -> float:
    """A finite number within reason. Raises `ProgramError` that names ``what`` it should have been."""
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not abs(value) <= _FARTHEST:
        raise ProgramError(f"the program's output has no number for {what}")
    return value


def size(text: str | None, what: str) -> float | None:
    """A length above 0; None where it is not stated."""
    if text is None:
        return None
    value = number(text, what)
    return value if value > 0 else None
