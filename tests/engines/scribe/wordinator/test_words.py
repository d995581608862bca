"""The Wordinator on windows drawn for it, read by a net that sees what the test says it sees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.scribe.recogniser.alphabet import CLASSES, encode
from engines.scribe.recogniser.port import COLUMNS
from engines.scribe.windows import HEIGHT, WIDTH, Windows
from engines.scribe.wordinator import Act, placed, stitch, words
from engines.scribe.wordinator.buckets import START
from tests.engines.scribe.wordinator.strips import THIN, Strip, cut


def texts(strip: Strip, cuts: list[tuple[int, int]], **how: str) -> list[str]:
    lines, _ = words(cut((strip, cuts)), [strip.read(start, end, **how) for start, end in cuts])
    return [line.text for line in lines]


def test_spaces_that_the_net_saw_end_words() -> None:
    strip = Strip("TOTAL 12.00 RM")
    assert texts(strip, [(0, strip.columns)]) == ["TOTAL 12.00 RM"]


def test_marks_set_off_by_a_thin_space_belong_to_their_words() -> None:
    strip = Strip(f"HE {THIN}“{THIN}GO{THIN}!{THIN}” AND WE{THIN};")
    assert texts(strip, [(0, strip.columns)]) == ["HE “GO!” AND WE;"]


def test_marks_set_off_like_words_stay_words() -> None:
    strip = Strip("CASH : 12.00 ( RM )")
    assert texts(strip, [(0, strip.columns)]) == ["CASH : 12.00 ( RM )"]


def test_of_marks_as_far_off_as_words_colons_alone_stand_alone() -> None:
    strip = Strip("AH ! SO I ; RM : 1")
    assert texts(strip, [(0, strip.columns)]) == ["AH! SO I; RM : 1"]


def test_quotes_belong_to_their_words_however_far_a_line_is_spread() -> None:
    strip = Strip("SAY “ GO ” AND WE")
    assert texts(strip, [(0, strip.columns)]) == ["SAY “GO” AND WE"]


def test_a_guillemet_without_its_other_half_is_repaired_and_traced() -> None:
    strip = Strip("SAY «GO” AND WE")
    lines, trace = words(cut((strip, [(0, strip.columns)])), [strip.read(0, strip.columns)])
    assert [line.text for line in lines] == ["SAY “GO” AND WE"]
    assert [(decision.act, decision.text) for decision in trace] == [(Act.REPAIR, "«GO” “GO”")]


def test_a_wide_gap_in_the_ink_ends_a_word_though_the_net_saw_no_space() -> None:
    strip = Strip("NAME PRICE", space=22)
    windows = cut((strip, [(0, strip.columns)]))
    lines, trace = words(windows, [strip.read(0, strip.columns, blind=" ")])
    assert [line.text for line in lines] == ["NAME PRICE"]
    assert [(decision.act, decision.text) for decision in trace] == [(Act.SPLIT, "EP")]


def test_a_word_cut_in_two_windows_comes_back_whole() -> None:
    strip = Strip("ABCDEFGHIJKLM")
    edge = round((strip.centres[6] + strip.centres[7]) / 2)
    windows = cut((strip, [(0, edge), (edge, strip.columns)]))
    lines, trace = words(windows, [strip.read(0, edge), strip.read(edge, strip.columns)])
    assert [line.text for line in lines] == ["ABCDEFGHIJKLM"]
    assert [decision.act for decision in trace] == [Act.JOIN]


def test_words_that_meet_at_a_cut_stay_apart() -> None:
    strip = Strip("FIRST SECOND")
    edge = round(strip.centres[5])
    assert texts(strip, [(0, edge), (edge, strip.columns)]) == ["FIRST SECOND"]


@pytest.mark.parametrize(("space", "text"), [(20, "AB CD EFGH IJ KL"), (6, "AB CD EF GH IJ KL")])
def test_what_a_gap_at_a_cut_means_is_told_by_the_spaces_of_the_line(space: int, text: str) -> None:
    strip = Strip(f"AB CD EF{THIN}GH IJ KL", space=space, thin=4)
    edge = round(strip.centres[8])
    assert texts(strip, [(0, edge), (edge, strip.columns)], blind=THIN) == [text]


@pytest.mark.parametrize(("probability", "text"), [(0.2, "AB CD EF GH"), (0.01, "AB CDEF GH")])
def test_a_space_that_the_net_half_saw_stands_where_the_gap_is_one(probability: float, text: str) -> None:
    strip = Strip("AB CD EF GH")
    reading = strip.read(0, strip.columns)
    given = np.full((WIDTH // COLUMNS, CLASSES), np.log(1e-4), np.float32)
    given[int(strip.centres[5] / COLUMNS), encode(" ")] = np.log(probability)
    kept = np.array([place for place in range(len(reading.text)) if place != 5])
    reading = replace(
        reading,
        text="".join(reading.text[place] for place in kept),
        columns=reading.columns[kept],
        probabilities=reading.probabilities[kept],
        log_probabilities=given,
    )
    lines, _ = words(cut((strip, [(0, strip.columns)])), [reading], replace(START, sure=0.0))
    assert [line.text for line in lines] == [text]


@pytest.mark.parametrize("shift", range(0, 40, 5))
def test_text_in_an_overlap_is_taken_once(shift: int) -> None:
    strip = Strip("AABBCCAABBCCAABB")
    assert texts(strip, [(0, 100 + shift), (60 + shift, strip.columns)]) == ["AABBCCAABBCCAABB"]


def test_of_narrow_letters_doubled_in_an_overlap_none_is_lost() -> None:
    left = ("(three", np.array([257, 265, 269, 285, 293, 305], np.float32))
    right = ("ree hundred", np.array([282, 294, 302, 314, 322, 334, 346, 362, 374, 382, 394], np.float32))
    keep, skip = stitch._meeting(left, right, 276, 316)
    assert left[0][:keep] + right[0][skip:] == "(three hundred"


def test_the_temperature_makes_words_less_sure_and_drops_none() -> None:
    strip = Strip("TOTAL")
    windows, readings = cut((strip, [(0, strip.columns)])), [strip.read(0, strip.columns)]
    plain, calibrated = (
        words(windows, readings, replace(START, temperature=temperature))[0][0].words[0] for temperature in (1.0, 0.5)
    )
    assert calibrated.text == plain.text
    assert calibrated.confidence == pytest.approx(plain.confidence**2)


def test_the_trace_is_placed_on_the_page() -> None:
    strip = Strip("FIRST SECOND")
    edge = round(strip.centres[5])
    cuts = [(0, edge), (edge, strip.columns)]
    windows = cut((strip, cuts))
    readings = [strip.read(0, edge), strip.read(edge, strip.columns, probability=0.2)]
    trace = placed(windows, readings, words(windows, readings)[1])
    assert [window.text for window in trace.windows] == ["FIRST", "SECOND"]
    assert trace.windows[1].quad.top_left == pytest.approx((2 * edge, 100))
    by_act = {decision.act: decision for decision in trace.decisions}
    assert by_act[Act.CUT].quad.top_left == by_act[Act.CUT].quad.top_right == pytest.approx((2 * edge, 100))
    dropped = by_act[Act.DROP].quad
    assert by_act[Act.DROP].text == "SECOND"
    assert dropped.top_left[0] < 2 * strip.centres[6]
    assert 2 * strip.centres[-1] < dropped.top_right[0] <= 2 * strip.columns
    assert dropped.bottom_left[1] == pytest.approx(100 + 2 * HEIGHT)


def test_quads_snap_to_the_ink_of_their_words() -> None:
    strip = Strip("AB CD")
    lines, _ = words(cut((strip, [(0, strip.columns)])), [strip.read(0, strip.columns)])
    first, second = lines[0].words
    ink = np.flatnonzero((strip.pixels < 100).any(axis=0))
    assert first.quad.top_left[0] == pytest.approx(2 * ink[0], abs=3)
    assert second.quad.bottom_right[0] == pytest.approx(2 * (ink[-1] + 1), abs=3)
    assert first.quad.top_right[0] < second.quad.top_left[0]
    assert first.quad.top_left[1] == pytest.approx(100 + 2 * 4, abs=3)
    assert first.quad.bottom_left[1] == pytest.approx(100 + 2 * (HEIGHT - 4), abs=3)


def test_strips_side_by_side_are_one_line_and_strips_below_another() -> None:
    name, price, below = Strip("NAME"), Strip("PRICE", x=500), Strip("BELOW", y=220)
    windows = cut(*((strip, [(0, strip.columns)]) for strip in (name, price, below)))
    lines, _ = words(windows, [strip.read(0, strip.columns) for strip in (name, price, below)])
    assert [line.text for line in lines] == ["NAME PRICE", "BELOW"]


@pytest.mark.parametrize(
    ("lean", "y", "lines"),
    [
        (0.07, 100, ["NAME PRICE"]),
        (-0.07, 100, ["NAME PRICE"]),
        (0.0, 100 + 0.07 * 900, ["NAME", "PRICE"]),  # as far below as on a page that leans, but this one does not
        (0.07, 100 - 0.07 * 900, ["NAME", "PRICE"]),  # level with it, on a page that leans
    ],
)
def test_strips_side_by_side_are_one_line_where_the_page_leans(lean: float, y: float, lines: list[str]) -> None:
    strips = (Strip("NAME", lean=lean), Strip("PRICE", x=900, y=y, lean=lean))
    read, _ = words(cut(*((s, [(0, s.columns)]) for s in strips)), [s.read(0, s.columns) for s in strips])
    assert [line.text for line in read] == lines


def test_no_windows_no_words() -> None:
    none = np.zeros(0, np.int32)
    assert words(Windows(np.zeros((0, HEIGHT, WIDTH), np.uint8), none, none, none, ()), []) == ((), ())


@settings(max_examples=80, deadline=None)
@given(
    text=st.text("ABc1.- ", min_size=1, max_size=40).map(str.strip).filter(bool),
    edges=st.lists(st.integers(20, 220), max_size=4),
    blind=st.sampled_from(["", " "]),
)
def test_the_text_of_windows_is_conserved_and_no_word_stands_twice(text: str, edges: list[int], blind: str) -> None:
    strip = Strip(" ".join(text.split()))
    stops = sorted({edge for edge in edges if edge < strip.columns - 8})
    cuts = [
        (start, end)
        for low, high in zip([0, *stops], [*stops, strip.columns], strict=True)
        for start in range(low, high, WIDTH)
        for end in [min(start + WIDTH, high)]
    ]
    readings = [strip.read(start, end, blind=blind) for start, end in cuts]
    lines, _ = words(cut((strip, cuts)), readings)
    found = [word for line in lines for word in line.words]
    assert "".join(word.text for word in found) == "".join(reading.text for reading in readings).replace(" ", "")
    assert all(word.text and not any(character.isspace() for character in word.text) for word in found)
    assert all(0 <= word.confidence <= 1 for word in found)
    edges_in_order = [x for word in found for x in (word.quad.top_left[0], word.quad.top_right[0])]
    assert all(a <= b + 1e-3 for a, b in zip(edges_in_order[::2], edges_in_order[1::2], strict=True))
    assert len({word.quad for word in found}) == len(found)
    for line in lines:
        for word in line.words:
            for x, y in (word.quad.top_left, word.quad.bottom_right):
                assert 0 <= x <= strip.rails.top[-1, 0]
                assert 100 <= y <= 100 + 2 * HEIGHT
