"""The recogniser: windows to readings, by a graph that still runs in a forked child (see `engines.scribe.session`)."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.scribe import session
from engines.scribe.batchnorm import Weights
from engines.scribe.recogniser import ctc, port
from engines.scribe.recogniser.alphabet import CHARACTERS
from engines.scribe.recogniser.decode import decoded
from engines.scribe.recogniser.precision import Precision, fastest
from engines.scribe.windows import HEIGHT, WIDTH, Reading

WIDTHS = tuple(range(64, WIDTH + 1, 32))
"""Columns of the forms in which windows are read, px: of each as many as its text needs, as time goes by columns."""
ROOM = 12
"""Columns of paper that a form keeps behind the text, px."""
_BATCHES = (16, 8, 4, 2, 1)
"""Batch sizes, largest first. More windows at once take no less time each and dirty more memory in a fresh child."""


class WeightsError(Exception):
    """The weights are missing, damaged, or made for another alphabet; says which file."""


@dataclass(frozen=True, slots=True)
class Card:
    """What `word.json` says of the weights: their version, and the temperature of the confidence."""

    version: str
    temperature: float


class Recogniser:
    """The Word Deep Net. `load` once, before forking; then `read` in any child."""

    def __init__(self, run: Any, card: Card) -> None:
        self._run = run
        self._language = ctc.language()
        self.card = card

    @classmethod
    def load(cls, directory: Path, precision: Precision | None = None) -> Recogniser:
        """Load `word.npz` and `word.json` from ``directory`` and run every shape once.

        In the ``precision`` that is quickest here where none is given. Raises WeightsError.
        """
        arrays, card = weights(directory)
        recogniser = cls(callable_graph(arrays, precision or fastest()), card)
        for width in WIDTHS:
            for size in _BATCHES:
                recogniser.logits(np.zeros((size, HEIGHT, width), np.uint8))
        return recogniser

    def read(self, pixels: NDArray[np.uint8]) -> list[Reading]:
        """Readings of windows ``pixels`` uint8 (n, HEIGHT, WIDTH), ink dark, in their order."""
        readings: list[Reading | None] = [None] * len(pixels)
        forms = self._forms(pixels)
        for form, width in enumerate(WIDTHS):
            places = np.flatnonzero(forms == form)
            start = 0
            for size in _batches(len(places)):
                chosen = places[start : start + size]
                start += size
                logits = self.logits(np.ascontiguousarray(pixels[chosen, :, :width]))
                read = decoded(logits, port.COLUMNS, self.card.temperature, self._language)
                for place, reading in zip(chosen, read, strict=True):
                    readings[place] = reading
        return [reading for reading in readings if reading is not None]

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The net's output float32 (n, w / 4, classes) for windows uint8 (n, HEIGHT, w)."""
        result: NDArray[np.float32] = self._run(pixels)
        return result

    @staticmethod
    def _forms(pixels: NDArray[np.uint8]) -> NDArray[np.intp]:
        """Which of `WIDTHS` each window is read in: the least that holds all before its padding, and `ROOM`."""
        padding = (pixels == pixels[:, :, -1:]).all(1)[:, ::-1].argmin(1)
        padding[(pixels == pixels[:, :1, :1]).all((1, 2))] = pixels.shape[2]
        forms: NDArray[np.intp] = np.searchsorted(WIDTHS[:-1], pixels.shape[2] - padding + ROOM)
        return forms


def callable_graph(weights: Weights, precision: Precision) -> Any:
    """A function from windows uint8 (n, HEIGHT, w) to logits, that still runs after a fork."""
    return session.callable_graph(port.graph(weights, precision), "pixels", "logits")


def _batches(count: int) -> list[int]:
    """Sizes from `_BATCHES` that add up to ``count``."""
    sizes = []
    for size in _BATCHES:
        sizes += [size] * (count // size)
        count %= size
    return sizes


def weights(directory: Path) -> tuple[dict[str, NDArray[np.float32]], Card]:
    """The arrays of `word.npz` in ``directory``, and what `word.json` says of them. Raises WeightsError."""
    try:
        with (directory / "word.npz").open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name], np.float32) for name in file.files}
        card = json.loads((directory / "word.json").read_text())
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise WeightsError(f"no usable weights in {directory}: {error}") from error
    if card["alphabet"] != CHARACTERS:
        raise WeightsError(f"{directory / 'word.json'} was made for another alphabet; export the weights again")
    return arrays, Card(card["version"], card["temperature"])
