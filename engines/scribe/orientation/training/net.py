"""The orientation net for training; `engines.scribe.orientation.port` serves the same net in TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from engines.scribe.orientation.port import CONVOLUTIONS, LEAST_DEVIATION, TURNS


class TurnNet(nn.Module):
    """Crops uint8 (n, SIDE, SIDE) in, logits float32 (n, 4) out: how many quarters clockwise each was turned."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inside = 1
        for outside, kernel, stride in CONVOLUTIONS:
            layers += [
                nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False),
                nn.BatchNorm2d(outside),
                nn.ReLU(inplace=True),
            ]
            inside = outside
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(inside, TURNS)

    def forward(self, pixels: Tensor) -> Tensor:
        grey = pixels.float().unsqueeze(1)
        mean = grey.mean((2, 3), keepdim=True)
        deviation = grey.std((2, 3), keepdim=True, correction=0).clamp_min(LEAST_DEVIATION)
        features = self.features((grey - mean) / deviation)
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


def turned(upright: Tensor, turns: Sequence[int] = range(TURNS)) -> tuple[Tensor, Tensor]:
    """Crops (n, h, w) in each of some ``turns``, and how many quarters clockwise each was turned."""
    shown = [torch.rot90(upright, -quarters, (1, 2)) for quarters in turns]
    return torch.cat(shown), torch.tensor(list(turns)).repeat_interleave(len(upright))
