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
from engines.scribe.recogniser.batches import columns
from engines.scribe.windows import WIDTH

NARROW = WIDTH // 2
FORMS = np.arange(64, WIDTH + 1, 32)
"""Columns of the forms that batches are shown in, px: the reader's, half as many."""
_WIDER = 0.25
"""Share of the batches shown a form wider than they need, as windows are that are read together with longer ones."""
_EASY, _HOPELESS = 0.05, 2.5
"""A loss below which a window teaches nothing, and one for each character of its text above which nobody reads it."""
_SELDOM = 0.3
"""How often such windows are drawn, beside those that teach something."""


@dataclass(frozen=True, slots=True)
class Batch:
    """``pixels`` uint8 (n, 32, one of `FORMS`); ``targets`` int64, all texts' classes in a row; ``lengths`` (n,);
    ``folded`` bool (n,)."""

    pixels: Tensor
    targets: Tensor
    lengths: Tensor
    folded: Tensor


class Shard:
    """One shard's windows, texts and kinds, the form of `FORMS` that each needs, and its share of the draws."""

    def __init__(self, path: Path) -> None:
        self.windows: NDArray[np.uint8] = np.load(path.with_suffix(".npy"), mmap_mode="r")
        notes = [json.loads(row) for row in path.read_text().splitlines()]
        self.texts: list[str] = [note["text"] for note in notes]
        self.kinds: list[str] = [note["kind"] for note in notes]
        self.looks: list[str] = [note["look"] for note in notes]
        self.classes = [encode(text) for text in self.texts]
        self.folded = np.array([kind == "real" for kind in self.kinds])
        self.form = np.searchsorted(FORMS, columns(self.windows))
        self.share = np.ones(len(self.texts))
        losses = loss_file(path)
        if losses.exists():
            loss = np.load(losses).astype(np.float64)
            lengths = np.fromiter(map(len, self.texts), float)
            # What holds no text is read with ease until it is seen no more, and then words are seen in it.
            easy = (loss < _EASY) & (lengths > 0)
            self.share[easy | (loss > _HOPELESS * (lengths + 1))] = _SELDOM
            # A line's case is known where a net read it, so what is hard has none: it must not teach what to forget.
            if self.folded.any() and not self.folded.all():
                self.share[self.folded] *= self.share[~self.folded].mean() / self.share[self.folded].mean()


def loss_file(path: Path) -> Path:
    """Where `hard` keeps the losses of the shard at ``path``, float16 (n,)."""
    return path.with_suffix(".loss.npy")


class Pool:
    """The whole shards below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shards: dict[str, Shard] = {}
        self._places = [np.zeros((0, 2), np.int64) for _ in FORMS]
        self._shares = [np.zeros(0) for _ in FORMS]
        self.refresh()

    def __len__(self) -> int:
        return sum(map(len, self._places))

    def refresh(self) -> int:
        """Take in shards that were finished since; the number of shards."""
        fresh = [path for path in sorted(self._folder.glob("*.jsonl")) if path.stem not in self._shards]
        for path in fresh:
            self._shards[path.stem] = Shard(path)
        if fresh:
            self._list = list(self._shards.values())
            form = np.concatenate([shard.form for shard in self._list])
            share = np.concatenate([shard.share for shard in self._list])
            places = np.concatenate(
                [np.stack((np.full(len(shard.form), s), np.arange(len(shard.form))), 1)
                 for s, shard in enumerate(self._list)]
            )  # fmt: skip
            self._places = [places[form == f] for f in range(len(FORMS))]
            self._shares = [np.cumsum(share[form == f]) for f in range(len(FORMS))]
        return len(self._shards)

    def chances(self) -> NDArray[np.float64]:
        """How often each of `FORMS` is to be drawn, of sum 1; all 0 where there are no shards."""
        sums = np.array([shares[-1] if len(shares) else 0.0 for shares in self._shares])
        return sums / max(sums.sum(), 1e-9)

    def draw(self, rng: np.random.Generator, count: int, form: int) -> list[tuple[Shard, int]]:
        """``count`` windows at random of those that need ``form``, an index of `FORMS`; there must be one."""
        shares = self._shares[form]
        drawn = np.searchsorted(shares, rng.random(count) * shares[-1], side="right") if count else []
        return [(self._list[s], int(i)) for s, i in self._places[form][drawn]]


def batch(rng: np.random.Generator, real: Pool, synthetic: Pool, size: int, real_share: float) -> Batch:
    """A batch of windows that need the same form; over many, ``real_share`` of the windows are real."""
    of_real, of_synthetic = real_share * real.chances(), (1 - real_share) * synthetic.chances()
    both = of_real + of_synthetic
    form = int(np.searchsorted(np.cumsum(both / both.sum()), rng.random()).clip(0, len(FORMS) - 1))
    count = round(size * of_real[form] / both[form])
    drawn = real.draw(rng, count, form) + synthetic.draw(rng, size - count, form)
    shown = min(form + int(rng.random() < _WIDER), len(FORMS) - 1)
    return collate(drawn, int(FORMS[shown]))


def collate(drawn: list[tuple[Shard, int]], width: int) -> Batch:
    """Windows and their texts as tensors."""
    pixels = np.stack([shard.windows[i, :, :width] for shard, i in drawn])
    classes = [shard.classes[i] for shard, i in drawn]
    targets = torch.tensor([c for text in classes for c in text], dtype=torch.long)
    lengths = torch.tensor([len(text) for text in classes], dtype=torch.long)
    return Batch(
        torch.from_numpy(pixels), targets, lengths, torch.tensor([bool(shard.folded[i]) for shard, i in drawn])
    )
