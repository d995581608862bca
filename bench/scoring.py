"""How what was read of a set is held against the truth: `server.truth` says which words count as right.

Precision, recall and F1 are over all pages of a set, case-sensitive and case folded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rapidfuzz.distance import Levenshtein

from server.truth import UNREADABLE, Found, Truth, count, line_pairs, shown

_LONGEST_PIECES = 4


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
        found = shown(truth, found)
        if truth.no_spaces:
            self._add_lines(truth, found)
            return
        wanted = [word for word in truth.words if UNREADABLE not in word]
        got = [token for word in found for token in word.text.split()]
        exact, folded = count(truth, found), count(truth, found, str.casefold)
        self.truth_words += exact.wanted
        self.found_words += exact.found
        self.hits += exact.right
        self.hits_nocase += folded.right
        folded_wanted, folded_got = [w.casefold() for w in wanted], [w.casefold() for w in got]
        self.merged += count_joined(folded_wanted, folded_got)
        self.split += count_joined(folded_got, folded_wanted)
        if truth.page_text is not None:
            reference = " ".join(truth.words)
            self.characters += len(reference)
            self.edits += Levenshtein.distance(reference, " ".join(got))

    def _add_lines(self, truth: Truth, found: Sequence[Found]) -> None:
        for wanted, got in line_pairs(truth, found):
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


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
