"""The case of real lines, whose truth is all capitals, by a net that made lines alone have taught."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from engines.scribe.recogniser.alphabet import BLANK, CLASSES, encode
from engines.scribe.training import case
from engines.scribe.training.case import judged
from engines.scribe.training.real import RealLine


def seen(text: str, odds: float = 4.0) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Log-probabilities of a net that sees ``text``, and of each letter the other case ``odds`` nats less likely."""
    scores = np.full((2 * len(text) + 1, CLASSES), -12.0, np.float32)
    scores[::2, BLANK] = 0
    for i, (class_, other) in enumerate(zip(encode(text), encode(text.swapcase()), strict=True)):
        scores[2 * i + 1, [other, class_]] = -odds, 0
    return scores


@pytest.mark.parametrize("text", ["see you again!", "VAT No: GB 12", "loaf 800g", "Amt(RM)", "TAX INVOICE", "12.50"])
def test_the_judge_tells_the_case_of_each_letter_where_it_stands(text: str) -> None:
    assert judged(seen(text), text.upper()) == text


def test_a_word_s_letters_after_the_first_are_judged_together() -> None:
    scores = seen("Total")
    at = 2 * "Total".index("t") + 1
    scores[at] = seen("ToTal")[at]
    assert judged(scores, "TOTAL") == "Total"


@pytest.mark.parametrize(
    ("text", "odds", "truth"), [("g", 2.5, "G"), ("see", 0.5, "SEE"), ("see", 4.0, "SHOP"), ("gUEST", 4.0, "GUEST")]
)
def test_the_judge_is_silent_where_it_wavers_or_sees_what_nobody_writes(text: str, odds: float, truth: str) -> None:
    assert judged(seen(text, odds), truth) is None


def test_lines_that_the_judge_is_not_sure_of_and_those_too_long_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = torch.from_numpy(np.stack([seen("Amount"), seen("Amount", 1.0)]))
    monkeypatch.setattr(case, "_judge", lambda pixels: scores[: len(pixels)])
    lines = [
        RealLine(name, np.full((32, width), 200, np.uint8), "AMOUNT", held=False)
        for name, width in (("long", 2000), ("sure", 60), ("unsure", 60))
    ]
    assert case._told(lines) == [{"name": "sure", "text": "AMOUNT", "cased": "Amount"}]
