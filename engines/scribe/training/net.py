"""The Word Deep Net in PyTorch: convolutions, two bidirectional LSTMs, CTC.

`recogniser.port` rebuilds the same net in TensorFlow from `state_dict`; names and order below are that contract.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from engines.scribe.recogniser.alphabet import CLASSES
from engines.scribe.recogniser.port import CONVOLUTIONS, FEATURES, HIDDEN, LEAST_RANGE, SECOND


def normalise(pixels: Tensor) -> Tensor:
    """uint8 (n, 32, 256) to ink 0..1 float32 (n, 1, 32, 256): each window's own range, at least `LEAST_RANGE` grey
    levels."""
    grey = pixels.float()
    low, high = grey.amin((1, 2), keepdim=True), grey.amax((1, 2), keepdim=True)
    return ((high - grey) / (high - low).clamp(min=LEAST_RANGE)).unsqueeze(1)


class WordNet(nn.Module):
    """Windows in, one row of logits for every `COLUMNS` columns out."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for width, kernel, stride, padding in CONVOLUTIONS:
            layers += [
                nn.Conv2d(channels, width, kernel, stride, padding, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
            channels = width
        assert channels == FEATURES
        self.features = nn.Sequential(*layers)
        self.lstm = nn.LSTM(FEATURES, HIDDEN, bidirectional=True, batch_first=True)
        self.drop = nn.Dropout(0.1)
        self.second = nn.LSTM(2 * HIDDEN, SECOND, bidirectional=True, batch_first=True)
        self.head = nn.Linear(2 * HIDDEN + 2 * SECOND, CLASSES)

    def forward(self, pixels: Tensor) -> Tensor:
        """uint8 (n, 32, 256) to logits float32 (n, 64, CLASSES)."""
        ink = normalise(pixels).to(memory_format=torch.channels_last)
        features = self.features(ink).squeeze(2).transpose(1, 2)
        first, _ = self.lstm(features)
        second, _ = self.second(first)
        logits: Tensor = self.head(self.drop(torch.cat((first, second), 2)))
        return logits


def load(path: Path) -> dict[str, Tensor]:
    """A `WordNet`'s state from a run's .pt, or from the .npz that ships.

    Weights from before the second LSTM get one to begin from, whose states the head does not look at yet: they read as
    they did."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    else:
        found = torch.load(path, weights_only=True)
    state: dict[str, Tensor] = WordNet().state_dict() | found  # an .npz has no counts of batches
    head = state["head.weight"]
    if head.shape[1] == 2 * HIDDEN:
        state["head.weight"] = torch.cat((head, torch.zeros(len(head), 2 * SECOND)), 1)
    return state
