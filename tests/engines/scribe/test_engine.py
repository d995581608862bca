"""The engine as the settings make it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from engines.api import Page
from engines.documents import decode, specimen
from engines.errors import OptionsError
from engines.scribe import detector
from engines.scribe.engine import WEIGHTS, Scribe
from engines.scribe.recogniser import ctc
from engines.scribe.recogniser.batches import columns
from engines.scribe.recogniser.card import WeightsError
from engines.scribe.recogniser.reader import Recogniser


def test_weights_come_from_the_folder_that_is_named(tmp_path: Path) -> None:
    card = json.loads((WEIGHTS / "word.json").read_text())
    (tmp_path / "word.json").write_text(json.dumps({**card, "version": "next"}))
    engine = Scribe(upright=False, weights=str(tmp_path))
    assert engine.model_version == "next"
    assert Scribe(upright=False).model_version == card["version"]
    with pytest.raises(WeightsError, match=str(tmp_path)):
        engine.load()
    for name in ("word.npz", "small.npz"):
        shutil.copy(WEIGHTS / name, tmp_path)
    engine.load()


@pytest.mark.parametrize("weights", ["models/4", "/nowhere", 4])
def test_a_folder_without_weights_is_refused_by_name(weights: object) -> None:
    with pytest.raises(OptionsError, match=r"engine scribe: weights"):
        Scribe(weights=weights)  # type: ignore[arg-type]


def test_what_a_cell_rehearses_on_is_partly_easy_and_partly_hard() -> None:
    recogniser = Recogniser.load(WEIGHTS)
    assert recogniser._small is not None
    assert recogniser.card.enough is not None
    pixels = detector.windows(Page(specimen.letter())).pixels
    first = recogniser._small.read(pixels, columns(pixels), ctc.language())
    easy = sum(recogniser.card.enough.settled(reading) is not None for _, reading in first)
    assert len(pixels) / 4 < easy < len(pixels) * 3 / 4


PAGES = Path("deploy/demo/pages")


@pytest.mark.parametrize(
    ("name", "least", "lines"),
    [
        (  # on a dark wooden table, and leaning
            "receipt-photo.jpg",
            60,
            ["HARBOUR STREET BAKERY", "Receipt #004817 14/03/2026", "Cinnamon bun 2.75", "TOTAL GBP 16.47"],
        ),
        ("invoice-scan.jpg", 60, ["NORTHGATE FASTENERS GMBH", "Due: 11.02.2026"]),
    ],
)
def test_the_demos_pages_are_read(name: str, least: int, lines: list[str]) -> None:
    engine = Scribe()
    engine.load()
    page = next(decode.pages((PAGES / name).read_bytes(), decode.Limits(pixels=1 << 26, pages=1))).page
    read = [" ".join(word.text for word in line.words) for line in engine.recognize(page).lines]
    assert sum(len(line.split()) for line in read) >= least
    assert set(lines) <= set(read)
