"""Find the case that real lines show, whose truth is all capitals: `python -m engines.scribe.training.case RUN`.

Folding case inside the loss lets a net settle on any mixture of cases in the real lines' look. So where a trained net
reads a line rightly but for case, its columns say where each letter stands, and the letters' heights say the case:
small letters without ascenders are about 0.7 of a capital. A word's letters after the first share one case. Blur and
specks mislead heights (an eighth of the lines that they called capitals were not), so the net must read the same case.
Writes runs/RUN/cases.jsonl: name, text, cased; other lines stay folded.
"""

from __future__ import annotations

import argparse
import json
from functools import cache
from multiprocessing import Pool as Processes
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from engines.scribe.recogniser.decode import decoded
from engines.scribe.recogniser.port import COLUMNS
from engines.scribe.training.net import WordNet, teacher
from engines.scribe.training.real import RealLine, lines, plain
from engines.scribe.training.settings import RUNS

_TELLING = set("ACEGMNOPQRSUVWXYZ")
"""Letters whose small form has no ascender."""
_TALL = set("BDFHKLT0123456789")
"""Characters that are tall, small or large: they show what the others' height means."""
_SMALL = 0.84

_weights = Path()


def heights(window: NDArray[np.uint8], columns: NDArray[np.float32]) -> NDArray[np.float64]:
    """Height above the baseline of what stands at each of ``columns``, px; NaN where there is no ink."""
    pixels = window.astype(np.float64)
    ground, dark = np.median(pixels), np.percentile(pixels, 1)
    inked = pixels < ground - 0.42 * (ground - dark)
    gaps = np.diff(columns)
    before, after = np.concatenate([[12], gaps]), np.concatenate([gaps, [12]])
    tops, bottoms = np.full(len(columns), np.nan), np.full(len(columns), np.nan)
    for i, column in enumerate(columns):
        left = max(0, int(column - min(before[i] / 2, 7)))
        right = int(column + min(after[i] / 2, 7)) + 1
        rows = np.flatnonzero(inked[:, left:right].any(1))
        if not len(rows):
            continue
        runs = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
        run = max(runs, key=len)
        tops[i], bottoms[i] = run[0], run[-1] + 1
    return np.asarray(np.nanmedian(bottoms) - tops)


def cased(text: str, rises: NDArray[np.float64], read: str) -> str | None:
    """``text`` (capitals) in the case that the letters' heights show; None where they do not tell.

    A word's first letter is as tall small as large in half of the alphabet: then it has the case in which it was
    ``read``."""
    letters = np.array([c.isalnum() for c in text])
    known = rises[letters & ~np.isnan(rises)]
    if len(known) < 2:
        return None
    tall = np.percentile(known, 85)
    out = list(text)
    lower_line = [rises[i] < _SMALL * tall for i, c in enumerate(text) if c in _TELLING and not np.isnan(rises[i])]
    if not any(lower_line):
        # Letters of one height are capitals beside a tall character; alone they may as well be small ones.
        beside = any(c in _TALL and not np.isnan(rises[i]) for i, c in enumerate(text))
        return text if beside or not lower_line else None
    at = 0
    for word in text.split(" "):
        if not any(c.isdigit() for c in word):
            first = next((i for i, c in enumerate(word) if c.isalpha()), 0)
            small = [
                rises[at + i] < _SMALL * tall
                for i, c in enumerate(word)
                if c in _TELLING and i > first and not np.isnan(rises[at + i])
            ]
            share = np.mean(small) if small else float(np.mean(lower_line))
            if 0.3 < share < 0.7:
                return None
            if share >= 0.7:
                for i, c in enumerate(word):
                    if i > first:
                        out[at + i] = c.lower()
                initial = word[first] if first < len(word) else ""
                if initial in _TELLING and not np.isnan(rises[at + first]):
                    if rises[at + first] < _SMALL * tall:
                        out[at + first] = initial.lower()
                else:
                    out[at + first : at + first + 1] = read[at + first : at + first + 1]
        at += len(word) + 1
    return "".join(out)


def _told(lines: list[RealLine]) -> list[dict[str, str]]:
    """Name, text and the text in its case, of those of ``lines`` of which both heights and net tell the same."""
    windows = [plain(line) for line in lines]
    found = [(line, window) for line, window in zip(lines, windows, strict=True) if window is not None]
    if not found:
        return []
    with torch.no_grad():
        logits = _net()(torch.from_numpy(np.stack([window for _, window in found]))).numpy()
    return [
        {"name": line.name, "text": line.text, "cased": reading.text}
        for (line, window), reading in zip(found, decoded(logits, COLUMNS), strict=True)
        if reading.text.upper() == line.text
        and cased(line.text, heights(window, reading.columns), reading.text) == reading.text
    ]


@cache
def _net() -> WordNet:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    return teacher(_weights)


def _begin(weights: Path) -> None:
    global _weights  # noqa: PLW0603 - one for each process
    _weights = weights


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--cuts", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    free = [line for line in lines(given.cuts) if not line.held]
    told = 0
    with (
        (RUNS / given.run / "cases.jsonl").open("w") as file,
        Processes(given.processes, _begin, (RUNS / given.run / "ema.pt",)) as processes,
    ):
        for rows in processes.imap(_told, [free[at : at + 32] for at in range(0, len(free), 32)]):
            told += len(rows)
            file.writelines(json.dumps(row) + "\n" for row in rows)
    print(f"{told} of {len(free)} lines")


if __name__ == "__main__":
    main()
