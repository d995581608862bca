"""What comes of a window's output: text, where characters fired, and how sure."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.scribe.recogniser.alphabet import BLANK, CHARACTERS, CLASSES, case_pairs, encode, knows
from engines.scribe.recogniser.decode import decoded, log_softmax


def logits(path: str, probability: float = 0.9) -> NDArray[np.float32]:
    """One window's logits whose best path is ``path``, `_` for blank, each step with ``probability``."""
    rest = math.log((1 - probability) / (CLASSES - 1))
    out = np.full((1, len(path), CLASSES), rest, np.float32)
    for step, character in enumerate(path):
        out[0, step, BLANK if character == "_" else encode(character)[0]] = math.log(probability)
    return out


def test_repeats_merge_and_a_blank_between_them_keeps_both() -> None:
    assert decoded(logits("hh_e_ll_l_o"), 4)[0].text == "hello"


def test_a_character_stands_at_the_centre_of_its_most_probable_step() -> None:
    out = logits("_aaa_b_", 0.99)
    out[0, 2, encode("a")[0]] = 9.0
    out[0, 5, encode("bd")] = math.log(0.9), math.log(0.1)
    reading = decoded(out, 4)[0]
    assert reading.columns.tolist() == [10.0, 22.0]
    assert reading.probabilities[0] > 0.99
    assert reading.probabilities[1] == pytest.approx(0.9, abs=0.01)


def test_spaces_inside_are_kept_and_those_at_the_ends_dropped() -> None:
    reading = decoded(logits("_ _a_ _b_ "), 4)[0]
    assert reading.text == "a b"
    assert reading.columns.tolist() == [14.0, 22.0, 30.0]
    assert len(reading.probabilities) == 3


@pytest.mark.parametrize("path", ["____", "_ __"])
def test_nothing_but_blanks_and_spaces_is_empty_text(path: str) -> None:
    reading = decoded(logits(path), 4)[0]
    assert reading.text == ""
    assert reading.columns.shape == reading.probabilities.shape == (0,)
    assert 0 < reading.confidence <= 1


def every_path(out: NDArray[np.float32], text: str) -> float:
    """Probability of ``text`` by summing over all paths of its characters and blanks."""
    probabilities = np.exp(log_softmax(out))[0]
    total = 0.0
    for path in itertools.product("_" + "".join(sorted(set(text))), repeat=len(probabilities)):
        merged = "".join(c for c, _ in itertools.groupby(path)).replace("_", "")
        if merged == text:
            total += math.prod(probabilities[t, BLANK if c == "_" else encode(c)[0]] for t, c in enumerate(path))
    return total


@pytest.mark.parametrize("path", ["a_b_", "aab_a", "_ll_l", "abab_"])
def test_confidence_is_the_texts_probability_over_all_its_alignments(path: str) -> None:
    out = logits(path, 0.6)
    out += np.random.default_rng(1).normal(0, 0.5, out.shape).astype(np.float32)
    reading = decoded(out, 4)[0]
    assert reading.confidence == pytest.approx(every_path(out, reading.text), rel=1e-5)
    assert decoded(out, 4, temperature=2.0)[0].confidence == pytest.approx(reading.confidence**0.5, rel=1e-5)


def test_texts_of_different_lengths_in_one_batch_keep_their_own_confidence() -> None:
    batch = np.concatenate([logits("ab_cd"), logits("_____"), logits("__a__")])
    together = decoded(batch, 4)
    apart = [decoded(row[None], 4)[0] for row in batch]
    assert [r.text for r in together] == ["abcd", "", "a"]
    assert [r.confidence for r in together] == pytest.approx([r.confidence for r in apart])


def test_no_windows_give_no_readings() -> None:
    assert decoded(np.zeros((0, 64, CLASSES), np.float32), 4) == []


def test_every_character_has_a_class_of_its_own_and_none_is_the_blank() -> None:
    assert sorted(encode(CHARACTERS)) == list(range(1, CLASSES))
    assert knows("Ünïcode § €5 “x”—…")
    assert not knows("漢")


def test_case_pairs_are_upper_and_lower_of_one_letter() -> None:
    pairs = case_pairs()
    assert all(CHARACTERS[upper - 1].lower() == CHARACTERS[lower - 1] for upper, lower in pairs)
    assert len(pairs) > 26
