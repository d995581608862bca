from __future__ import annotations

import random
import time

import pytest

from server.report import statistics


def test_wilsons_interval_is_that_of_the_books() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263, and 0 of 20.
    found = statistics.wilson(81, 263)
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    none = statistics.wilson(0, 20)
    assert (none.low, none.high) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert statistics.wilson(0, 0) == statistics.Interval(0.0, 0.0, 1.0)


@pytest.mark.parametrize("documents", [60, 600])
def test_an_interval_of_a_share_holds_the_truth_about_as_often_as_it_says(documents: int) -> None:
    """Documents that differ much from each other: counting words instead would hold it far less often."""
    chance, held, rounds = random.Random(1), 0, 60
    for _ in range(rounds):
        parts = []
        for _ in range(documents):
            words = chance.randint(10, 200)
            parts.append((words * (0.95 if chance.random() < 0.8 else 0.55), float(words)))
        found = statistics.share(parts)
        held += found.low <= 0.87 <= found.high
    assert 0.88 <= held / rounds <= 1.0


def test_a_few_documents_that_all_agree_prove_little() -> None:
    few, many = statistics.share([(10.0, 10.0)] * 5), statistics.share([(10.0, 10.0)] * 1000)
    assert (few.estimate, few.low < 0.6) == (1.0, True)
    assert many.low > 0.99


def test_a_median_lies_between_what_orders_it() -> None:
    chance, held = random.Random(2), 0
    for _ in range(200):
        found = statistics.median([chance.expovariate(1) for _ in range(80)])
        held += found.low <= 0.6931 <= found.high
    assert held >= 184


def test_many_documents_do_not_take_long_and_give_the_same_again() -> None:
    chance = random.Random(3)
    parts = [(chance.random() * 50, 50.0) for _ in range(100_000)]
    started = time.perf_counter()
    found = statistics.share(parts)
    assert time.perf_counter() - started < 10
    assert found == statistics.share(parts)
    # The standard error of so many is sd / sqrt(n): 0.289 / 316.
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.289 / 316, rel=0.2)
