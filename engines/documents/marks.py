"""What is to be drawn on a page, and how a cell is told. Imports nothing that parses a document."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum


class Side(StrEnum):
    """Who read a word."""

    BOTH = "both"
    CONTROL = "control"
    CANDIDATE = "candidate"


@dataclass(frozen=True, slots=True)
class Mark:
    """A word to be drawn: its ``quad`` as x, y of four corners in px, who read it, and the text to write beside it."""

    quad: tuple[float, ...]
    side: Side
    text: str = ""


def header(page: int, marks: Iterable[Mark]) -> bytes:
    """What a cell is told: to draw ``marks`` over the page of that number, from 1."""
    return json.dumps({"page": page, "marks": [asdict(mark) for mark in marks]}).encode()


def told(header: bytes) -> tuple[int, list[Mark]]:
    """What `header` made."""
    asked = json.loads(header)
    return asked["page"], [Mark(tuple(mark["quad"]), Side(mark["side"]), mark["text"]) for mark in asked["marks"]]
