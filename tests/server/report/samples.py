"""Comparisons of two engines as chance makes them, for reports."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from server.comparison import Agreement
from server.records.comparison import Comparison, Rightness, Spent
from tests.server.records.samples import comparison


def comparisons(
    count: int = 400,
    *,
    alike: float = 0.98,
    failing: float = 0.0,
    better: float | None = None,
    kinds: tuple[str, ...] = ("receipt", "contract", "letter"),
    slowdown: float = 1.2,
    seed: int = 1,
    **fields: Any,
) -> list[Comparison]:
    """``alike``: the mean share of words; ``better``: how many more are right, None where the truth is not known."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        words = chance.randint(40, 400)
        share = min(1.0, chance.gauss(alike, 0.02))
        same = round(words * share)
        lone = (words - same) // 3
        found = Agreement(
            control_words=words,
            candidate_words=words - lone + lone // 2,
            matched=words - lone,
            same_text=same,
            differ_digits=(words - lone - same) // 2,
            differ_letters=words - lone - same - (words - lone - same) // 2,
            only_control=lone,
            only_candidate=lone // 2,
            merged=lone // 3,
            control_characters=5 * words,
            character_errors=2 * (words - same),
            overlap_sum=0.88 * (words - lone),
        )
        seconds = chance.lognormvariate(-1, 0.4)
        taken = seconds * slowdown * chance.lognormvariate(0, 0.2)
        one = comparison(
            f"{seed:04x}{number:028x}",
            at_s=1_790_000_000.0 + 2000 * number,
            document_kind=kinds[min(len(kinds) - 1, int(chance.expovariate(0.8)))],
            agreement=found,
            control_spent=Spent(seconds, 1.1 * seconds, 70 << 20),
            candidate_spent=Spent(taken, 1.1 * taken, 90 << 20),
            **fields,
        )
        if better is not None:
            right = round(words * min(1.0, chance.gauss(0.9, 0.04)))
            gained = min(words, round(right + words * chance.gauss(better, 0.02)))
            one = replace(one, truth=Rightness(words, right, words, gained, words))
        if chance.random() < failing:
            one = replace(one, status="CELL_CRASHED", agreement=None, truth=None)
        made.append(one)
    return made
