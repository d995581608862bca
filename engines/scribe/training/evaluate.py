"""How well a net reads held-back windows: `python -m engines.scribe.training.evaluate RUN`."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from engines.scribe.recogniser import ctc
from engines.scribe.recogniser.decode import decoded
from engines.scribe.recogniser.port import COLUMNS, LARGE, SMALL
from engines.scribe.training.net import loaded
from engines.scribe.training.settings import RUNS, SHARDS
from engines.scribe.training.shards import Shard
from engines.scribe.windows import Reading


@dataclass(frozen=True, slots=True)
class Score:
    """Shares of whole windows and of words read right, character error rate; ``by``: windows right by kind and by
    look."""

    windows: float
    words: float
    cer: float
    by: dict[str, float]


def distance(a: str, b: str) -> int:
    """Levenshtein's."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a):
        last, row[0] = row[0], i + 1
        for j, right in enumerate(b):
            last, row[j + 1] = row[j + 1], min(row[j + 1] + 1, row[j] + 1, last + (left != right))
    return row[-1]


@torch.no_grad()
def read(
    net: nn.Module, shard: Shard, device: torch.device, most: int, language: ctc.Language | None = None
) -> list[Reading]:
    """Readings of the first ``most`` windows of ``shard``, with the ``language``'s say where one is given."""
    net.eval()
    readings = []
    for i in range(0, min(most, len(shard.texts)), 64):
        logits = net(torch.from_numpy(shard.windows[i : min(i + 64, most)].copy()).to(device))
        readings += decoded(logits.cpu().numpy(), COLUMNS, language=language)
    return readings


def score_shard(net: nn.Module, shard: Shard, device: torch.device, most: int = 1500) -> Score:
    """Score ``shard``; case is folded where its truth does not know the case."""
    readings = read(net, shard, device, most)
    right = words = hits = errors = characters = 0
    kinds: Counter[str] = Counter()
    kinds_right: Counter[str] = Counter()
    for reading, truth, kind, look, folded in zip(
        readings, shard.texts, shard.kinds, shard.looks, shard.folded, strict=False
    ):
        text = reading.text.upper() if folded else reading.text
        good = text == truth
        right += good
        for name in (f"kind {kind}", f"look {look}"):  # some names are both
            kinds[name] += 1
            kinds_right[name] += good
        wanted, found = Counter(truth.split()), Counter(text.split())
        words += wanted.total()
        hits += (wanted & found).total()
        errors += distance(text, truth)
        characters += len(truth)
    by = {name: round(kinds_right[name] / count, 4) for name, count in sorted(kinds.items())}
    return Score(
        round(right / max(1, len(readings)), 4),
        round(hits / max(1, words), 4),
        round(errors / max(1, characters), 4),
        by,
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--small", action="store_true", help="RUN's net is a small one")
    given = parser.parse_args()
    net = loaded(RUNS / given.run / "ema.pt", SMALL if given.small else LARGE)
    for path in sorted(Path(SHARDS / "held").glob("*.jsonl")):
        print(path.stem, json.dumps(asdict(score_shard(net, Shard(path), torch.device("cpu"), 100_000))))


if __name__ == "__main__":
    main()
