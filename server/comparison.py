"""Two readings of one page held against each other, word by word: what agrees, and what only one of them found.

Words are matched by their boxes, so that reading order plays no part. Pure functions on the API's messages; the results
are counts, and hold no text.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import islice

from rapidfuzz.distance import Levenshtein

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
    ignore_white_space: bool = False
    """A word is the same as its pieces: words that are merged or split, and else alike, are no difference."""

    def plain(self, text: str) -> str:
        """The text without what makes no difference in one word."""
        if self.ignore_case:
            text = text.casefold()
        if self.ignore_punctuation:
            text = _without_punctuation(text)
        return "".join(text.split()) if self.ignore_white_space else text

    def __str__(self) -> str:
        """For people: "case and punctuation ignored", "exact"."""
        ignored = [item.name.removeprefix("ignore_").replace("_", " ") for item in fields(self)]
        named = [name for item, name in zip(fields(self), ignored, strict=True) if getattr(self, item.name)]
        return f"{' and '.join(named)} ignored" if named else "exact"


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of a control's and a candidate's words. ``merged`` are words of the candidate that hold several of the control's,
    ``split`` the reverse. ``character_errors`` counts edits in pairs, and all characters of words without a partner.
    Pairs whose texts differ are told apart by what differs: case alone, punctuation alone, a digit, or else letters.
    """

    control_words: int = 0
    candidate_words: int = 0
    matched: int = 0
    same_text: int = 0
    differ_case: int = 0
    differ_punctuation: int = 0
    differ_digits: int = 0
    differ_letters: int = 0
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
    def word_error_rate(self) -> float:
        """Words replaced, left out and added by the candidate, to the control's words; may pass 1."""
        wrong = self.matched - self.same_text + self.only_control + self.only_candidate
        return wrong / max(1, self.control_words)

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
        rates = {
            "word_agreement": self.word_agreement,
            "wer": self.word_error_rate,
            "cer": self.character_error_rate,
            "iou": self.mean_overlap,
        }
        return {**asdict(self), **{name: round(value, 4) for name, value in rates.items()}}


@dataclass(frozen=True, slots=True)
class Pair:
    """A word in both readings, or None where one lacks it; ``same`` where nothing that counts differs."""

    control: ocr_pb2.Word | None
    candidate: ocr_pb2.Word | None
    same: bool


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
    return sum((_of_page(mine.get(n, []), theirs.get(n, []), rules) for n in numbers), Agreement())


def paired(control: ocr_pb2.Page, candidate: ocr_pb2.Page, rules: Rules) -> list[Pair]:
    """The words of two readings of one page, in the control's order, then those that only the candidate has.

    Words are what they are: pieces of one word are not joined, whatever ``rules`` say.
    """
    mine, theirs = ([word for line in page.lines for word in line.words] for page in (control, candidate))
    near = islice(_overlaps(_words(control, rules), _words(candidate, rules)), _MOST_PAIRS)
    matched = _matched(near)
    taken = {j for j, _ in matched.values()}
    pairs = []
    for i, word in enumerate(mine):
        other = theirs[matched[i][0]] if i in matched else None
        same = other is not None and rules.plain(word.text) == rules.plain(other.text)
        pairs.append(Pair(word, other, same))
    return pairs + [Pair(None, word, False) for j, word in enumerate(theirs) if j not in taken]


def _matched(near: Iterable[tuple[float, int, int, float]]) -> dict[int, tuple[int, float]]:
    """Of words that overlap, those that are of one box: index of the candidate's and overlap, by the control's."""
    matched: dict[int, tuple[int, float]] = {}
    taken: set[int] = set()
    for overlap, i, j, _ in sorted(near, reverse=True):
        if overlap >= SAME_BOX and i not in matched and j not in taken:
            matched[i] = j, overlap
            taken.add(j)
    return matched


def _of_page(control: list[_Word], candidate: list[_Word], rules: Rules) -> Agreement:
    near = list(islice(_overlaps(control, candidate), _MOST_PAIRS))
    merged = _holders((j, i, area / control[i].area) for _, i, j, area in near if control[i].area)
    split = _holders((i, j, area / candidate[j].area) for _, i, j, area in near if candidate[j].area)
    if rules.ignore_white_space:
        control, candidate = _joined(control, candidate, merged), _joined(candidate, control, split)
        near = list(islice(_overlaps(control, candidate), _MOST_PAIRS))
    matched = _matched(near)
    taken = {j for j, _ in matched.values()}
    pairs = [(control[i].text, candidate[j].text) for i, (j, _) in matched.items()]
    kinds = Counter(_difference(a, b) for a, b in pairs if a != b)
    alone = [word for i, word in enumerate(control) if i not in matched]
    extra = [word for j, word in enumerate(candidate) if j not in taken]
    return Agreement(
        control_words=len(control),
        candidate_words=len(candidate),
        matched=len(pairs),
        same_text=sum(a == b for a, b in pairs),
        **kinds,
        only_control=len(alone),
        only_candidate=len(extra),
        merged=len(merged),
        split=len(split),
        control_characters=sum(len(word.text) for word in control),
        character_errors=sum(_edits(a, b) for a, b in pairs) + sum(len(word.text) for word in (*alone, *extra)),
        overlap_sum=sum(overlap for _, overlap in matched.values()),
        control_confidence_sum=sum(word.confidence for word in control),
        candidate_confidence_sum=sum(word.confidence for word in candidate),
    )


def _holders(parts: Iterable[tuple[int, int, float]]) -> dict[int, list[int]]:
    """Words that hold two or more of the other side's, given (holder, other, share of the other that lies in it)."""
    held: dict[int, list[int]] = defaultdict(list)
    for holder, other, share in parts:
        if share >= _INSIDE:
            held[holder].append(other)
    return {holder: others for holder, others in held.items() if len(others) > 1}


def _joined(pieces: list[_Word], wholes: list[_Word], held: dict[int, list[int]]) -> list[_Word]:
    """``pieces`` with those made one that make up a word of ``wholes``, side by side and with its text."""
    gone: set[int] = set()
    made = []
    for whole, inside in held.items():
        parts = sorted((pieces[i] for i in inside), key=lambda word: word.left)
        if gone.isdisjoint(inside) and "".join(part.text for part in parts) == wholes[whole].text:
            gone.update(inside)
            made.append(replace(wholes[whole], confidence=min(part.confidence for part in parts)))
    return [word for i, word in enumerate(pieces) if i not in gone] + made


def _difference(a: str, b: str) -> str:
    """What two texts that are not the same differ in, as `Agreement` names it."""
    if a.casefold() == b.casefold():
        return "differ_case"
    if _without_punctuation(a) == _without_punctuation(b):
        return "differ_punctuation"
    digits = ["".join(letter for letter in text if letter.isdecimal()) for text in (a, b)]
    return "differ_letters" if digits[0] == digits[1] else "differ_digits"


def _without_punctuation(text: str) -> str:
    return "".join(letter for letter in text if not unicodedata.category(letter).startswith("P"))


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
    if a != b and max(len(a), len(b)) > _LONGEST:
        return max(len(a), len(b))
    return Levenshtein.distance(a, b)
