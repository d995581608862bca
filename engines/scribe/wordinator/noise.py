"""What the net read that is no text: rules, textures, handwriting, stains."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engines.scribe.wordinator.buckets import Buckets
from engines.scribe.wordinator.candidates import Candidate
from engines.scribe.wordinator.lexicon import Lexicon

LOW = 0.5
"""What is all that is left of a strip of less than this share of the usual height is mostly grain, or a piece of a
rule."""
SHORT = 2
"""So few characters that have nothing beside them on their row of the page are mostly a crack, a crease, wood's grain
or a stain,"""
SURE_OF_ALONE = 0.99
"""unless so much speaks for them."""
_WORD = re.compile(r"[^\w\s]*([^\W\d_]{2,}(?:['’][^\W\d_]+)?)[^\w\s]*")
"""Letters, with marks before and after."""


def evidence(text: str, probability: float) -> float:
    """What is held against the buckets' noise. Long words gather more doubt on their way, but are rarely noise."""
    return float(probability ** (1 / len(text) ** 0.5))


def noise(candidates: Sequence[Candidate], buckets: Buckets, lexicon: Lexicon) -> list[bool]:
    """Whether each candidate is noise.

    Of what it reads well the net is often torn between two cases, or two dashes: that is no doubt of there being text.
    Noise hardly ever spells a word there is: those may be less sure."""
    weight = np.array([evidence(one.text, one.alike) for one in candidates])
    short = np.array([len(one.text) == 1 for one in candidates], np.bool_)
    least = np.where(short, buckets.noise_short, buckets.noise)
    doubtful = np.flatnonzero(~short & (weight < least)).tolist()
    known = _known([candidates[index].text for index in doubtful], lexicon)
    least[np.array(doubtful, np.intp)[known]] = buckets.noise_known
    alone = _alone(candidates, weight >= least)
    own = np.array([evidence(one.text, one.confidence) for one in candidates])
    return [bool(drop) for drop in (weight < least) | (alone & (own < SURE_OF_ALONE))]


def _alone(candidates: Sequence[Candidate], sound: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which candidates are all that is ``sound`` of their strip, and low beside strips of words, or short without
    anything beside them on the page."""
    heights = np.array([one.strip.height for one in candidates])
    lengths = np.array([len(one.text) for one in candidates])
    words = sound & (lengths > SHORT)
    if not words.any():
        return np.zeros(len(candidates), np.bool_)
    left = Counter(one.strip.line for one, kept in zip(candidates, sound.tolist(), strict=True) if kept)
    single = sound & np.array([left[one.strip.line] == 1 for one in candidates], np.bool_)
    doubted: NDArray[np.bool_] = single & (heights < LOW * np.median(heights[words]))
    middles = np.array([one.strip.middle for one in candidates])
    for place in np.flatnonzero(single & ~doubted & (lengths <= SHORT)).tolist():
        beside = sound & (np.abs(middles - middles[place]) < heights[place])
        doubted[place] = beside.sum() == 1
    return doubted


def _known(texts: Sequence[str], lexicon: Lexicon) -> NDArray[np.bool_]:
    """Whether each text is a word there is, marks around it left out."""
    found = [_WORD.fullmatch(text) for text in texts]
    return lexicon.zipf([match[1].lower() if match else "" for match in found]) > 0
