"""The case of words: torn between the two cases of each letter, the net reads InVOiCE, which nobody prints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engines.scribe.wordinator.candidates import Candidate
from engines.scribe.wordinator.trace import Decision
from engines.trace import Act

RARE = 0.003
"""About so many of the words in print mix their cases and are no Scots, a prior against reading one."""
LEAST = 1e-4
"""The probability of a letter's other case where the net gave none."""
_NAME = re.compile("Ma?c[A-Z][a-z]+")
_CODE = re.compile(r"\d")
_LETTERS = re.compile(r"[^\W\d_]{3,}")


def recased(candidates: Sequence[Candidate], trace: list[Decision]) -> list[Candidate]:
    """The same words, but those of mixed case in capitals, in small letters or capitalised, where that is likelier."""
    out = []
    for one in candidates:
        better = one
        for match in () if _CODE.search(one.text) else _LETTERS.finditer(one.text):
            better = _recased(better, *match.span())
        if better is not one:
            text = f"{one.text} {better.text}"
            trace.append(Decision(Act.REPAIR, one.strip.line, one.fired[0], text, better.confidence, one.fired[1]))
        out.append(better)
    return out


def usual(letters: str) -> bool:
    """Whether letters have their cases as words have them: all in one, capitalised, or as McGee."""
    return letters.islower() or letters.isupper() or letters.istitle() or bool(_NAME.fullmatch(letters))


def _recased(one: Candidate, start: int, end: int) -> Candidate:
    """The word with its letters from ``start`` to ``end`` in the case that all speaks for."""
    letters = one.text[start:end]
    cases = [case for case in (letters.upper(), letters.lower(), letters.capitalize()) if len(case) == len(letters)]
    if usual(letters):
        return one
    places = one.characters[start:end]
    read = np.maximum(one.strip.probabilities[places].astype(np.float64), LEAST)
    other = np.maximum(one.strip.folded[places] - read, LEAST)
    same = np.array([[a == b for a, b in zip(case, letters, strict=True)] for case in cases])
    gains = np.where(same, 0, np.log(other / read)).sum(axis=1)
    best = int(gains.argmax())
    if gains[best] <= np.log(RARE):
        return one
    text = one.text[:start] + cases[best] + one.text[end:]
    return replace(one, text=text, confidence=min(1.0, one.confidence * float(np.exp(gains[best]))))
