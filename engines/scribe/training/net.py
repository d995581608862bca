"""The Word Deep Net in PyTorch: convolutions, one bidirectional LSTM, CTC.

`recogniser.port` rebuilds the same net in TensorFlow from `state_dict`; names and order below are that contract.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from engines.scribe.recogniser.alphabet import CLASSES
from engines.scribe.recogniser.port import COLUMNS, CONVOLUTIONS, FEATURES, HIDDEN, LEAST_RANGE, SHARES


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
        self.head = nn.Linear(2 * HIDDEN, SHARES * CLASSES)

    def forward(self, pixels: Tensor) -> Tensor:
        """uint8 (n, 32, 256) to logits float32 (n, 128, CLASSES)."""
        ink = normalise(pixels).to(memory_format=torch.channels_last)
        features = self.features(ink).squeeze(2).transpose(1, 2)
        states, _ = self.lstm(features)
        logits: Tensor = self.head(self.drop(states))
        return logits.reshape(len(pixels), pixels.shape[2] // COLUMNS, CLASSES)


def load(path: Path) -> dict[str, Tensor]:
    """A `WordNet`'s state from a run's .pt, or from the .npz that ships.

    Weights of a time when the LSTM's step was the output's too say the same in each of its shares: what they read stays
    the same until it is trained.
    """
    if path.suffix == ".npz":
        state = WordNet().state_dict()  # .npz has no counts of batches
        with np.load(path, allow_pickle=False) as arrays:
            state |= {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    else:
        state = torch.load(path, weights_only=True)
    for name in ("head.weight", "head.bias"):
        if len(state[name]) == CLASSES:
            state[name] = torch.cat([state[name]] * SHARES)
    return state
