"""Which words there are, in ten languages: hashes of them in one sorted array, which forked cells share.

Made by `engines.scribe.training.lexicon` from wordfreq (Speer 2022), whose lists are under CC BY-SA 4.0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PATH = Path(__file__).with_name("lexicon.npz")
ZIPF_UNIT = 1 / 32
"""Of the frequencies in the file; the Zipf scale is the logarithm to base 10 of occurrences in a billion words."""


def keys(words: Sequence[str]) -> NDArray[np.uint64]:
    """Hashes of lower-case words, uint64 (n,)."""
    digests = b"".join(hashlib.blake2b(word.encode(), digest_size=8).digest() for word in words)
    return np.frombuffer(digests, np.dtype("<u8")).astype(np.uint64)


class Lexicon:
    """Words with their frequencies."""

    def __init__(self, path: Path = PATH) -> None:
        with np.load(path, allow_pickle=False) as file:
            self._keys: NDArray[np.uint64] = file["keys"]
            self._zipf: NDArray[np.uint8] = file["zipf"]

    def __len__(self) -> int:
        return len(self._keys)

    def zipf(self, words: Sequence[str]) -> NDArray[np.float64]:
        """Frequencies (n,) on the Zipf scale, 0 for what is no word. Lower case is looked up as it is."""
        if not words:
            return np.zeros(0)
        wanted = keys(words)
        place = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        return np.where(self._keys[place] == wanted, self._zipf[place] * ZIPF_UNIT, 0.0)


@cache
def lexicon() -> Lexicon:
    """The one that comes with Cloister. Read once, before cells are forked: they can open no file."""
    return Lexicon()
