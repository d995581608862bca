"""The Word Deep Net in PyTorch: convolutions, bidirectional LSTMs, CTC; and the smaller one that looks before it.

`recogniser.port` rebuilds the same net in TensorFlow from `state_dict`; names and order below are that contract.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from engines.scribe.recogniser.alphabet import CLASSES
from engines.scribe.recogniser.port import LARGE, LEAST_RANGE, Layout


def normalise(pixels: Tensor) -> Tensor:
    """uint8 (n, 32, 256) to ink 0..1 float32 (n, 1, 32, 256): each window's own range, at least `LEAST_RANGE` grey
    levels."""
    grey = pixels.float()
    low, high = grey.amin((1, 2), keepdim=True), grey.amax((1, 2), keepdim=True)
    return ((high - grey) / (high - low).clamp(min=LEAST_RANGE)).unsqueeze(1)


class WordNet(nn.Module):
    """Windows in, one row of logits for every `COLUMNS` columns out."""

    def __init__(self, layout: Layout = LARGE) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for width, kernel, stride, padding in layout.convolutions:
            layers += [
                nn.Conv2d(channels, width, kernel, stride, padding, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
            channels = width
        self.features = nn.Sequential(*layers)
        self.lstm = nn.LSTM(channels, layout.hidden, bidirectional=True, batch_first=True)
        self.drop = nn.Dropout(0.1)
        self.second: nn.LSTM | None = None
        if layout.second:
            self.second = nn.LSTM(2 * layout.hidden, layout.second, bidirectional=True, batch_first=True)
        self.head = nn.Linear(layout.states, CLASSES)

    def forward(self, pixels: Tensor) -> Tensor:
        """uint8 (n, 32, 256) to logits float32 (n, 64, CLASSES)."""
        ink = normalise(pixels).to(memory_format=torch.channels_last)
        features = self.features(ink).squeeze(2).transpose(1, 2)
        states, _ = self.lstm(features)
        if self.second is not None:
            states = torch.cat((states, self.second(states)[0]), 2)
        logits: Tensor = self.head(self.drop(states))
        return logits


def teacher(path: Path) -> WordNet:
    """The large net with the weights of ``path``, to read and not to learn: its BatchNorm is folded into the
    convolutions, which saves a third of its time."""
    net = WordNet().eval()
    net.load_state_dict(load(path))
    layers = list(net.features)
    folded = [
        layer
        for i in range(0, len(layers), 3)
        for layer in (fuse_conv_bn_eval(layers[i], layers[i + 1]), layers[i + 2])
    ]
    net.features = nn.Sequential(*folded)
    return net


def load(path: Path, layout: Layout = LARGE) -> dict[str, Tensor]:
    """The state of a `WordNet` of ``layout`` from a run's .pt, or from an .npz that ships.

    Weights from before the second LSTM get one to begin from, whose states the head does not look at yet: they read as
    they did."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: torch.from_numpy(arrays[name].astype(np.float32)) for name in arrays.files}
    else:
        found = torch.load(path, weights_only=True)
    state: dict[str, Tensor] = WordNet(layout).state_dict() | found  # an .npz has no counts of batches
    head = state["head.weight"]
    if head.shape[1] < layout.states:
        state["head.weight"] = torch.cat((head, torch.zeros(len(head), layout.states - head.shape[1])), 1)
    return state
