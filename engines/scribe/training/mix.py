"""Weights between two runs': `python -m engines.scribe.training.mix OLD NEW SHARE RUN`.

A net that goes on from another's weights stays near them, and weights on the straight line between both read what they
were not trained on better than either end (Wortsman et al., "Robust fine-tuning of zero-shot models", 2022): what the
newer run forgot comes back, and most of what it learnt stays. Writes runs/RUN/ema.pt, which `export` and `train
--start` take."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from engines.scribe.recogniser.port import LARGE, Layout
from engines.scribe.training.net import load
from engines.scribe.training.settings import RUNS


def between(old: dict[str, Tensor], new: dict[str, Tensor], share: float, layout: Layout = LARGE) -> dict[str, Tensor]:
    """The states' weights, ``share`` of the way from ``old`` to ``new``.

    A residual convolution that adds nothing in ``old`` was never trained there: it is ``new``'s, and only what it adds
    is shared."""
    ours = dict(old)
    for i in layout.residual:
        if not old[f"features.{3 * i + 1}.weight"].any():
            for name in (f"{3 * i}.weight", f"{3 * i + 1}.running_mean", f"{3 * i + 1}.running_var"):
                ours[f"features.{name}"] = new[f"features.{name}"]
    return {
        name: torch.lerp(ours[name], value, share) if value.dtype.is_floating_point else value
        for name, value in new.items()
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path, help="word.npz, or a run's ema.pt")
    parser.add_argument("new", type=Path)
    parser.add_argument("share", type=float, help="of the way from OLD to NEW")
    parser.add_argument("run", help="the run whose ema.pt is written")
    given = parser.parse_args()
    (RUNS / given.run).mkdir(parents=True, exist_ok=True)
    torch.save(between(load(given.old), load(given.new), given.share), RUNS / given.run / "ema.pt")


if __name__ == "__main__":
    main()
