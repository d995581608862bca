from __future__ import annotations

import time

import pytest

from cloister.v1 import ocr_pb2
from server.comparison import Agreement, Rules, agreement, paired

EXACT = Rules()


def page(*words: tuple[str, float, float], number: int = 1) -> ocr_pb2.Page:
    """Words of 20 px height at (left, right)."""
    made = ocr_pb2.Page(number=number, width=1000, height=100)
    line = made.lines.add()
    for text, left, right in words:
        word = line.words.add(text=text, confidence=0.5)
        for corner, x, y in (
            (word.quad.top_left, left, 10),
            (word.quad.top_right, right, 10),
            (word.quad.bottom_right, right, 30),
            (word.quad.bottom_left, left, 30),
        ):
            corner.x, corner.y = x, y
    return made


def compared(control: ocr_pb2.Page, candidate: ocr_pb2.Page, rules: Rules = EXACT) -> Agreement:
    return agreement([control], [candidate], rules)


TWO = page(("total", 0, 100), ("19.78", 200, 300))


def test_the_same_reading_agrees_wholly() -> None:
    found = compared(TWO, TWO)
    assert (found.matched, found.same_text, found.only_control, found.only_candidate) == (2, 2, 0, 0)
    assert (found.word_agreement, found.character_error_rate, found.mean_overlap) == (1.0, 0.0, 1.0)


def test_words_are_matched_by_place_and_compared_by_text() -> None:
    found = compared(TWO, page(("19.76", 205, 300), ("total", 3, 98)))
    assert (found.matched, found.same_text) == (2, 1)
    assert found.word_agreement == 0.5
    assert found.character_error_rate == pytest.approx(0.1)
    assert 0.9 < found.mean_overlap < 1


def test_what_only_one_found_is_counted_with_its_characters() -> None:
    found = compared(TWO, page(("total", 0, 100), ("x", 500, 520)))
    assert (found.only_control, found.only_candidate, found.character_errors) == (1, 1, 6)


def test_merged_and_split_words_are_told_apart() -> None:
    apart, together = page(("due", 0, 50), ("now", 60, 110)), page(("duenow", 0, 110))
    assert (compared(apart, together).merged, compared(apart, together).split) == (1, 0)
    assert (compared(together, apart).merged, compared(together, apart).split) == (0, 1)


def test_rules_say_what_makes_no_difference() -> None:
    shouted = page(("TOTAL:", 0, 100), ("19.78", 200, 300))
    assert compared(TWO, shouted).same_text == 1
    assert compared(TWO, shouted, Rules(ignore_case=True)).same_text == 1
    assert compared(TWO, shouted, Rules(ignore_case=True, ignore_punctuation=True)).same_text == 2


def test_pairs_are_told_apart_by_what_differs() -> None:
    mine = page(("Total", 0, 50), ("due:", 60, 90), ("19.78", 100, 150), ("Street", 200, 250))
    theirs = page(("TOTAL", 0, 50), ("due", 60, 90), ("19.76", 100, 150), ("Streef", 200, 250))
    found = compared(mine, theirs)
    assert (found.differ_case, found.differ_punctuation, found.differ_digits, found.differ_letters) == (1, 1, 1, 1)
    assert found.word_error_rate == 1.0


def test_white_space_that_makes_no_difference_leaves_only_texts_that_differ() -> None:
    apart = page(("due", 0, 50), ("now", 60, 110), ("x", 200, 220), ("y", 230, 250))
    together = page(("duenow", 0, 110), ("xz", 200, 250))
    for mine, theirs in ((apart, together), (together, apart)):
        found = compared(mine, theirs, Rules(ignore_white_space=True))
        assert (found.same_text, found.merged + found.split) == (1, 2)
    assert compared(apart, together, Rules(ignore_white_space=True)).word_agreement == pytest.approx(2 / 5)


def test_words_are_paired_in_order_and_those_without_a_partner_stand_alone() -> None:
    mine, theirs = page(("a", 0, 20), ("b", 30, 50), ("c", 60, 80)), page(("z", 90, 99), ("B", 31, 50), ("a", 0, 20))
    pairs = paired(mine, theirs, EXACT)
    texts = [(p.control.text if p.control else "", p.candidate.text if p.candidate else "", p.same) for p in pairs]
    assert texts == [("a", "a", True), ("b", "B", False), ("c", "", False), ("", "z", False)]
    assert paired(mine, theirs, Rules(ignore_case=True))[1].same


def test_empty_readings_agree_and_a_missing_page_counts_as_its_words() -> None:
    assert compared(page(), page()).word_agreement == 1.0
    found = agreement([TWO, page(("more", 0, 10), number=2)], [TWO], EXACT)
    assert (found.matched, found.only_control) == (2, 1)


def test_a_reading_made_to_be_slow_is_compared_soon() -> None:
    started = time.perf_counter()
    compared(page(*[("w" * 1000, 0, 1000)] * 3000), page(*[("v" * 1000, 0, 1000)] * 3000))
    compared(page(("w", -1e9, 1e9)), page(("w", -1e9, 1e9)))
    assert time.perf_counter() - started < 60
