"""The language model: what is counted, and that its probabilities are ones."""

from __future__ import annotations

import random

import numpy as np
import pytest

from engines.scribe.recogniser import ctc
from engines.scribe.recogniser.alphabet import CHARACTERS, encode

pytest.importorskip("wordfreq", reason="the training extra (wordfreq) is not installed")
pytest.importorskip("faker", reason="the training extra (faker) is not installed")
from engines.scribe.training import language

LINES = ["the cat sat", "the hat", "TOTAL 12.50", "a cat – a hat", "THE CAT 1990"] * 3


@pytest.fixture(scope="module")
def small() -> ctc.Language:
    return ctc.Language(*language.model(language.counted(LINES, ctc.ORDER), telling=0.5))


@pytest.mark.parametrize("context", ["", "th", "the c", "zq", "TOTAL 1", "the cat sat on"])
def test_what_may_follow_a_text_adds_up_to_one(small: ctc.Language, context: str) -> None:
    before = encode(context)
    costs = np.array([small.cost([*before, *encode(character)]) for character in CHARACTERS])
    assert np.exp(small.cost(before) - costs).sum() == pytest.approx(1, abs=0.12), "costs are rounded"


def test_what_was_seen_is_likelier(small: ctc.Language) -> None:
    assert small.cost(encode("the cat")) < small.cost(encode("tha cet")) - 3
    assert small.cost(encode("TOTAL 77.31")) == pytest.approx(small.cost(encode("TOTAL 12.50")))


def test_pieces_say_all_words_in_their_order() -> None:
    paragraph = " ".join(f"word{i}" for i in range(200))
    said = " ".join(language.pieces(paragraph, random.Random(1)))
    assert said.lower() == paragraph
    assert said != paragraph, "some in capitals"


def test_spaces_are_loosened_beside_marks_alone() -> None:
    found = {language.loosened("NO: 17 (net) sum", random.Random(seed)) for seed in range(200)}
    assert {"NO: 17 (net) sum", "NO:17 (net) sum", "NO: 17(net)sum"} <= found
    assert {text.replace(" ", "").replace("/", "") for text in found} == {"NO:17(net)sum"}
