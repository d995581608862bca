"""How fast made windows come on one core, and how fast training on two takes them.

    python -m bench.training [--windows N] [--steps N]

Windows of every look are made as `engines.scribe.training.data` makes them; a training step is the large net's, of
forward, loss, backward and update, on those windows at their full width. ``cores``: how many cores must make windows
for two that train, if each window is to be seen once; shards are made ahead and seen several times, so less do. Needs
the training extra and its fonts.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator

import cv2
import numpy as np
import torch

from engines.scribe.recogniser.alphabet import encode
from engines.scribe.training import fonts
from engines.scribe.training.corpus import Corpus
from engines.scribe.training.loss import FoldingCtc
from engines.scribe.training.net import WordNet
from engines.scribe.training.settings import RUNS, DataSettings, TrainSettings
from engines.scribe.training.windows import Maker

_WARM = 200
"""Windows made before time counts: faces are opened, words looked up."""
_SEED = 99


def making(maker: Maker, windows: int) -> Iterator[tuple[str, float, list[tuple[np.ndarray, str]]]]:
    """Each look, windows a second on this core, and ``windows`` of them with their texts."""
    for look in DataSettings().looks:
        for i in range(_WARM):
            maker.make(np.random.default_rng([_SEED, 0, i]), look=look)
        start = time.process_time()
        made = [maker.make(np.random.default_rng([_SEED, 1, i]), look=look)[:2] for i in range(windows)]
        yield look, windows / (time.process_time() - start), made


def stepping(made: list[tuple[np.ndarray, str]], steps: int, settings: TrainSettings) -> float:
    """Windows a second that training with ``settings`` takes."""
    torch.set_num_threads(settings.threads)
    net, loss_of = WordNet().to(memory_format=torch.channels_last), FoldingCtc()
    optimiser = torch.optim.AdamW(net.parameters(), lr=settings.peak_rate)
    rng = np.random.default_rng(_SEED)
    start = 0.0
    for step in range(steps + 2):
        if step == 2:
            start = time.perf_counter()
        drawn = [made[i] for i in rng.integers(len(made), size=settings.batch)]
        targets = torch.tensor([c for _, text in drawn for c in encode(text)])
        lengths = torch.tensor([len(text) for _, text in drawn])
        logits = net(torch.from_numpy(np.stack([window for window, _ in drawn])))
        loss = loss_of(logits, targets, lengths, torch.zeros(len(drawn), dtype=torch.bool))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return steps * settings.batch / (time.perf_counter() - start)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=1000, help="of each look")
    parser.add_argument("--steps", type=int, default=20)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    maker = Maker(Corpus(RUNS / "pools.json"), fonts.load(RUNS / "fonts.json"), DataSettings())
    speeds: dict[str, float] = {}
    every: list[tuple[np.ndarray, str]] = []
    for look, speed, made in making(maker, given.windows):
        speeds[look] = speed
        every += made
    shares = DataSettings().looks
    together = sum(shares.values()) / sum(share / speeds[look] for look, share in shares.items())
    taken = stepping(every, given.steps, TrainSettings())
    figures = {"windows_per_second": {look: round(speed) for look, speed in speeds.items()}}
    print(
        json.dumps(
            figures | {"together": round(together), "training": round(taken), "cores": round(taken / together, 2)}
        )
    )


if __name__ == "__main__":
    main()
