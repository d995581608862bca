"""The recogniser: windows to readings, by graphs that still run in a forked child (see `engines.scribe.session`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.scribe import session
from engines.scribe.batchnorm import Weights
from engines.scribe.recogniser import ctc, port
from engines.scribe.recogniser.batches import SIZES, WIDTHS, batches, columns
from engines.scribe.recogniser.card import SMALL_FILE, Card, card_of, weights
from engines.scribe.recogniser.decode import decoded
from engines.scribe.recogniser.precision import Precision, fastest
from engines.scribe.windows import HEIGHT, Reading


class Net:
    """A net as a graph, which reads windows in batches of one form. ``run`` is what `callable_graph` gives.

    At a ``glance`` its readings say no more than their text: what is sure needs no repair, and what is not, or less
    probable than that, is noise or read again.
    """

    def __init__(self, run: Any, temperature: float, glance: float | None = None) -> None:
        self._run = run
        self._temperature = temperature
        self._glance = glance

    def warm(self) -> None:
        """Run every shape once: a cell may not make code for one that it meets for the first time."""
        for width in WIDTHS:
            for size in SIZES:
                self.logits(np.zeros((size, HEIGHT, width), np.uint8))

    def read(
        self, pixels: NDArray[np.uint8], needed: NDArray[np.intp], language: ctc.Language
    ) -> Iterator[tuple[int, Reading]]:
        """The index and the reading of each window in ``pixels`` (n, HEIGHT, WIDTH), batch by batch; ``needed`` (n,):
        columns."""
        for chosen, width in batches(needed):
            logits = self.logits(np.ascontiguousarray(pixels[chosen, :, :width]))
            readings = decoded(logits, port.COLUMNS, self._temperature, language, self._glance)
            yield from zip(chosen.tolist(), readings, strict=True)

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The net's output float32 (n, w / 4, classes) for windows uint8 (n, HEIGHT, w)."""
        result: NDArray[np.float32] = self._run(pixels)
        return result


class Recogniser:
    """The Word Deep Net, behind a small one that reads what is easy. `load` once, before forking; then `read` in any
    child.

    A cascade (Viola and Jones 2001): all windows go through the small net, which takes a third of the time, and
    those of which it is not sure through the large one too. ``small`` may be None; else the card says what is enough.
    """

    def __init__(self, large: Net, card: Card, small: Net | None = None) -> None:
        self._large = large
        self._small = small
        self._language = ctc.language()
        self.card = card

    @classmethod
    def load(cls, directory: Path, precision: Precision | None = None, *, cascade: bool = True) -> Recogniser:
        """Load `word.npz`, `word.json` and, where it is there and ``cascade`` is wanted, `small.npz` from
        ``directory``, and run every shape once.

        In the ``precision`` that is quickest here where none is given. Raises WeightsError.
        """
        card = card_of(directory)
        precision = precision or fastest()
        large = Net(callable_graph(weights(directory), precision), card.temperature)
        small = None
        if cascade and card.enough is not None:
            run = callable_graph(weights(directory, SMALL_FILE), precision, port.SMALL)
            small = Net(run, 1.0, card.enough.text)
        recogniser = cls(large, card, small)
        recogniser.warm()
        return recogniser

    def warm(self) -> None:
        """Run every shape once."""
        for net in filter(None, (self._large, self._small)):
            net.warm()

    def read(self, pixels: NDArray[np.uint8]) -> list[Reading]:
        """Readings of windows ``pixels`` uint8 (n, HEIGHT, WIDTH), ink dark, in their order."""
        needed = columns(pixels)
        readings: dict[int, Reading] = {}
        enough = self.card.enough
        if self._small is not None and enough is not None:
            for place, reading in self._small.read(pixels, needed, self._language):
                if (settled := enough.settled(reading)) is not None:
                    readings[place] = settled
        left = np.array([place for place in range(len(pixels)) if place not in readings], np.intp)
        for place, reading in self._large.read(pixels[left], needed[left], self._language):
            readings[int(left[place])] = reading
        return [readings[i] for i in range(len(pixels))]

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The large net's output float32 (n, w / 4, classes) for windows uint8 (n, HEIGHT, w)."""
        return self._large.logits(pixels)


def callable_graph(weights: Weights, precision: Precision, layout: port.Layout = port.LARGE) -> Any:
    """A function from windows uint8 (n, HEIGHT, w) to logits, that still runs after a fork."""
    return session.callable_graph(port.graph(weights, precision, layout), "pixels", "logits")
