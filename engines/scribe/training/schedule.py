"""What the training of every net here shares: the learning rate's course, and averaged weights."""

from __future__ import annotations

import math

import torch
from torch import nn


def rate(peak: float, warmup: int, steps: int, step: int) -> float:
    """Learning rate at ``step`` of ``steps``: linear warm-up, then half a cosine down to a hundredth of the peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


@torch.no_grad()
def follow(ema: nn.Module, net: nn.Module, decay: float) -> None:
    """Move the averaged weights (and BatchNorm's statistics) towards the net's."""
    for mean, now in zip(ema.state_dict().values(), net.state_dict().values(), strict=True):
        if mean.dtype.is_floating_point:
            mean.lerp_(now, 1 - decay)
        else:
            mean.copy_(now)
