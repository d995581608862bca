"""One-letter repairs: only towards words, only where the net nearly read them, never in numbers and codes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.scribe.recogniser import ctc
from engines.scribe.recogniser.alphabet import BLANK, CHARACTERS, CLASSES, encode
from engines.scribe.wordinator.lexicon import lexicon
from engines.scribe.wordinator.repair import Doubt, _said, repaired


def doubt(text: str, second: dict[int, tuple[str, float]] | None = None) -> Doubt:
    """A net that reads ``text``, a character every third step, and at some places gives a part to another one.

    "" as the other one is the blank."""
    probabilities = np.full((3 * len(text), CLASSES), 1e-5)
    probabilities[:, BLANK] = 1.0
    for place, character in enumerate(text):
        row = probabilities[3 * place + 1]
        row[BLANK], row[encode(character)[0]] = 1e-5, 1.0
        if second and place in second:
            other, part = second[place]
            row[encode(character)[0]] = 1 - part
            row[encode(other)[0] if other else BLANK] = part
    probabilities /= probabilities.sum(1, keepdims=True)
    return Doubt(text, np.log(probabilities).astype(np.float32), np.arange(len(text)) * 3 + 1)


def read(*doubts: Doubt | None) -> list[str | None]:
    return [verdict.text if verdict else None for verdict in repaired(doubts, lexicon())]


@pytest.mark.parametrize(
    ("text", "second", "word"),
    [
        ("Manaqement", {4: ("g", 0.3)}, "Management"),
        ("itselft,", {6: ("", 0.4)}, "itself,"),
        ("“unconseious”", {7: ("c", 0.2)}, "“unconscious”"),
        ("progresS", {7: ("s", 0.4)}, "progress"),
        ("MARXET", {3: ("K", 0.3)}, "MARKET"),
        ("weiter", {}, None),
    ],
)
def test_a_word_nearly_read_is_read(text: str, second: dict[int, tuple[str, float]], word: str | None) -> None:
    assert read(doubt(text, second)) == [word]


def test_a_letter_that_was_missed_is_put_in() -> None:
    missed = doubt("attnd")
    probabilities = np.exp(missed.log_probabilities)
    probabilities[8, encode("e")[0]] = 0.3  # between t and n
    found = Doubt("attnd", np.log(probabilities / probabilities.sum(1, keepdims=True)), missed.steps)
    assert read(found) == ["attend"]


@pytest.mark.parametrize("text", ["T0TAL", "A1B2", "12.50", "www.manaqement.com", "Q7", "x"])
def test_numbers_codes_and_addresses_are_left_alone(text: str) -> None:
    letters = {place: ("g", 0.45) for place, character in enumerate(text) if character.isalpha()}
    assert read(doubt(text, letters)) == [None]


def test_a_name_the_net_is_sure_of_is_left_alone() -> None:
    assert read(doubt("Manaqement", {4: ("g", 1e-4)})) == [None]


def test_what_the_line_says_of_a_word_counts_as_it_did_when_it_was_read() -> None:
    torn = doubt("to", {0: ("T", 0.55)})
    assert read(replace(torn, before="relating ", after=" the work")) == [None]
    assert read(replace(torn, before="", after=" Whom It May Concern")) == ["To"]


@pytest.mark.parametrize("before", ["", "a ", "relating ", "all that is relating "])
@pytest.mark.parametrize("after", ["", " it", " the work and more"])
def test_what_stands_far_off_is_the_same_for_every_reading(before: str, after: str) -> None:
    torn = replace(doubt("to"), before=before, after=after)

    def whole(text: str) -> float:
        line = [*encode(before + text + after), ctc.END]
        return ctc.BONUS * len(text) - ctc.WEIGHT * ctc.language().cost(line)

    assert _said(torn, "to") - _said(torn, "To") == pytest.approx(whole("to") - whole("To"))


def test_verdicts_stand_beside_their_doubts() -> None:
    assert read(None, doubt("Manaqement", {4: ("g", 0.3)}), None) == [None, "Management", None]


@given(st.text(st.sampled_from(CHARACTERS.replace(" ", "")), min_size=1, max_size=12))
def test_whatever_was_read_is_changed_by_one_character_at_most(text: str) -> None:
    (verdict,) = repaired([doubt(text)], lexicon())
    if verdict is not None:
        assert abs(len(verdict.text) - len(text)) <= 1
        assert 0 <= verdict.probability <= 1
