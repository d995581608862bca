"""Real pages with truth, and which words of a reading are right.

A set is a folder with ``truth.jsonl``, a JSON object a line: ``image``; ``lines`` and ``words`` (lists of ``text``
and ``quad``, or null); optionally ``page_text``, ``ignore`` (quads not to be scored) and ``no_spaces`` (the truth's
text has none).

Truth and reading are bags of words: text split on white space. A word is right on an exact match, each word of the
truth at most once. Truth that is unreadable (holds a ``~``) is left out, as is output whose centre lies in a region to
be ignored. Where the truth has no spaces, lines are compared instead of words.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cloister.v1 import ocr_pb2

Corners = tuple[tuple[float, float], ...]

NAME = "truth.jsonl"
UNREADABLE = "~"


@dataclass(frozen=True, slots=True)
class Marked:
    """A piece of truth and where it stands, px; None where that is not known."""

    text: str
    quad: Corners | None


@dataclass(frozen=True, slots=True)
class Truth:
    """A page and what is on it. ``words`` in the truth's order."""

    image: Path
    lines: tuple[Marked, ...]
    words: tuple[str, ...]
    page_text: str | None
    ignore: tuple[Corners, ...]
    no_spaces: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A word that an engine read, and its corners in px."""

    text: str
    quad: Corners

    @property
    def centre(self) -> tuple[float, float]:
        return sum(x for x, _ in self.quad) / len(self.quad), sum(y for _, y in self.quad) / len(self.quad)


@dataclass(frozen=True, slots=True)
class Counts:
    """Words (or lines) of the truth, those that were found, and those that were found right."""

    wanted: int
    found: int
    right: int


def load(folder: Path, limit: int | None = None) -> list[Truth]:
    """The pages of a set, the first ``limit`` of them. Raises FileNotFoundError where ``truth.jsonl`` is missing."""
    with (folder / NAME).open(encoding="utf-8") as file:
        return [_page(folder, json.loads(line)) for line in file][:limit]


def found(pages: Iterable[ocr_pb2.Page]) -> list[Found]:
    """The words of a reply."""
    return [Found(word.text, _quad(word.quad)) for page in pages for line in page.lines for word in line.words]


def count(truth: Truth, words: Sequence[Found], plain: Callable[[str], str] = str) -> Counts:
    """How a reading of the page does against the truth; ``plain`` takes from a text what makes no difference."""
    words = shown(truth, words)
    if truth.no_spaces:
        pairs = [(plain(wanted), plain(got)) for wanted, got in line_pairs(truth, words)]
        return Counts(len(pairs), len(pairs), sum(wanted == got for wanted, got in pairs))
    wanted = [plain(word) for word in truth.words if UNREADABLE not in word]
    got = [plain(token) for word in words for token in word.text.split()]
    return Counts(len(wanted), len(got), (Counter(wanted) & Counter(got)).total())


def shown(truth: Truth, words: Iterable[Found]) -> list[Found]:
    """Those that do not lie in a region to be ignored."""
    return [word for word in words if not any(contains(quad, word.centre) for quad in truth.ignore)]


def line_pairs(truth: Truth, words: Sequence[Found]) -> Iterator[tuple[str, str]]:
    """Of each line whose place is known: its text and what was read in its place, both without spaces."""
    for line in truth.lines:
        if line.quad is None or UNREADABLE in line.text:
            continue
        inside = sorted((word for word in words if contains(line.quad, word.centre)), key=lambda word: word.centre)
        yield "".join(line.text.split()), "".join(word.text for word in inside).replace(" ", "")


def contains(quad: Corners, point: tuple[float, float]) -> bool:
    """Whether a point lies in a convex quad, its edge included, whichever way round its corners are given."""
    x, y = point
    sides = [
        (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)
        for (x0, y0), (x1, y1) in zip(quad, (*quad[1:], quad[0]), strict=True)
    ]
    return all(side >= 0 for side in sides) or all(side <= 0 for side in sides)


def _quad(quad: ocr_pb2.Quad) -> Corners:
    points = (quad.top_left, quad.top_right, quad.bottom_right, quad.bottom_left)
    return tuple((point.x, point.y) for point in points)


def _page(folder: Path, entry: dict[str, object]) -> Truth:
    lines = _marked(entry.get("lines"))
    words = _marked(entry.get("words"))
    page_text = entry.get("page_text")
    text = str(page_text) if page_text else " ".join(item.text for item in words or lines)
    return Truth(
        image=folder / str(entry["image"]),
        lines=lines,
        words=tuple(text.split()),
        page_text=str(page_text) if page_text else None,
        ignore=tuple(_corners(quad) for quad in _list(entry.get("ignore"))),
        no_spaces=bool(entry.get("no_spaces")),
    )


def _marked(items: object) -> tuple[Marked, ...]:
    marked = []
    for item in _list(items):
        if not isinstance(item, dict):
            raise TypeError(f"a line or word of the truth must be an object, not {item!r}")
        quad = item.get("quad")
        marked.append(Marked(str(item["text"]), _corners(quad) if quad else None))
    return tuple(marked)


def _corners(quad: object) -> Corners:
    corners = [_list(corner) for corner in _list(quad)]
    return tuple((float(str(corner[0])), float(str(corner[1]))) for corner in corners)


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []
