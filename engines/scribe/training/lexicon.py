"""The Wordinator's lexicon from wordfreq's lists: `python -m engines.scribe.training.lexicon`."""

from __future__ import annotations

import numpy as np
import wordfreq

from engines.scribe.recogniser.alphabet import knows
from engines.scribe.wordinator.lexicon import PATH, ZIPF_UNIT, keys

LANGUAGES = {"en": 90_000, "de": 60_000, "fr": 40_000, "es": 40_000, "it": 40_000, "nl": 30_000, "pt": 40_000}
LANGUAGES |= {"da": 25_000, "nb": 25_000, "sv": 25_000}
"""The most frequent words of each language that are looked at."""
LEAST_ZIPF = {1: 6.0, 2: 4.5}
"""Words of one and two letters must be this common; by length. Lists of words from the net hold every pair."""


def main() -> None:
    """Write it: every word that is letters alone and that the net can read, with the largest of its frequencies."""
    zipf: dict[str, float] = {}
    for language, count in LANGUAGES.items():
        for word in wordfreq.top_n_list(language, count):
            frequency = wordfreq.zipf_frequency(word, language)
            if word.isalpha() and knows(word) and frequency >= LEAST_ZIPF.get(len(word), 0.0):
                zipf[word] = max(frequency, zipf.get(word, 0.0))
    words = sorted(zipf)
    hashes = keys(words)
    order = np.argsort(hashes)
    frequencies = np.array([min(255, round(zipf[word] / ZIPF_UNIT)) for word in words], np.uint8)
    np.savez(PATH, keys=hashes[order], zipf=frequencies[order])
    print(f"{len(words)} words")


if __name__ == "__main__":
    main()
