"""Crops of made pages on disk: `python -m engines.scribe.orientation.training.data --pages 2400`.

A shard is `<name>.npy`, uint8 (n, SIDE, SIDE), all upright, and `<name>.json` with the number of crops of each of its
pages, written last. Page i depends on the seed, i, the fonts installed and the real lines there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.scribe.orientation.crops import crops
from engines.scribe.orientation.training.pages import PageMaker
from engines.scribe.orientation.training.writing import RealLines
from engines.scribe.training import fonts
from engines.scribe.training.corpus import Corpus
from engines.scribe.training.settings import RUNS, SHARDS

SEED = 61
FOLDER = RUNS / "orientation"
PAGES = 200
"""Pages of a shard."""
CROPS = 24
"""Crops kept of a page at most: more of one page teach little."""
HELD_PAGES = 400


def maker(*, held: bool) -> PageMaker:
    """What makes pages, from the pools, fonts and real lines that the Word Deep Net's training made."""
    files = [SHARDS / "held" / "real.npy"] if held else sorted((SHARDS / "real").glob("*.npy"))
    lines = RealLines(files) if files and files[0].exists() else None
    return PageMaker(Corpus(RUNS / "pools.json"), fonts.load(RUNS / "fonts.json"), lines, held=held)


def write(path: Path, makes: PageMaker, seed: tuple[int, ...], first: int, count: int) -> None:
    """Write one shard of the pages ``first`` to ``first + count``."""
    kept: list[NDArray[np.uint8]] = []
    for number in range(first, first + count):
        page = makes.make(np.random.default_rng([*seed, number]))
        kept.append(crops(page.grey, CROPS))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path.with_suffix(".npy"), np.concatenate(kept))
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps([len(page) for page in kept]))
    partial.rename(path.with_suffix(".json"))
    print(path, sum(len(page) for page in kept), flush=True)


def main() -> None:
    """The command line. Shards that are there already are left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=2400)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    if not (FOLDER / "held.json").exists():
        write(FOLDER / "held", maker(held=True), (SEED, 1), 0, HELD_PAGES)
    makes = maker(held=False)
    for first in range(0, given.pages, PAGES):
        path = FOLDER / f"{first // PAGES:03}"
        if not path.with_suffix(".json").exists():
            write(path, makes, (SEED, 0), first, PAGES)


if __name__ == "__main__":
    main()
