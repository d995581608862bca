"""The score is what every claim rests on."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.scoring import Score, count_joined
from server.truth import Found, Marked, Truth, contains


def box(x0: float, y0: float, x1: float, y1: float) -> tuple[tuple[float, float], ...]:
    return ((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def truth(text: str, **changes: object) -> Truth:
    fields = {"lines": (), "page_text": None, "ignore": (), "no_spaces": False, **changes}
    return Truth(image=Path("x.png"), words=tuple(text.split()), **fields)  # type: ignore[arg-type]


def found(text: str) -> list[Found]:
    return [Found(word, box(10 * n, 0, 10 * n + 8, 10)) for n, word in enumerate(text.split())]


def score(page: Truth, words: list[Found]) -> dict[str, float | int | None]:
    total = Score()
    total.add(page, words, 0.1)
    return total.summary()


def test_each_truth_word_is_hit_at_most_once() -> None:
    result = score(truth("total 5 total"), found("total total total"))
    assert result["precision"] == pytest.approx(2 / 3)
    assert result["recall"] == pytest.approx(2 / 3)


def test_case_counts_in_one_score_and_not_in_the_other() -> None:
    result = score(truth("TOTAL DUE"), found("Total DUE"))
    assert (result["f1"], result["f1_nocase"]) == (0.5, 1.0)


def test_unreadable_truth_and_ignored_regions_are_left_out() -> None:
    page = truth("good b~d", ignore=(box(9, -1, 19, 11),))
    assert score(page, found("good stamp"))["f1"] == 1.0


def test_glued_and_broken_words_are_counted() -> None:
    result = score(truth("grand total 12.50 thanks"), found("grandtotal 12 .50 thanks"))
    assert (result["merged"], result["split"]) == (1, 1)


def test_a_word_that_was_matched_is_not_counted_as_glued_too() -> None:
    assert count_joined(["a", "b", "ab"], ["ab", "a", "b"]) == 0


def test_lines_without_spaces_take_the_words_inside_them_from_left_to_right() -> None:
    page = truth(
        "", no_spaces=True, lines=(Marked("TOTAL5.00", box(0, 0, 100, 10)), Marked("CASH", box(0, 50, 90, 60)))
    )
    words = [Found("5.00", box(50, 0, 90, 10)), Found("TOTAL", box(0, 0, 40, 10)), Found("CASH", box(0, 90, 40, 99))]
    result = score(page, words)
    assert result["line_accuracy"] == 0.5
    assert result["cer"] == pytest.approx(4 / 13)


def test_a_quad_may_run_either_way_round() -> None:
    assert contains(box(0, 0, 2, 2), (1, 1))
    assert contains(box(0, 0, 2, 2)[::-1], (1, 1))
    assert not contains(box(0, 0, 2, 2), (3, 1))
