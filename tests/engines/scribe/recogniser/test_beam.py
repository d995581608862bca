"""The beam finds the likeliest text, where the best path does not."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from engines.scribe.recogniser.alphabet import BLANK, CLASSES, encode
from engines.scribe.recogniser.beam import search
from engines.scribe.recogniser.decode import decoded


@pytest.mark.parametrize("seed", range(20))
def test_the_text_found_is_the_likeliest_of_all(seed: int) -> None:
    probabilities = np.random.default_rng(seed).dirichlet(np.full(3, 0.7), 5).astype(np.float32)
    texts: Counter[tuple[int, ...]] = Counter()
    for path in itertools.product(range(3), repeat=5):
        text = tuple(number for number, _ in itertools.groupby(path) if number != BLANK)
        texts[text] += float(np.prod([probabilities[step, number] for step, number in enumerate(path)]))
    ((text, probability),) = texts.most_common(1)
    found, steps, its_probability = search(probabilities, width=300)
    assert found == text
    # Classes of the least probability are left out.
    assert its_probability == pytest.approx(probability, rel=0.03)
    assert list(steps) == sorted(set(steps))
    assert len(steps) == len(text)


def test_a_letter_that_lies_half_on_one_step_and_half_on_the_next_is_read() -> None:
    probabilities = np.full((1, 8, CLASSES), 1e-6)
    probabilities[:, :, BLANK] = 1.0
    for step, character, share in ((2, "a", 0.45), (3, "a", 0.45), (6, "b", 0.99)):
        probabilities[0, step, BLANK] = 1 - share
        probabilities[0, step, encode(character)[0]] = share
    reading = decoded(np.log(probabilities).astype(np.float32), 4)[0]
    assert reading.text == "ab"
    assert reading.columns[0] in (10.0, 14.0)
    assert reading.probabilities[0] == pytest.approx(1 - 0.55**2, abs=0.01)


def test_long_noise_has_an_answer() -> None:
    noise = np.random.default_rng(1).dirichlet(np.full(CLASSES, 0.3), 64).astype(np.float32)
    text, steps, probability = search(noise)
    assert len(text) == len(steps)
    assert 0 <= probability <= 1
