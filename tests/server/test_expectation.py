"""What turns took lately says how long the next will take, and the wait for it."""

from __future__ import annotations

import pytest

from server.expectation import Expectation


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def measured(*took_s: float, clock: Clock | None = None) -> Expectation:
    expected = Expectation(clock or Clock())
    for seconds in took_s:
        expected.add(seconds)
    return expected


def test_what_nobody_has_measured_is_expected_to_take_no_time() -> None:
    unknown = Expectation()
    assert (unknown.mean_s, unknown.quickest_s, unknown.wait_s([0.0], 5)) == (0.0, 0.0, 0.0)


def test_the_quickest_is_what_nine_of_ten_took_at_least() -> None:
    assert measured(*(0.1 * n for n in range(1, 11))).quickest_s == pytest.approx(0.2)
    assert measured(3.0).quickest_s == 3.0


def test_the_wait_is_that_of_a_queue_before_cells_at_work() -> None:
    expected = measured(1.0, 1.0, 1.0)
    assert expected.wait_s([0.25], 0) == pytest.approx(0.75)
    assert expected.wait_s([0.25], 2) == pytest.approx(2.75)
    assert expected.wait_s([0.25, 0.75], 0) == pytest.approx(0.25)
    assert expected.wait_s([0.25, 0.75], 1) == pytest.approx(0.75)
    assert expected.wait_s([0.25, 0.75], 2) == pytest.approx(1.25)
    assert expected.wait_s([9.0, 9.0], 0) == 0.0


def test_what_was_measured_long_ago_does_not_count() -> None:
    clock = Clock()
    expected = measured(5.0, clock=clock)
    clock.now_s += 61
    assert expected.mean_s == 0.0
    expected.add(1.0)
    assert expected.mean_s == 1.0
