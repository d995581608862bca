"""The language model of characters that the recogniser's beam weighs texts by: `python -m
engines.scribe.training.language`.

N-grams over running text, made windows' texts and the real lines that the net is trained on; smoothed by interpolation
(Witten and Bell 1991), pruned by what each n-gram tells (Seymore and Rosenfeld 1996), kept as a model with back-off.
Deterministic: a seed, the packages and the pools give the same file.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.scribe.recogniser import ctc
from engines.scribe.recogniser.alphabet import encode, knows
from engines.scribe.training import real, running
from engines.scribe.training.corpus import Corpus
from engines.scribe.training.settings import RUNS, DataSettings

MADE = 400_000
"""Texts of made windows."""
TELLING = 9.0
"""Nats that an n-gram must save over all its occurrences to be kept."""
UPPER, TITLE = 0.15, 0.05
"""Shares of running text that is put into capitals, and into title case, as print has them."""
PARTED = 0.2
"""Share of the pieces of running text whose last word, if it is long enough, is parted by a hyphen."""
_PARTED = 5
"""Letters of the shortest word that is parted."""
_NO_WORDS = {"negative", "jumble", "rare", "single", "brief"}
_LONGEST = 12
"""Words of running text that stand together: a window holds no more."""
_OUT = 0

_AFTER_MARK = re.compile(r"(?<=[^\w\s]) (?=\S)")
_BEFORE_MARK = re.compile(r"(?<=\S) (?=[^\w\s])")
_BETWEEN = re.compile(r"(?<=\w)([:@#\-+*/]+)(?=\w)")

Keys = NDArray[np.uint64]


def texts(seed: int, cuts: Path | None = None, cases: Path | None = None) -> Iterator[str]:
    """All that is counted; of the real lines those whose case is known alone, where ``cases`` tells it.

    Raises FileNotFoundError without the real lines."""
    chance = random.Random(seed)
    lines = (line.text for line in real.lines(cuts, cases) if not line.held and (line.cased or cases is None))
    for text in chain(_made(seed, chance), lines):
        loose = loosened(text, chance)
        if loose and knows(loose):
            yield loose


def _made(seed: int, chance: random.Random) -> Iterator[str]:
    for paragraph in running.paragraphs(seed):
        yield from pieces(paragraph, chance)
    settings = DataSettings()
    corpus = Corpus(RUNS / "pools.json")
    rng = np.random.default_rng(seed)
    shares = {kind: share for kind, share in settings.kinds.items() if kind not in _NO_WORDS}
    for kind in chance.choices(list(shares), list(shares.values()), k=MADE):
        yield corpus.line(rng, kind, int(rng.integers(1, 7)))


def pieces(paragraph: str, chance: random.Random) -> Iterator[str]:
    """A paragraph in pieces of a few words, some of them in capitals; some end within a word, as lines do."""
    words = paragraph.split()
    at = 0
    while at < len(words):
        end = min(at + chance.randint(2, _LONGEST), len(words))
        its = words[at:end]
        if its[-1].isalpha() and len(its[-1]) >= _PARTED and chance.random() < PARTED:
            place = chance.randint(2, len(its[-1]) - 2)
            end -= 1
            its[-1], words[end] = its[-1][:place] + "-", its[-1][place:]
        text, at = " ".join(its), end
        roll = chance.random()
        yield text.upper() if roll < UPPER else text.title() if roll < UPPER + TITLE else text


def loosened(text: str, chance: random.Random) -> str:
    """With spaces beside marks dropped or set at random, and a slash for a space now and then.

    Forms and receipts set no space where running text does ("NO:1", "NO : 1"), and the model must not plead for either.
    """
    text = _AFTER_MARK.sub(lambda _: "" if chance.random() < 0.4 else " ", text)
    text = _BEFORE_MARK.sub(lambda _: "" if chance.random() < 0.4 else " ", text)
    text = _BETWEEN.sub(lambda m: " " * (chance.random() < 0.15) + m[1] + " " * (chance.random() < 0.15), text)
    return text.replace(" ", "/", 1) if chance.random() < 0.05 else text


def counted(lines: Iterable[str], order: int) -> list[tuple[Keys, NDArray[np.int64]]]:
    """For each length up to ``order`` the n-grams as `ctc.Language` packs them, sorted, and how often each came."""
    symbols = ctc.symbols()
    rows = bytearray()
    for line in lines:
        rows.append(ctc.START)
        rows += symbols[encode(line)].tobytes()
        rows.append(ctc.END)
        rows += bytes(order)
    sequence = np.frombuffer(rows, np.uint8)
    grams = []
    for length in range(1, order + 1):
        count = len(sequence) - length + 1
        keys = np.zeros(count, np.uint64)
        whole = np.ones(count, np.bool_)
        for place in range(length):
            symbol = sequence[place : place + count]
            whole &= symbol != _OUT
            keys = keys << np.uint64(8) | symbol
        last = sequence[length - 1 : length - 1 + count]
        grams.append(np.unique(keys[whole & (last != ctc.START)], return_counts=True))
    return grams


def model(
    grams: list[tuple[Keys, NDArray[np.int64]]], telling: float = TELLING
) -> tuple[Keys, NDArray[np.uint8], NDArray[np.uint8]]:
    """Ascending keys, costs and back-offs, as `ctc.Language` takes them."""
    every = np.append(np.unique(ctc.symbols()[1:]), np.uint8(ctc.END)).astype(np.uint64)
    count = np.zeros(ctc.START)
    count[grams[0][0].astype(np.intp)] = grams[0][1]
    count = count[every.astype(np.intp)]
    kinds = np.count_nonzero(count)
    shorter, its_probability = every, (count + kinds / len(every)) / (count.sum() + kinds)
    levels = [_Level(shorter, its_probability, np.full(len(every), np.inf), every[:0], np.zeros(0))]
    for length, (keys, count) in enumerate(grams[1:], start=2):
        contexts, place = np.unique(keys >> np.uint64(8), return_inverse=True)
        total, types = np.bincount(place, count), np.bincount(place)
        backoff = types / (total + types)
        without = np.searchsorted(shorter, keys & np.uint64((1 << 8 * (length - 1)) - 1))
        backed_off = backoff[place] * its_probability[without]
        probability = count / (total + types)[place] + backed_off
        levels.append(_Level(keys, probability, count * np.log(probability / backed_off), contexts, backoff))
        shorter, its_probability = keys, probability
    return _kept(levels, telling)


class _Level:
    """N-grams of one length, what each tells, and the back-offs of their contexts."""

    def __init__(
        self,
        keys: Keys,
        probabilities: NDArray[np.float64],
        tells: NDArray[np.float64],
        contexts: Keys,
        backoffs: NDArray[np.float64],
    ) -> None:
        self.keys, self.probabilities, self.tells = keys, probabilities, tells
        self.contexts, self.backoffs = contexts, backoffs


def _kept(levels: list[_Level], telling: float) -> tuple[Keys, NDArray[np.uint8], NDArray[np.uint8]]:
    """What tells enough, and the contexts of what is kept; START, a context that is never a character, costs all."""
    start = np.array([ctc.START], np.uint64)
    keys, probabilities = [start], [np.array([1e-9])]
    needed = start[:0]
    for level in reversed(levels):
        kept = (level.tells > telling) | np.isin(level.keys, needed)
        keys.append(level.keys[kept])
        probabilities.append(level.probabilities[kept])
        needed = np.unique(level.keys[kept] >> np.uint64(8))
    flat = np.concatenate(keys)
    order = np.argsort(flat)
    flat = flat[order]
    backoffs = np.ones(len(flat))
    for level in levels:
        place = np.minimum(np.searchsorted(flat, level.contexts), len(flat) - 1)
        there = flat[place] == level.contexts
        backoffs[place[there]] = level.backoffs[there]
    return flat, _cost(np.concatenate(probabilities)[order]), _cost(backoffs)


def _cost(probabilities: NDArray[np.float64]) -> NDArray[np.uint8]:
    result: NDArray[np.uint8] = np.minimum(255, np.rint(-np.log(probabilities) / ctc.UNIT)).astype(np.uint8)
    return result


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--cuts", type=Path, help="windows of long real lines, from `align`")
    parser.add_argument("--cases", type=Path, help="the case that real lines show, from `case`")
    given = parser.parse_args()
    keys, costs, backoffs = model(counted(texts(given.seed, given.cuts, given.cases), ctc.ORDER))
    ctc.save(keys, costs, backoffs)
    print(f"{len(keys)} n-grams, {ctc.PATH.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
