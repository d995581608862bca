"""The recogniser's weights on disk, and the card that says what they are."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.scribe.recogniser.alphabet import CHARACTERS
from engines.scribe.windows import Reading

LARGE_FILE, SMALL_FILE, CARD_FILE = "word.npz", "small.npz", "word.json"
ENOUGH_KEY = "small"
"""In the card: the settings of `Enough`."""


class WeightsError(Exception):
    """The weights are missing, damaged, or made for another alphabet; says which file."""


@dataclass(frozen=True, slots=True)
class Enough:
    """When a window needs no second look.

    ``character`` is the least probability that the small net, with the language model, gives any character of its text;
    ``text`` that of the whole text by the net alone, which also tells of characters it may have left out. Where no
    character is as probable as ``noise`` there is no text: nor does the large net find any.
    """

    character: float
    text: float
    noise: float

    def settled(self, reading: Reading) -> Reading | None:
        """What a window says by the small net's ``reading`` of it; None where the large one has to look."""
        if float(reading.probabilities.max(initial=0)) < self.noise:
            return replace(reading, text="", columns=reading.columns[:0], probabilities=reading.probabilities[:0])
        sure = reading.confidence >= self.text and float(reading.probabilities.min(initial=1)) >= self.character
        return reading if sure else None


@dataclass(frozen=True, slots=True)
class Card:
    """What `word.json` says of the weights: their version, the temperature of the confidence, and when what the small
    net reads is enough; None where there is no small net."""

    version: str
    temperature: float
    enough: Enough | None = None


def weights(directory: Path, name: str = LARGE_FILE) -> dict[str, NDArray[np.float32]]:
    """The arrays of the file ``name`` in ``directory``. Raises WeightsError."""
    try:
        with (directory / name).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: np.asarray(file[name], np.float32) for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise WeightsError(f"no usable {name} in {directory}: {error}") from error


def card_of(directory: Path) -> Card:
    """What `word.json` in ``directory`` says of the weights. Raises WeightsError."""
    path = directory / CARD_FILE
    try:
        card = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise WeightsError(f"no usable {path.name} in {directory}: {error}") from error
    try:
        if card["alphabet"] != CHARACTERS:
            raise WeightsError(f"{path} was made for another alphabet; export the weights again")
        enough = card.get(ENOUGH_KEY)
        return Card(card["version"], float(card["temperature"]), Enough(**enough) if enough else None)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} is no card of weights: {error!r}; export the weights again") from error
