"""Strips read as the engine reads them, with words and their confidences, by shipped weights or by a run's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.api import Word
from engines.scribe.recogniser.card import Card
from engines.scribe.recogniser.precision import Precision
from engines.scribe.recogniser.reader import Net, Recogniser, callable_graph
from engines.scribe.training.lab.crops import PAGES, Grey, Sample, cut, pad, page_samples
from engines.scribe.training.lab.problems import ExtraError, LabError
from engines.scribe.training.lab.record import folder_of
from engines.scribe.training.settings import SHARDS
from engines.scribe.windows import HEIGHT, STEP, Rails, Reading, Windows
from engines.scribe.wordinator import words
from engines.scribe.wordinator.buckets import START, Buckets

WEIGHTS = Path(__file__).parents[2] / "weights"
_APART = 4 * HEIGHT
"""Px between strips laid out as lines of one page: far enough not to be taken for one line."""
_TOGETHER = 256
"""Strips that are read at a time: the net's outputs of all would be gigabytes."""


@dataclass(frozen=True, slots=True)
class Read:
    """Strips as windows and what the net read in them; line i of the windows is strip i."""

    windows: Windows
    readings: list[Reading]

    def words(self, buckets: Buckets) -> list[list[Word]]:
        """The words of each strip."""
        found: list[list[Word]] = [[] for _ in self.windows.rails]
        lines, _ = words(self.windows, self.readings, buckets)
        for line in lines:
            for word in line.words:
                found[int(word.quad.top_left[1] // _APART)].append(word)
        return found


def recogniser(which: str = "") -> tuple[Recogniser, Buckets]:
    """The net of a run, of a folder of weights, or, for an empty name, the one that ships. Raises LabError."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    folder = Path(which) if which else WEIGHTS
    if (folder / "word.npz").exists():
        return Recogniser.load(folder), Buckets.load(folder)
    weights = folder_of(which) / "ema.pt"
    try:
        from engines.scribe.training.net import load
    except ImportError as error:
        raise ExtraError(error) from error
    if not weights.exists():
        raise LabError(f"the run {which} has no {weights.name} yet")
    state = load(weights).items()
    arrays = {name: np.asarray(value.numpy(), np.float32) for name, value in state if value.is_floating_point()}
    return Recogniser(Net(callable_graph(arrays, Precision.FLOAT32), 1.0), Card(which, 1.0)), START


def held_samples(names: Sequence[str], limit: int) -> list[Sample]:
    """Samples of the sets ``names``: held-back shards by their name, pages by theirs; ``limit`` windows of a shard or
    pages of a set at most. Raises LabError."""
    found: list[Sample] = []
    for name in names:
        if name in PAGES:
            found += page_samples(_pages() / name, limit)
        else:
            found += _shard_samples(SHARDS / "held" / f"{name}.jsonl", limit)
    return found


def read(net: Recogniser, strips: Sequence[Grey]) -> list[Read]:
    """What the net reads in ``strips``, some hundred at a time, in their order."""
    out = []
    for start in range(0, len(strips), _TOGETHER):
        windows = as_windows(strips[start : start + _TOGETHER])
        out.append(Read(windows, net.read(windows.pixels)))
    return out


def as_windows(strips: Sequence[Grey]) -> Windows:
    """Strips as the lines of a page on which each lies as it is, below the one before."""
    pixels: list[Grey] = []
    line, offset, width = [], [], []
    rails = []
    for number, strip in enumerate(strips):
        for start, end in cut(strip):
            pixels.append(pad(strip[:, start:end]))
            line.append(number)
            offset.append(start)
            width.append(end - start)
        x = np.arange(-(-strip.shape[1] // STEP) + 1, dtype=np.float32) * STEP
        top = np.stack([x, np.full_like(x, number * _APART)], axis=1)
        rails.append(Rails(top, top + np.array([0, HEIGHT], np.float32), strip.shape[1]))
    columns = (np.array(values, np.int32) for values in (line, offset, width))
    return Windows(np.stack(pixels), *columns, tuple(rails))


def _pages() -> Path:
    return Path(os.environ.get("CLOISTER_DATA", "../shared/data")) / "pages"


def _shard_samples(path: Path, limit: int) -> list[Sample]:
    if not path.exists():
        held = ", ".join(sorted(shard.stem for shard in path.parent.glob("*.jsonl"))) or "none"
        raise LabError(
            f"there is no held-back shard {path.stem} (there are: {held}) and no such set of pages"
            f" ({', '.join(PAGES)}); see the README of training"
        )
    try:
        from engines.scribe.training.shards import Shard
    except ImportError as error:
        raise ExtraError(error) from error
    shard = Shard(path)
    rows = list(zip(shard.windows, shard.texts, shard.kinds, shard.looks, shard.folded, strict=True))[:limit]
    return [
        Sample(_shown(window), text, path.stem, kind, look, bool(folded)) for window, text, kind, look, folded in rows
    ]


def _shown(window: Grey) -> Grey:
    """A window without its padding, as the detector would have cut it."""
    padding = (window == window[:, -1:]).all(0)
    shown = len(padding) - int(np.argmin(padding[::-1])) if not padding.all() else len(padding)
    return np.asarray(window[:, : max(8, shown)], np.uint8)
