"""One-letter repairs: a word the net is not sure of, read as a word there is, where the net nearly read that.

What the net gave to either reading, over all alignments, is weighed against how common the words are, and what the
language model says of them in their line, as it had its say in what was read: Bayes' rule with both as the prior,
flattened, because print is full of names that no list holds. Only letters are touched, and only in tokens of letters:
no digits, codes, prices or addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.scribe.recogniser import ctc
from engines.scribe.recogniser.alphabet import BLANK, CHARACTERS, encode
from engines.scribe.wordinator.lexicon import Lexicon

WEIGHT = 0.8
"""What one point on the Zipf scale is worth, in nats."""
POSSIBLE = 0.01
"""A letter may take another's place, or step in between, if the net gave it this probability there."""
MIN_LETTERS = 2
_TOKEN = re.compile(r"([^\w\s]*)([^\W\d_]+)((?:['’]s)?[^\w\s]*)")
_NAME = re.compile("Ma?c[A-Z][a-z]+")
_LETTERS = np.array([number for number, character in enumerate(CHARACTERS, start=1) if character.isalpha()])


@dataclass(frozen=True, slots=True)
class Doubt:
    """A word to be looked at: its text, the net's log-probabilities float32 (steps, classes) over it alone, and the
    step in them at which each of its characters fired, (len(text),); what stands before and after it in its line."""

    text: str
    log_probabilities: NDArray[np.float32]
    steps: NDArray[np.intp]
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The text to be taken and the probability the net gives it."""

    text: str
    probability: float


def repaired(doubts: Sequence[Doubt | None], lexicon: Lexicon) -> list[Verdict | None]:
    """For each doubt its better reading, None where there is none or where there was no doubt."""
    cases = [[] if doubt is None else _alternatives(doubt, lexicon) for doubt in doubts]
    rows = [
        (doubt.log_probabilities, text) for doubt, case in zip(doubts, cases, strict=True) if doubt for text, _ in case
    ]
    if not rows:
        return [None] * len(doubts)
    scores = iter(_scores(*zip(*rows, strict=True)).tolist())
    return [
        _judged(doubt, [(text, zipf, next(scores)) for text, zipf in case]) if doubt and case else None
        for doubt, case in zip(doubts, cases, strict=True)
    ]


def _judged(doubt: Doubt, case: list[tuple[str, float, float]]) -> Verdict | None:
    """The best of (text, frequency, log-probability), of which the first is what was read."""
    text, _, score = max(case, key=lambda entry: entry[2] + WEIGHT * entry[1] + _said(doubt, entry[0]))
    return None if text == case[0][0] else Verdict(text, float(np.exp(score)))


def _said(doubt: Doubt, text: str) -> float:
    """What the language model says of ``text`` in the doubt's place, as the beam weighs it, but for what it says of all
    alike."""
    near = ctc.ORDER - 1  # a line may have thousands of characters, and a page thousands of doubts
    line = [*encode(doubt.before[-near:] + text + doubt.after[:near]), ctc.END]
    return ctc.BONUS * len(text) - ctc.WEIGHT * ctc.language().cost(line)


def _alternatives(doubt: Doubt, lexicon: Lexicon) -> list[tuple[str, float]]:
    """What was read and the words one edit away, each with its frequency; empty where there are none."""
    match = _TOKEN.fullmatch(doubt.text)
    if match is None or len(match[2]) < MIN_LETTERS:
        return []
    before, core, after = match.groups()
    variants = sorted(set(_variants(doubt, len(before), core)) - {core})
    zipf = lexicon.zipf([_plain(word) for word in (core, *variants)])
    known = [(f"{before}{word}{after}", float(value)) for word, value in zip(variants, zipf[1:], strict=True) if value]
    return [(doubt.text, float(zipf[0])), *known] if known else []


def _plain(word: str) -> str:
    """The word as the lexicon has it, if its case is one that words have; else nothing that any lexicon has."""
    return word.lower() if word.islower() or word.isupper() or word.istitle() or _NAME.fullmatch(word) else ""


def _variants(doubt: Doubt, start: int, core: str) -> Iterator[str]:
    """``core``, which begins at the character ``start``, with one letter more, less or other, as the net might have
    read."""
    likely: list[set[str]] = [set() for _ in doubt.log_probabilities]
    for step, number in np.argwhere(doubt.log_probabilities[:, _LETTERS] > np.log(POSSIBLE)).tolist():
        likely[step].add(CHARACTERS[_LETTERS[number] - 1])
    steps = doubt.steps[start : start + len(core)].tolist()
    for place, step in enumerate(steps):
        yield core[:place] + core[place + 1 :]
        for letter in set().union(*likely[max(0, step - 1) : step + 2]):
            yield core[:place] + letter + core[place + 1 :]
    edges = [0, *steps, len(likely)]
    for place in range(len(core) + 1):
        doubled = core[max(0, place - 1) : place + 1]
        for letter in set(doubled).union(*likely[edges[place] : edges[place + 1] + 1]):
            yield core[:place] + letter + core[place:]


def _scores(slices: Sequence[NDArray[np.float32]], texts: Sequence[str]) -> NDArray[np.float64]:
    """The log-probability of each text in its slice; slices are filled up with certain blanks."""
    longest = max(len(piece) for piece in slices)
    padded = np.full((len(slices), longest, slices[0].shape[1]), -1e4, np.float32)
    padded[:, :, BLANK] = 0
    for row, piece in zip(padded, slices, strict=True):
        row[: len(piece)] = piece
    return ctc.log_likelihoods(padded, [np.array(encode(text), np.intp) for text in texts])
