"""One document read by two engines, as it is recorded: counts and costs, no text."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field

from cloister.v1 import ocr_pb2
from server.comparison import Agreement

OK = "OK"
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class Spent:
    """What a reading cost. ``cpu_s`` is of all its cells, ``memory_bytes`` the most that one held, None if unknown."""

    seconds: float
    cpu_s: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Rightness:
    """Two readings against the truth. ``wanted`` counts its words; of each reading, words right and words found."""

    wanted: int
    control_right: int
    control_found: int
    candidate_right: int
    candidate_found: int

    @property
    def control_f1(self) -> float:
        return _f1(self.control_right, self.control_found, self.wanted)

    @property
    def candidate_f1(self) -> float:
        return _f1(self.candidate_right, self.candidate_found, self.wanted)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A pair of readings; ``id`` is the request's, or a file's name. ``status`` is OK or why the candidate failed.

    ``agreement`` is None where it did. ``at_s`` is in seconds since 1970. ``rules`` says what made no difference.
    """

    id: str
    at_s: float
    document_kind: str
    pages: int
    flags_version: str
    control: str
    control_version: str
    candidate: str
    candidate_version: str
    status: str
    rules: str
    control_spent: Spent
    candidate_spent: Spent
    agreement: Agreement | None = None
    truth: Rightness | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A document that may be kept, and what both engines read of it."""

    document: bytes = field(repr=False)
    control: tuple[ocr_pb2.Page, ...] = field(repr=False)
    candidate: tuple[ocr_pb2.Page, ...] = field(repr=False)

    @property
    def size(self) -> int:
        """Bytes, about."""
        return len(self.document) + sum(page.ByteSize() for page in (*self.control, *self.candidate))


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be recorded of one request."""

    comparison: Comparison
    kept: Kept | None = None


def name(text: str) -> str:
    """A caller's own name for something, as a database and a report can hold it."""
    return "".join(letter for letter in text if not unicodedata.category(letter).startswith("C"))[:_LONGEST_NAME]


def _f1(right: int, found: int, wanted: int) -> float:
    return 2 * right / (found + wanted) if found + wanted else 1.0
