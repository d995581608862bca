"""How hard the shards' windows are for a net: `python -m engines.scribe.training.hard WEIGHTS`.

Keeps each window's loss beside its shard. What the net reads with ease, and what nobody can read, training then draws
less often: two fifths of the windows teach a good net next to nothing."""

from __future__ import annotations

import argparse
from multiprocessing import Pool as Processes
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engines.scribe.training.loss import FoldingCtc
from engines.scribe.training.net import WordNet, teacher
from engines.scribe.training.settings import SHARDS
from engines.scribe.training.shards import FORMS, Shard, collate, loss_file

_TOGETHER = 64


@torch.no_grad()
def losses(net: WordNet, shard: Shard) -> NDArray[np.float32]:
    """CTC's loss of each window of ``shard``, float32 (n,)."""
    loss_of = FoldingCtc()
    found = np.zeros(len(shard.texts), np.float32)
    for form, width in enumerate(FORMS):
        of_form = np.flatnonzero(shard.form == form)
        for at in range(0, len(of_form), _TOGETHER):
            some = of_form[at : at + _TOGETHER]
            drawn = collate([(shard, int(i)) for i in some], int(width))
            found[some] = loss_of.each(net(drawn.pixels), drawn.targets, drawn.lengths, drawn.folded).numpy()
    return found


def _score(given: tuple[Path, Path]) -> str:
    weights, path = given
    torch.set_num_threads(1)
    found = losses(teacher(weights), Shard(path))
    np.save(loss_file(path), found.clip(0, 60_000).astype(np.float16))
    return f"{path.parent.name} {path.stem}: loss {np.median(found):.3f} at the median, {found.mean():.3f} on average"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, help="word.npz, or a run's ema.pt")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    paths = [path for kind in ("synthetic", "real") for path in sorted((SHARDS / kind).glob("*.jsonl"))]
    with Processes(given.processes) as processes:
        todo = [(given.weights, path) for path in paths if not loss_file(path).exists()]
        for line in processes.imap_unordered(_score, todo):
            print(line, flush=True)


if __name__ == "__main__":
    main()
