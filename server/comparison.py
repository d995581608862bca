"""Two readings of one page held against each other, word by word: what agrees, and what only one of them found.

Words are matched by their boxes, so that reading order plays no part. Pure functions on the API's messages; the results
are counts, and hold no text.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import islice

from cloister.v1 import ocr_pb2

SAME_BOX = 0.4
"""Two boxes are of one word where their intersection over union is at least this."""
_INSIDE = 0.7
"""A piece of a word lies in it with at least this part of its own area."""
_CELL_PX = 64.0
# A reading is what a cell said, and a cell may have been taken over: comparing it must end soon, whatever it holds.
_MOST_WORDS = 2000
_LONGEST = 100
_MOST_CELLS = 400
_MOST_PAIRS = 20_000


@dataclass(frozen=True, slots=True)
class Rules:
    """What makes no difference between two texts."""

    ignore_case: bool = False
    ignore_punctuation: bool = False

    def plain(self, text: str) -> str:
        if self.ignore_case:
            text = text.casefold()
        if self.ignore_punctuation:
            text = "".join(letter for letter in text if not unicodedata.category(letter).startswith("P"))
        return text


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of a control's and a candidate's words. ``merged`` are words of the candidate that hold several of the control's,
    ``split`` the reverse. ``character_errors`` counts edits in pairs, and all characters of words without a partner.
    """

    control_words: int = 0
    candidate_words: int = 0
    matched: int = 0
    same_text: int = 0
    only_control: int = 0
    only_candidate: int = 0
    merged: int = 0
    split: int = 0
    control_characters: int = 0
    character_errors: int = 0
    overlap_sum: float = 0.0
    control_confidence_sum: float = 0.0
    candidate_confidence_sum: float = 0.0

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(*(getattr(self, item.name) + getattr(other, item.name) for item in fields(self)))

    @property
    def word_agreement(self) -> float:
        """F1 of the words that both found with the same text; 1 where neither found any."""
        total = self.control_words + self.candidate_words
        return 2 * self.same_text / total if total else 1.0

    @property
    def character_error_rate(self) -> float:
        """Of the candidate against the control; may pass 1."""
        return self.character_errors / max(1, self.control_characters)

    @property
    def mean_overlap(self) -> float:
        """Mean intersection over union of matched boxes; 0 where there are none."""
        return self.overlap_sum / self.matched if self.matched else 0.0

    def counts(self) -> dict[str, float]:
        """For logs and records."""
        rates = {"word_agreement": self.word_agreement, "cer": self.character_error_rate, "iou": self.mean_overlap}
        return {**asdict(self), **{name: round(value, 4) for name, value in rates.items()}}


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    confidence: float
    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        return max(0.0, self.right - self.left) * max(0.0, self.bottom - self.top)


def agreement(control: Sequence[ocr_pb2.Page], candidate: Sequence[ocr_pb2.Page], rules: Rules) -> Agreement:
    """Of two readings of one document, by page number; pages that only one has count as its words alone."""
    mine = {page.number: _words(page, rules) for page in control}
    theirs = {page.number: _words(page, rules) for page in candidate}
    numbers = mine.keys() | theirs.keys()
    return sum((_of_page(mine.get(n, []), theirs.get(n, [])) for n in numbers), Agreement())


def _of_page(control: list[_Word], candidate: list[_Word]) -> Agreement:
    near = list(islice(_overlaps(control, candidate), _MOST_PAIRS))
    matched: dict[int, int] = {}
    taken: set[int] = set()
    overlap_sum = 0.0
    for overlap, i, j, _ in sorted(near, reverse=True):
        if overlap >= SAME_BOX and i not in matched and j not in taken:
            matched[i] = j
            taken.add(j)
            overlap_sum += overlap
    pairs = [(control[i].text, candidate[j].text) for i, j in matched.items()]
    alone = [word for i, word in enumerate(control) if i not in matched]
    extra = [word for j, word in enumerate(candidate) if j not in taken]
    return Agreement(
        control_words=len(control),
        candidate_words=len(candidate),
        matched=len(pairs),
        same_text=sum(a == b for a, b in pairs),
        only_control=len(alone),
        only_candidate=len(extra),
        merged=_holders((j, area / control[i].area) for _, i, j, area in near if control[i].area),
        split=_holders((i, area / candidate[j].area) for _, i, j, area in near if candidate[j].area),
        control_characters=sum(len(word.text) for word in control),
        character_errors=sum(_edits(a, b) for a, b in pairs) + sum(len(word.text) for word in (*alone, *extra)),
        overlap_sum=overlap_sum,
        control_confidence_sum=sum(word.confidence for word in control),
        candidate_confidence_sum=sum(word.confidence for word in candidate),
    )


def _holders(parts: Iterable[tuple[int, float]]) -> int:
    """How many words hold two or more of the other side's, given (holder, share of the other that lies in it)."""
    held: dict[int, int] = defaultdict(int)
    for holder, share in parts:
        held[holder] += share >= _INSIDE
    return sum(count > 1 for count in held.values())


def _overlaps(control: list[_Word], candidate: list[_Word]) -> Iterator[tuple[float, int, int, float]]:
    """Pairs of words that overlap: intersection over union, index, index, intersection. By a grid: pages hold many."""
    grid: dict[tuple[int, int], list[int]] = defaultdict(list)
    for j, word in enumerate(candidate):
        for cell in _cells(word):
            grid[cell].append(j)
    for i, word in enumerate(control):
        for j in {j for cell in _cells(word) for j in grid.get(cell, ())}:
            other = candidate[j]
            width = min(word.right, other.right) - max(word.left, other.left)
            height = min(word.bottom, other.bottom) - max(word.top, other.top)
            if width > 0 and height > 0:
                area = width * height
                yield area / (word.area + other.area - area), i, j, area


def _cells(word: _Word) -> Iterator[tuple[int, int]]:
    """Where a word lies in the grid; nowhere if it is larger than words are, and then it has no partner."""
    if word.area > _MOST_CELLS * _CELL_PX**2 or max(word.right - word.left, word.bottom - word.top) > 100 * _CELL_PX:
        return
    for row in range(int(word.top // _CELL_PX), int(word.bottom // _CELL_PX) + 1):
        for column in range(int(word.left // _CELL_PX), int(word.right // _CELL_PX) + 1):
            yield row, column


def _words(page: ocr_pb2.Page, rules: Rules) -> list[_Word]:
    return [_word(word, rules) for line in page.lines for word in line.words][:_MOST_WORDS]


def _word(word: ocr_pb2.Word, rules: Rules) -> _Word:
    quad = word.quad
    corners = (quad.top_left, quad.top_right, quad.bottom_right, quad.bottom_left)
    xs, ys = [corner.x for corner in corners], [corner.y for corner in corners]
    return _Word(rules.plain(word.text), word.confidence, min(xs), min(ys), max(xs), max(ys))


def _edits(a: str, b: str) -> int:
    """Levenshtein's distance; for texts longer than words are, that of wholly different ones."""
    if a == b:
        return 0
    if max(len(a), len(b)) > _LONGEST:
        return max(len(a), len(b))
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(b, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (letter != other))
    return row[-1]
