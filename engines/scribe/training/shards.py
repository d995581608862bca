"""Reading shards for training: memory-mapped windows, drawn at random; new shards are picked up while training runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.scribe.recogniser.alphabet import encode
from engines.scribe.windows import WIDTH

NARROW = WIDTH // 2
_ROOM = 4
_SHORT_IN_WIDE = 0.25
"""Share of the windows that would fit the narrow form and are shown in the wide one all the same."""


@dataclass(frozen=True, slots=True)
class Batch:
    """``pixels`` uint8 (n, 32, 128 or 256); ``targets`` int64, all texts' classes in a row; ``lengths`` (n,);
    ``folded`` bool (n,)."""

    pixels: Tensor
    targets: Tensor
    lengths: Tensor
    folded: Tensor


class Shard:
    """One shard's windows, texts and kinds."""

    def __init__(self, path: Path) -> None:
        self.windows: NDArray[np.uint8] = np.load(path.with_suffix(".npy"), mmap_mode="r")
        notes = [json.loads(row) for row in path.read_text().splitlines()]
        self.texts: list[str] = [note["text"] for note in notes]
        self.kinds: list[str] = [note["kind"] for note in notes]
        self.looks: list[str] = [note["look"] for note in notes]
        self.classes = [encode(text) for text in self.texts]
        self.folded = np.array([kind == "real" for kind in self.kinds])
        tail = self.windows[:, :, NARROW - _ROOM :]
        self.narrow = (tail == tail[:, :, -1:]).all((1, 2))


class Pool:
    """The whole shards below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shards: dict[str, Shard] = {}
        self._narrow: NDArray[np.int64] = np.zeros((0, 2), np.int64)
        self._wide = self._narrow
        self.refresh()

    def __len__(self) -> int:
        return len(self._narrow) + len(self._wide)

    def refresh(self) -> int:
        """Take in shards that were finished since; the number of shards."""
        fresh = [path for path in sorted(self._folder.glob("*.jsonl")) if path.stem not in self._shards]
        for path in fresh:
            self._shards[path.stem] = Shard(path)
        if fresh:
            places = [
                (s, i, narrow) for s, shard in enumerate(self._shards.values()) for i, narrow in enumerate(shard.narrow)
            ]
            table = np.array(places, np.int64)
            self._narrow, self._wide = table[table[:, 2] == 1, :2], table[table[:, 2] == 0, :2]
            self._list = list(self._shards.values())
        return len(self._shards)

    def narrow_share(self) -> float:
        """Share of the windows to be shown in the narrow form."""
        return (1 - _SHORT_IN_WIDE) * len(self._narrow) / max(1, len(self))

    def draw(self, rng: np.random.Generator, count: int, narrow: bool) -> list[tuple[Shard, int]]:
        """``count`` windows at random."""
        if narrow:
            table = self._narrow[rng.integers(len(self._narrow), size=count)]
        else:
            short = int(
                rng.binomial(
                    count,
                    _SHORT_IN_WIDE * len(self._narrow) / max(1, _SHORT_IN_WIDE * len(self._narrow) + len(self._wide)),
                )
            )
            table = np.concatenate(
                [
                    self._narrow[rng.integers(len(self._narrow), size=short)],
                    self._wide[rng.integers(len(self._wide), size=count - short)],
                ]
            )
        return [(self._list[s], int(i)) for s, i in table]


def batch(rng: np.random.Generator, real: Pool, synthetic: Pool, size: int, real_share: float) -> Batch:
    """A batch of one width, with ``real_share`` of its windows real."""
    narrow = rng.random() < real_share * real.narrow_share() + (1 - real_share) * synthetic.narrow_share()
    of_real = round(size * real_share)
    return collate(
        real.draw(rng, of_real, narrow) + synthetic.draw(rng, size - of_real, narrow), NARROW if narrow else WIDTH
    )


def collate(drawn: list[tuple[Shard, int]], width: int) -> Batch:
    """Windows and their texts as tensors."""
    pixels = np.stack([shard.windows[i, :, :width] for shard, i in drawn])
    classes = [shard.classes[i] for shard, i in drawn]
    targets = torch.tensor([c for text in classes for c in text], dtype=torch.long)
    lengths = torch.tensor([len(text) for text in classes], dtype=torch.long)
    return Batch(
        torch.from_numpy(pixels), targets, lengths, torch.tensor([bool(shard.folded[i]) for shard, i in drawn])
    )
