"""How often each character of the alphabet is drawn, with and without the kinds of text that are there to boost rare
ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engines.scribe.recogniser.alphabet import CHARACTERS
from engines.scribe.training.corpus import KINDS, Corpus

BOOSTERS = frozenset({"rare", "jumble", "single"})
"""Kinds of text that are drawn for their characters, not because documents hold such text."""
_WORDS = 6
"""Words of a line, where a kind takes their number."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Shares of all characters, before and after the rare ones are boosted, float64 (n,); ``characters`` in the order
    of the shares before, spaces left out."""

    characters: str
    before: np.ndarray
    after: np.ndarray

    def scarce(self, share: float) -> tuple[str, str]:
        """The characters whose share is below ``share``, before and after."""

        def below(shares: np.ndarray) -> str:
            return "".join(c for c, its in zip(self.characters, shares, strict=True) if its < share)

        return below(self.before), below(self.after)


def histogram(corpus: Corpus, kinds: Mapping[str, float], lines: int, seed: int = 0) -> Histogram:
    """Count ``lines`` lines of ``kinds``, which are drawn by their shares, and as many without the `BOOSTERS`."""
    plain = {kind: share for kind, share in kinds.items() if kind not in BOOSTERS}
    characters = CHARACTERS.replace(" ", "")
    before, after = (_shares(corpus, some, lines, seed, characters) for some in (plain, kinds))
    order = np.argsort(-before, kind="stable")
    return Histogram("".join(characters[i] for i in order), before[order], after[order])


def _shares(corpus: Corpus, kinds: Mapping[str, float], lines: int, seed: int, characters: str) -> np.ndarray:
    shares = {kind: share for kind, share in kinds.items() if kind in KINDS}
    weights = np.fromiter(shares.values(), float)
    rng = np.random.default_rng(seed)
    drawn = rng.choice(list(shares), lines, p=weights / weights.sum())
    counts = Counter[str]()
    for kind in drawn:
        counts.update(corpus.line(rng, str(kind), _WORDS))
    found = np.array([counts[c] for c in characters], float)
    return found / found.sum()
