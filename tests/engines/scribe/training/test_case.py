"""The case of real lines, whose truth is all capitals, by their letters' heights."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from engines.scribe.training import case
from engines.scribe.training.case import cased
from engines.scribe.training.real import RealLine
from engines.scribe.windows import Reading

TALL, SMALL = 20.0, 14.0


def rises(text: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Heights as print has them: small letters without ascenders are lower than all else."""
    return np.array([SMALL if c in "acegmnopqrsuvwxyz" else np.nan if c == " " else TALL for c in text])


@pytest.mark.parametrize(
    "text", ["Total Amount", "Thank you for coming to the shop", "TAX INVOICE", "items and Tables", "Tel 03-8887"]
)
def test_heights_tell_the_case_and_reading_tells_it_of_initials_that_are_tall_in_both(text: str) -> None:
    assert cased(text.upper(), rises(text), text) == text


def test_a_word_of_torn_heights_tells_nothing() -> None:
    text = "Amount"
    torn = rises(text)
    torn[[2, 4]] = TALL
    assert cased(text.upper(), torn, text) is None


def test_letters_of_one_height_are_capitals_only_beside_one_that_is_tall_either_way() -> None:
    low = "see you again"
    assert cased(low.upper(), np.where(np.isnan(rises(low)), np.nan, SMALL), low) is None
    assert cased("SEE YOU AT 5", rises("SEE YOU AT 5"), "SEE YOU AT 5") == "SEE YOU AT 5"


@pytest.mark.parametrize(("read", "told"), [("Amount", ["Amount"]), ("AMOUNT", []), ("Amounf", [])])
def test_a_line_is_told_where_heights_and_net_tell_the_same(
    read: str, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = Reading(read, np.zeros(len(read), np.float32), np.ones(len(read), np.float32), 1.0)
    monkeypatch.setattr(case, "_net", lambda: lambda pixels: torch.zeros(len(pixels), 1, 1))
    monkeypatch.setattr(case, "decoded", lambda logits, columns: [reading] * len(logits))
    monkeypatch.setattr(case, "heights", lambda window, columns: rises("Amount"))
    line = RealLine("a.jpg", np.full((32, 60), 200, np.uint8), "AMOUNT", held=False)
    assert [row["cased"] for row in case._told([line])] == told
