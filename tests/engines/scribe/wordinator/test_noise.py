"""What the Wordinator takes for no text: what the net is unsure of, grain, single strokes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engines.scribe.recogniser.alphabet import CLASSES, encode
from engines.scribe.recogniser.port import COLUMNS
from engines.scribe.windows import HEIGHT, WIDTH, Reading
from engines.scribe.wordinator import Act, words
from engines.scribe.wordinator.buckets import START
from tests.engines.scribe.wordinator.strips import Strip, cut


def test_what_the_net_is_unsure_of_is_dropped_and_traced() -> None:
    strip = Strip("RULE")
    lines, trace = words(cut((strip, [(0, strip.columns)])), [strip.read(0, strip.columns, probability=0.2)])
    assert not lines
    assert [(decision.act, decision.text) for decision in trace] == [(Act.DROP, "RULE")]


def test_what_is_noise_is_for_the_buckets_to_say() -> None:
    strip = Strip("RULX A")
    windows, readings = cut((strip, [(0, strip.columns)])), [strip.read(0, strip.columns, probability=0.7)]
    assert [line.text for line in words(windows, readings)[0]] == []
    lenient = replace(START, noise=0.1, noise_short=0.1)
    assert [line.text for line in words(windows, readings, lenient)[0]] == ["RULX A"]
    short_only = replace(START, noise=0.9, noise_short=0.1)
    assert [line.text for line in words(windows, readings, short_only)[0]] == ["A"]


def test_noise_hardly_ever_spells_a_word_there_is() -> None:
    strip = Strip("(PLEASE) PLXEQS")
    windows, readings = cut((strip, [(0, strip.columns)])), [strip.read(0, strip.columns, probability=0.8)]
    assert [line.text for line in words(windows, readings)[0]] == ["(PLEASE)"]
    strict = replace(START, noise_known=0.9)
    assert words(windows, readings, strict)[0] == ()


@pytest.mark.parametrize(
    ("text", "height", "probability", "kept"),
    [
        ("E", 0.45, 0.96, 0),
        ("EXTRA", 0.45, 0.96, 0),
        ("E", 0.45, 0.997, 1),
        ("EXTRA", 0.45, 0.997, 1),
        ("EXTRA", 0.8, 0.96, 1),
    ],
)
def test_what_is_low_and_stands_alone_is_noise_unless_the_net_is_sure(
    text: str, height: float, probability: float, kept: int
) -> None:
    line, alone = Strip("TOTAL ITEMS 1"), Strip(text, y=300, height=height * 2 * HEIGHT)
    beside = Strip("2 E", y=500, height=height * 2 * HEIGHT)
    strips = line, alone, beside
    windows = cut(*((strip, [(0, strip.columns)]) for strip in strips))
    readings = [strip.read(0, strip.columns, probability=probability) for strip in strips]
    assert [found.text for found in words(windows, readings)[0]] == ["TOTAL ITEMS 1", *[text][:kept], "2 E"]
    # Where there is nothing to compare it with, it stays.
    windows = cut((alone, [(0, alone.columns)]))
    assert [found.text for found in words(windows, readings[1:2])[0]] == [text]


def test_what_was_dropped_beside_it_is_no_company_for_a_low_character() -> None:
    line, low = Strip("TOTAL 1"), Strip("7 2", y=300, height=HEIGHT)
    windows = cut(*((strip, [(0, strip.columns)]) for strip in (line, low)))
    readings = [strip.read(0, strip.columns, probability=0.96) for strip in (line, low)]
    assert [found.text for found in words(windows, readings)[0]] == ["TOTAL 1", "7 2"]
    doubted = replace(readings[1], probabilities=np.array([0.96, 0.96, 0.2], np.float32))
    assert [found.text for found in words(windows, [readings[0], doubted])[0]] == ["TOTAL 1"]


@pytest.mark.parametrize(
    ("text", "y", "probability", "kept"),
    [("1", 300, 0.96, 0), ("1", 300, 0.995, 1), ("7B", 300, 0.96, 0), ("7BX", 300, 0.96, 1), ("1", 110, 0.96, 1)],
)
def test_a_character_or_two_with_nothing_beside_them_are_noise_unless_the_net_is_sure(
    text: str, y: float, probability: float, kept: int
) -> None:
    strips = Strip("TOTAL 5"), Strip(text, x=400, y=y)
    windows = cut(*((strip, [(0, strip.columns)]) for strip in strips))
    readings = [strip.read(0, strip.columns, probability=probability) for strip in strips]
    read = [word.text for line in words(windows, readings)[0] for word in line.words]
    assert read == ["TOTAL", "5", text][: 2 + kept]


def torn(reading: Reading, other: str, share: float, its: float) -> Reading:
    """The reading by a net that gives ``share`` to what it reads and ``its`` to the ``other`` text."""
    steps = (reading.columns / COLUMNS).astype(np.intp)
    given = np.full((WIDTH // COLUMNS, CLASSES), 1e-4, np.float32)
    given[steps, encode(reading.text)] += share
    given[steps, encode(other)] += its
    return replace(reading, probabilities=np.full(len(steps), share, np.float32), log_probabilities=np.log(given))


@pytest.mark.parametrize(
    ("text", "other", "kept"),
    [("XQZWVK", "xqzwvk", 1), ("=-=", "=—=", 1), ("7:7", "7.7", 1), ("XQZWVK", "KVWZQX", 0), ("=-=", "=+=", 0)],
)
def test_doubt_between_what_looks_alike_makes_no_noise(text: str, other: str, kept: int) -> None:
    strip = Strip(text)
    windows, reading = cut((strip, [(0, strip.columns)])), strip.read(0, strip.columns)
    surer = replace(START, noise=0.75)
    assert words(windows, [torn(reading, other, 0.6, 0.01)], surer)[0] == ()
    assert [line.text for line in words(windows, [torn(reading, other, 0.6, 0.39)], surer)[0]] == [text][:kept]


def test_what_the_language_model_wavers_over_is_no_noise_where_the_net_does_not() -> None:
    strip = Strip("XQZ")
    windows, reading = cut((strip, [(0, strip.columns)])), strip.read(0, strip.columns)
    wavering = replace(torn(reading, "xqz", 0.94, 0.05), probabilities=np.full(3, 0.5, np.float32))
    assert [line.text for line in words(windows, [wavering])[0]] == ["XQZ"]
