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
        self._residual = layout.residual
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
        for i in layout.residual:  # adds nothing at first
            nn.init.zeros_(self.features[3 * i + 1].weight)
        self.lstm = nn.LSTM(channels, layout.hidden, bidirectional=True, batch_first=True)
        self.drop = nn.Dropout(0.1)
        self.second: nn.LSTM | None = None
        if layout.second:
            self.second = nn.LSTM(2 * layout.hidden, layout.second, bidirectional=True, batch_first=True)
        self.head = nn.Linear(layout.states, CLASSES)

    def convolved(self, ink: Tensor) -> Tensor:
        """Ink (n, 1, 32, w) to features (n, channels, 1, w / 4)."""
        x, index, before = ink, 0, ink
        for layer in self.features:
            if isinstance(layer, nn.ReLU):
                x = before = layer(x + before if index in self._residual else x)
                index += 1
            else:
                x = layer(x)
        return x

    def forward(self, pixels: Tensor) -> Tensor:
        """uint8 (n, 32, 256) to logits float32 (n, 64, CLASSES)."""
        ink = normalise(pixels).to(memory_format=torch.channels_last)
        features = self.convolved(ink).squeeze(2).transpose(1, 2)
        states, _ = self.lstm(features)
        if self.second is not None:
            states = torch.cat((states, self.second(states)[0]), 2)
        logits: Tensor = self.head(self.drop(states))
        return logits


def loaded(path: Path, layout: Layout = LARGE) -> WordNet:
    """The net of ``layout`` with the weights of ``path``, to read."""
    net = WordNet(layout)
    net.load_state_dict(load(path, layout))
    return net.eval()


def teacher(path: Path) -> WordNet:
    """The large net with the weights of ``path``, to read and not to learn: its BatchNorm is folded into the
    convolutions, which saves a third of its time."""
    net = loaded(path)
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

    Weights from before the residual convolutions get them, which add nothing at first: they read as they did."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: torch.from_numpy(arrays[name].astype(np.float32)) for name in arrays.files}
    else:
        found = torch.load(path, weights_only=True)
    state: dict[str, Tensor] = WordNet(layout).state_dict()  # an .npz has no counts of batches
    convolutions = sum(name.startswith("features.") and value.dim() == 4 for name, value in found.items())
    old = [i for i in range(len(layout.convolutions)) if i not in layout.residual]
    if convolutions == len(old) < len(layout.convolutions):
        found = {_moved(name, old): value for name, value in found.items()}
    return state | found


def _moved(name: str, places: list[int]) -> str:
    """``name`` of a layer, or of what follows its convolution, where convolution i stands at ``places[i]``."""
    part, *rest = name.split(".")
    if part != "features":
        return name
    layer = int(rest[0])
    return ".".join((part, str(3 * places[layer // 3] + layer % 3), *rest[1:]))
