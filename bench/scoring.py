"""How what was read is held against the truth.

Truth and output are bags of words: text split on white space. A hit is an exact match, each truth word at most once.
Precision, recall and F1 are over all pages of a set, case-sensitive and case folded. Truth that is unreadable (holds a
``~``) is left out, as is output whose centre lies in a region to be ignored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rapidfuzz.distance import Levenshtein

from bench.dataset import Corners, Truth

UNREADABLE = "~"
_LONGEST_PIECES = 4


@dataclass(frozen=True, slots=True)
class Found:
    """A word that an engine read, and its corners in px."""

    text: str
    quad: Corners

    @property
    def centre(self) -> tuple[float, float]:
        return sum(x for x, _ in self.quad) / len(self.quad), sum(y for _, y in self.quad) / len(self.quad)


@dataclass
class Score:
    """Counts over the pages of a set; the rates are read from them."""

    pages: int = 0
    truth_words: int = 0
    found_words: int = 0
    hits: int = 0
    hits_nocase: int = 0
    merged: int = 0
    """Pairs of truth words that were found glued."""
    split: int = 0
    """Truth words that were found in pieces."""
    lines: int = 0
    """Truth lines compared without spaces."""
    right_lines: int = 0
    edits: int = 0
    """Character edits, over pages with page text or lines without spaces."""
    characters: int = 0
    seconds: list[float] = field(default_factory=list)

    def add(self, truth: Truth, found: Sequence[Found], seconds: float) -> None:
        """Count one page in."""
        self.pages += 1
        self.seconds.append(seconds)
        found = [word for word in found if not any(contains(quad, word.centre) for quad in truth.ignore)]
        if truth.no_spaces:
            self._add_lines(truth, found)
            return
        wanted = [word for word in truth.words if UNREADABLE not in word]
        got = [token for word in found for token in word.text.split()]
        self.truth_words += len(wanted)
        self.found_words += len(got)
        self.hits += (Counter(wanted) & Counter(got)).total()
        folded_wanted, folded_got = [w.casefold() for w in wanted], [w.casefold() for w in got]
        self.hits_nocase += (Counter(folded_wanted) & Counter(folded_got)).total()
        self.merged += count_joined(folded_wanted, folded_got)
        self.split += count_joined(folded_got, folded_wanted)
        if truth.page_text is not None:
            reference = " ".join(truth.words)
            self.characters += len(reference)
            self.edits += Levenshtein.distance(reference, " ".join(got))

    def _add_lines(self, truth: Truth, found: Sequence[Found]) -> None:
        for line in truth.lines:
            if line.quad is None or UNREADABLE in line.text:
                continue
            inside = sorted((word for word in found if contains(line.quad, word.centre)), key=lambda word: word.centre)
            got = "".join(word.text for word in inside).replace(" ", "")
            wanted = "".join(line.text.split())
            self.lines += 1
            self.right_lines += got == wanted
            self.characters += len(wanted)
            self.edits += Levenshtein.distance(wanted, got)

    def summary(self) -> dict[str, float | int | None]:
        """The rates, and the counts they come from. None where a set does not give a rate."""
        precision, recall = _ratio(self.hits, self.found_words), _ratio(self.hits, self.truth_words)
        ordered = sorted(self.seconds)
        return {
            "pages": self.pages,
            "precision": precision,
            "recall": recall,
            "f1": _ratio(2 * self.hits, self.found_words + self.truth_words),
            "f1_nocase": _ratio(2 * self.hits_nocase, self.found_words + self.truth_words),
            "truth_words": self.truth_words,
            "merged": self.merged,
            "split": self.split,
            "line_accuracy": _ratio(self.right_lines, self.lines),
            "cer": _ratio(self.edits, self.characters),
            "seconds_median": ordered[len(ordered) // 2] if ordered else None,
            "seconds_mean": _ratio(sum(ordered), len(ordered)),
        }


def count_joined(parts: Sequence[str], wholes: Sequence[str]) -> int:
    """How many neighbours in ``parts``, joined, make a word of ``wholes``; neither may have been matched as it is."""
    spare_parts = Counter(parts) - Counter(wholes)
    spare_wholes = Counter(wholes) - Counter(parts)
    joined = 0
    for start in range(len(parts)):
        for length in range(2, _LONGEST_PIECES + 1):
            pieces = parts[start : start + length]
            whole = "".join(pieces)
            needed = Counter(pieces)
            if len(pieces) == length and spare_wholes[whole] > 0 and needed <= spare_parts:
                spare_wholes[whole] -= 1
                spare_parts -= needed
                joined += 1
                break
    return joined


def contains(quad: Corners, point: tuple[float, float]) -> bool:
    """Whether a point lies in a convex quad, its edge included, whichever way round its corners are given."""
    x, y = point
    sides = [
        (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)
        for (x0, y0), (x1, y1) in zip(quad, (*quad[1:], quad[0]), strict=True)
    ]
    return all(side >= 0 for side in sides) or all(side <= 0 for side in sides)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
