"""The orientation net at work: what the crops of a page say of its turn, put together."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.scribe.orientation import port
from engines.scribe.orientation.crops import SIDE, Grey, batches
from engines.scribe.session import callable_graph

BATCH = 8
"""Crops that are looked at together; after each batch the page may be clear enough."""
CLEAR, CLEARLY_TURNED = 0.9999, 1 - 1e-7
"""A page that is upright, or turned, with this probability needs no more crops. To turn an upright one is worse."""
UPRIGHT = 0.9
"""Share of pages that come upright; the rest is even among the other turns."""
_DOUBT = 0.05
"""So much of each crop's say is spread evenly: a few odd crops shall not outvote the rest."""


class TurnWeightsError(Exception):
    """The weights are missing, damaged or not of this net; says which file."""


@dataclass(frozen=True, slots=True)
class Votes:
    """``probabilities`` float64 (4,): that the page is turned clockwise by so many quarters; ``crops``: by how many."""

    probabilities: NDArray[np.float64]
    crops: int

    @property
    def quarters(self) -> int:
        """The likeliest number of quarters by which the page is turned clockwise."""
        return int(self.probabilities.argmax())

    @property
    def probability(self) -> float:
        return float(self.probabilities.max())


class Voters:
    """The net. `load` once, before forking; then `votes` in any child."""

    def __init__(self, run: Any, temperature: float) -> None:
        self._run = run
        self._temperature = temperature

    @classmethod
    def load(cls, directory: Path) -> Voters:
        """Load `turn.npz` and `turn.json` from ``directory`` and run once. Raises TurnWeightsError."""
        try:
            with (directory / "turn.npz").open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                weights = {name: np.asarray(file[name], np.float32) for name in file.files}
            temperature = float(json.loads((directory / "turn.json").read_text(encoding="utf-8"))["temperature"])
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise TurnWeightsError(f"no usable weights in {directory}: {error}") from error
        voters = cls(callable_graph(port.graph(weights), "crops", "turns"), temperature)
        voters.logits(np.zeros((BATCH, SIDE, SIDE), np.uint8))
        return voters

    def logits(self, pixels: Grey) -> NDArray[np.float32]:
        """The net's output float32 (n, 4) for crops uint8 (n, SIDE, SIDE)."""
        result: NDArray[np.float32] = self._run(pixels)
        return result

    def votes(self, grey: Grey) -> Votes:
        """How a grey page (height, width) is turned. Without crops it is taken for upright, as most pages are."""
        evidence = np.zeros(port.TURNS)
        seen = 0
        for part in batches(grey, BATCH):
            batch = np.zeros((BATCH, SIDE, SIDE), np.uint8)  # always the same shape: others would meet new memory
            batch[: len(part)] = part
            evidence += said(self.logits(batch)[: len(part)]).sum(axis=0)
            seen += len(part)
            probabilities = pooled(evidence, self._temperature)
            if clear(probabilities):
                break
        return Votes(pooled(evidence, self._temperature), seen)


def clear(probabilities: NDArray[np.float64]) -> bool:
    """Whether a page's turn is beyond doubt."""
    return bool(probabilities[0] >= CLEAR or probabilities[1:].max() >= CLEARLY_TURNED)


def said(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log-probabilities (n, 4) of each crop's turn, none certain."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    probabilities = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    result: NDArray[np.float64] = np.log((1 - _DOUBT) * probabilities + _DOUBT / port.TURNS)
    return result


def pooled(evidence: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Probabilities (4,) of a page's turns from the sum of what its crops said, which are alike: ``temperature`` weighs
    them down to what they are worth together."""
    prior = np.full(port.TURNS, (1 - UPRIGHT) / (port.TURNS - 1))
    prior[0] = UPRIGHT
    logs = evidence / temperature + np.log(prior)
    shares = np.exp(logs - logs.max())
    result: NDArray[np.float64] = shares / shares.sum()
    return result
