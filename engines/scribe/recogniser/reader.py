"""The recogniser: TensorFlow, set up so that it still runs in a forked child.

Only one way of running a graph survives `fork` (see `callable_graph`); a canary test holds it. No other Session may
run in the same process before the fork: its thread pools would be shared, and the child would wait for threads it
does not have."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.scribe.recogniser import port
from engines.scribe.recogniser.alphabet import CHARACTERS
from engines.scribe.recogniser.decode import greedy
from engines.scribe.windows import HEIGHT, WIDTH, Reading

NARROW = WIDTH // 2
"""Columns of the narrow form, in which windows with short text are read in half the time."""
_ROOM = 4
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

    def __init__(self, session: Any, card: Card) -> None:
        self._session = session
        self.card = card

    @classmethod
    def load(cls, directory: Path) -> Recogniser:
        """Load `word.npz` and `word.json` from ``directory`` and run every shape once.

        Raises WeightsError.
        """
        weights, card = _weights(directory)
        recogniser = cls(callable_graph(weights), card)
        for width in (WIDTH, NARROW):
            for size in _BATCHES:
                recogniser.logits(np.zeros((size, HEIGHT, width), np.uint8))
        return recogniser

    def read(self, pixels: NDArray[np.uint8]) -> list[Reading]:
        """Readings of windows ``pixels`` uint8 (n, HEIGHT, WIDTH), ink dark, in their order."""
        readings: list[Reading | None] = [None] * len(pixels)
        for places, width in self._forms(pixels):
            start = 0
            for size in _batches(len(places)):
                chosen = places[start : start + size]
                start += size
                logits = self.logits(np.ascontiguousarray(pixels[chosen, :, :width]))
                for place, reading in zip(chosen, greedy(logits, port.COLUMNS, self.card.temperature), strict=True):
                    readings[place] = reading
        return [reading for reading in readings if reading is not None]

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The net's output float32 (n, w / 4, classes) for windows uint8 (n, HEIGHT, w)."""
        result: NDArray[np.float32] = self._session(pixels)
        return result

    @staticmethod
    def _forms(pixels: NDArray[np.uint8]) -> list[tuple[NDArray[np.intp], int]]:
        """Which windows are read at which width: narrow where the right half is padding."""
        tail = pixels[:, :, NARROW - _ROOM :]
        narrow = (tail == tail[:, :, -1:]).all((1, 2))
        return [(np.flatnonzero(narrow), NARROW), (np.flatnonzero(~narrow), WIDTH)]


def callable_graph(weights: port.Weights) -> Any:
    """A function from windows uint8 (n, HEIGHT, w) to logits, that still runs after a fork.

    The Session's settings are what makes it so: no thread pool of its own (inter -1), operations inline (intra 1),
    and the executor that schedules nothing."""
    import tensorflow as tf

    config = tf.compat.v1.ConfigProto(
        inter_op_parallelism_threads=-1, intra_op_parallelism_threads=1, use_per_session_threads=True
    )
    config.experimental.executor_type = "SINGLE_THREADED_EXECUTOR"
    definition = port.graph(weights)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
        session = tf.compat.v1.Session(graph=graph, config=config)
    return session.make_callable("logits:0", ["pixels:0"])


def _batches(count: int) -> list[int]:
    """Sizes from `_BATCHES` that add up to ``count``."""
    sizes = []
    for size in _BATCHES:
        sizes += [size] * (count // size)
        count %= size
    return sizes


def _weights(directory: Path) -> tuple[dict[str, NDArray[np.float32]], Card]:
    try:
        with (directory / "word.npz").open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            weights = {name: np.asarray(file[name], np.float32) for name in file.files}
        card = json.loads((directory / "word.json").read_text())
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise WeightsError(f"no usable weights in {directory}: {error}") from error
    if card["alphabet"] != CHARACTERS:
        raise WeightsError(f"{directory / 'word.json'} was made for another alphabet; export the weights again")
    return weights, Card(card["version"], card["temperature"])
