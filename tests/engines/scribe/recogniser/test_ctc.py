"""The beam finds the best text, with the language's say and without; and each character's probability is what it is
beside its rivals."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engines.scribe.recogniser import ctc
from engines.scribe.recogniser.alphabet import BLANK, CLASSES, encode
from engines.scribe.recogniser.decode import decoded

Logits = NDArray[np.float32]


def output(*steps: dict[str, float]) -> Logits:
    """One window's logits: at each step the characters' probabilities, the rest to the blank."""
    probabilities = np.full((1, len(steps), CLASSES), 1e-7)
    for step, given_ in enumerate(steps):
        probabilities[0, step, BLANK] = 1 - sum(given_.values())
        for character, probability in given_.items():
            probabilities[0, step, encode(character)[0]] = probability
    return np.log(probabilities).astype(np.float32)


def spelt(*letters: dict[str, float]) -> Logits:
    """As `output`, with a blank step after each."""
    return output(*itertools.chain.from_iterable((letter, {}) for letter in letters))


def everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """A beam that leaves nothing out."""
    monkeypatch.setattr(ctc, "WIDTH", 1000)
    monkeypatch.setattr(ctc, "MARGIN", 1e9)
    monkeypatch.setattr(ctc, "LEAST", 0.0)


def all_texts(probabilities: NDArray[np.float64]) -> Counter[tuple[int, ...]]:
    """The probability of every text there is, over all its alignments."""
    texts: Counter[tuple[int, ...]] = Counter()
    steps, classes = probabilities.shape
    for path in itertools.product(range(classes), repeat=steps):
        text = tuple(number for number, _ in itertools.groupby(path) if number != BLANK)
        texts[text] += float(np.prod([probabilities[step, number] for step, number in enumerate(path)]))
    return texts


def best(probabilities: NDArray[np.float64], say: Callable[[tuple[int, ...]], float]) -> tuple[int, ...]:
    """Of all texts the one of the greatest log-probability and ``say``."""
    texts = all_texts(probabilities)
    return max(texts, key=lambda text: math.log(texts[text]) + say(text))


def small_language(rng: np.random.Generator) -> ctc.Language:
    """A model of two classes and the end."""
    seconds = (1, 2, ctc.END)
    grams = [*seconds, *((first << 8) + second for first in (1, 2, ctc.START) for second in seconds)]
    return ctc.Language(np.array(grams, np.uint64), *rng.integers(0, 60, (2, len(grams))).astype(np.uint8))


@pytest.mark.parametrize("seed", range(20))
def test_without_a_language_the_text_is_the_likeliest_of_all(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    everything(monkeypatch)
    probabilities = np.random.default_rng(seed).dirichlet(np.full(3, 0.7), 5)
    (read,) = ctc.texts(np.log(probabilities)[None].astype(np.float32), None)
    assert tuple(read.classes) == best(probabilities, lambda _: 0.0)
    assert list(read.steps) == sorted(set(read.steps))


@pytest.mark.parametrize("seed", range(20))
def test_with_a_language_it_is_the_best_of_all_by_both(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    everything(monkeypatch)
    rng = np.random.default_rng(seed)
    language = small_language(rng)
    probabilities = rng.dirichlet(np.full(3, 0.7), 5)
    (read,) = ctc.texts(np.log(probabilities)[None].astype(np.float32), language)
    assert tuple(read.classes) == best(
        probabilities, lambda text: ctc.BONUS * len(text) - ctc.WEIGHT * language.cost([*text, ctc.END])
    )


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_a_characters_probability_is_its_share_of_all_texts_that_differ_in_it_alone(
    seed: int, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything(monkeypatch)
    rng = np.random.default_rng(seed)
    language = small_language(rng) if told else None
    probabilities = rng.dirichlet(np.full(3, 0.7), 6)
    (read,) = ctc.texts(np.log(probabilities)[None].astype(np.float32), language)
    texts, text = all_texts(probabilities), tuple(read.classes.tolist())

    def weighed(text: tuple[int, ...]) -> float:
        said = ctc.BONUS * len(text) - ctc.WEIGHT * language.cost([*text, ctc.END]) if language else 0.0
        return texts[text] * math.exp(said)

    for i, (step, probability) in enumerate(zip(read.steps, read.probabilities, strict=True)):
        alone = probabilities[step, text[i]]
        rivals = [text[:i] + text[i + 1 :], *((*text[:i], other, *text[i + 1 :]) for other in (1, 2))]
        share = weighed(text) / sum(map(weighed, rivals))
        assert probability == pytest.approx(alone if alone >= 0.98 else share, rel=1e-4)


def test_of_a_text_that_is_of_little_use_characters_have_the_nets_own_probabilities() -> None:
    logits = output({"a": 0.6}, {"a": 0.6}, {"b": 0.7})
    (found,) = ctc.texts(logits, None, 0.58)
    assert found.log_likelihood == pytest.approx(math.log(0.84 * 0.7), rel=1e-3)
    assert found.probabilities.tolist() == pytest.approx([0.84, 0.7], rel=1e-3)
    (found,) = ctc.texts(logits, None, 0.6)
    assert found.probabilities.tolist() == pytest.approx([0.6, 0.7], rel=1e-3)


def test_an_ngram_that_is_not_listed_costs_its_shorter_one_and_backing_off() -> None:
    a, b = encode("ab")
    keys = np.array([a, b, a << 8 | a, ctc.START << 8 | a], np.uint64)
    language = ctc.Language(keys, np.array([16, 32, 8, 4], np.uint8), np.array([48, 0, 0, 0], np.uint8))
    assert language.cost([a]) == 4 * ctc.UNIT
    assert language.cost([a, a]) == (4 + 8) * ctc.UNIT
    assert language.cost([a, b]) == (4 + 48 + 32) * ctc.UNIT
    assert language.cost([b]) == 32 * ctc.UNIT, "from the beginning too"


def test_numbers_quotes_and_dashes_are_alike_to_the_language() -> None:
    language = ctc.language()
    for one, other in (("TOTAL 12.50", "TOTAL 93.81"), ("don’t", "don't"), ("1990-1999", "1990–1999"), ("$5", "€5")):
        assert language.cost(encode(one)) == pytest.approx(language.cost(encode(other)))
    assert language.cost(encode("the invoice")) < language.cost(encode("tne invoice")) - 3
    assert language.cost(encode("COMPLETION")) < language.cost(encode("CoMPLETroN")) - 10


def test_a_line_that_ends_within_a_word_ends_in_a_hyphen() -> None:
    language = ctc.language()

    def ended(text: str) -> float:
        return ctc.WEIGHT * language.cost([*encode(text), ctc.END]) - ctc.BONUS * len(text)

    for text in ("such reposi", "to any certifi", "high-level radioac", "and the decommis"):
        assert ended(text + "-") < ended(text)
    assert ended("the invoice") < ended("the invoice-")


def test_a_letter_that_lies_half_on_one_step_and_half_on_the_next_is_read() -> None:
    reading = decoded(output({}, {}, {"a": 0.45}, {"a": 0.45}, {}, {}, {"b": 0.99}, {}), 4)[0]
    assert reading.text == "ab"
    assert reading.columns[0] in (10.0, 14.0)
    assert reading.probabilities[0] == pytest.approx(1 - 0.55**2, abs=0.02)


def test_the_language_settles_what_the_net_half_saw_and_nothing_else() -> None:
    torn = spelt({"A": 0.99}, {"G": 0.3, "u": 0.6}, {"A": 0.99}, {"I": 0.99}, {"N": 0.99})
    assert decoded(torn, 4)[0].text == "AuAIN"
    reading = decoded(torn, 4, language=ctc.language())[0]
    assert reading.text == "AGAIN"
    assert reading.probabilities[1] > 0.8, "as sure as both are together"
    assert reading.confidence == pytest.approx(0.3, abs=0.02), "the net's own"
    clear = spelt({"A": 0.99}, {"u": 0.999}, {"A": 0.99}, {"I": 0.99}, {"N": 0.99})
    assert decoded(clear, 4, language=ctc.language())[0].text == "AuAIN"


def test_a_digit_is_as_sure_with_the_language_as_without() -> None:
    price = spelt({"1": 0.99}, {"2": 0.99}, {".": 0.99}, {"5": 0.6, "6": 0.35}, {"0": 0.99})
    for language in (None, ctc.language()):
        reading = decoded(price, 4, language=language)[0]
        assert reading.text == "12.50"
        assert reading.probabilities[3] == pytest.approx(0.6, abs=0.05)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 70), st.floats(0.02, 3))
def test_any_output_has_an_answer(seed: int, steps: int, spread: float) -> None:
    logits = np.log(np.random.default_rng(seed).dirichlet(np.full(CLASSES, spread), (2, steps)) + 1e-12)
    for read in ctc.texts(logits.astype(np.float32), ctc.language()):
        assert len(read.classes) == len(read.steps) == len(read.probabilities)
        assert (np.diff(read.steps) > 0).all()
        assert ((read.steps >= 0) & (read.steps < steps)).all()
        assert ((read.probabilities >= 0) & (read.probabilities <= 1)).all()
        assert read.log_likelihood <= 0
        assert BLANK not in read.classes


def test_a_text_longer_than_the_steps_is_impossible() -> None:
    a = np.array(encode("aab"), np.intp)
    likelihoods = ctc.log_likelihoods(np.concatenate([output({"a": 0.5}, {"a": 0.5}, {"b": 0.5})] * 2), [a, a[1:]])
    assert likelihoods[0] == -np.inf
    assert likelihoods[1] == pytest.approx(math.log(0.5**3 * 3), abs=1e-3)


def test_labels_that_do_not_fit_are_refused() -> None:
    one = output({"a": 0.5})
    with pytest.raises(ValueError, match="each window needs a label"):
        ctc.log_likelihoods(one, [])
    with pytest.raises(ValueError, match="names no class"):
        ctc.log_likelihoods(one, [np.array([CLASSES])])
    with pytest.raises(ValueError, match="empty or too long"):
        ctc.Language(np.array([1 << 60], np.uint64), np.zeros(1, np.uint8), np.zeros(1, np.uint8))
