"""Find the case that real lines show, whose truth is all capitals: `python -m engines.scribe.training.case RUN`.

Folding case inside the loss lets a net settle on any mixture of cases in the real lines' look, and what a net was
taught of their case it reads there again. So RUN's net, the judge, must have seen made lines alone, whose case is
known: the truth is aligned with what it sees, case folded, and where each letter stands it tells which of its two cases
is likelier. A word's letters after the first share one case. Writes runs/RUN/cases.jsonl: name, text, cased; lines of
which the judge is not sure stay folded.
"""

from __future__ import annotations

import argparse
import json
import re
from multiprocessing import Pool as Processes
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from engines.scribe.recogniser.alphabet import case_pairs, encode
from engines.scribe.recogniser.port import LARGE, SMALL
from engines.scribe.training.align import forced
from engines.scribe.training.loss import fold
from engines.scribe.training.net import WordNet, loaded
from engines.scribe.training.real import RealLine, lines, plain
from engines.scribe.training.settings import RUNS

_PLAIN = -1.0
"""Log-probability of the truth, for each character, from which the judge sees the line well enough to judge it."""
_SURE = 3.0
"""Log-odds between the two cases from which the judge is believed: of a word's first letter, of all its others
together, and of each letter beside a digit."""
_LETTERS = re.compile(r"[^\W\d_]+")
_OTHER = dict(case_pairs())
"""The class of each capital's small letter."""


def judged(scores: NDArray[np.float32], text: str) -> str | None:
    """``text`` (capitals) in the case that a net sees; None where it does not see the text plainly, or wavers between
    the cases. ``scores``: its log-probabilities (steps, classes)."""
    classes = encode(text)
    total, steps = forced(fold(torch.from_numpy(scores)).numpy(), classes)
    if total < _PLAIN * len(text) or (steps < 0).any():
        return None
    odds = np.array(
        [
            scores[step, _OTHER[c]] - scores[step, c] if c in _OTHER else np.nan
            for step, c in zip(steps, classes, strict=True)
        ]
    )
    for run in _LETTERS.finditer(text):
        first, end = run.span()
        numbered = text[first - 1 : first].isdigit() or text[end : end + 1].isdigit()
        if numbered or end - first == 1:  # a number's unit, or a code, mixes cases as it likes
            continue
        odds[first + 1 : end] = np.nansum(odds[first + 1 : end])
        if odds[first] > 0 > odds[end - 1]:
            return None
    if np.nanmin(np.abs(odds), initial=np.inf) < _SURE:
        return None
    return "".join(c.lower() if its > 0 else c for c, its in zip(text, odds, strict=True))


def _told(lines: list[RealLine]) -> list[dict[str, str]]:
    """Name, text and the text in its case, of those of ``lines`` whose case is told."""
    windows = [plain(line) for line in lines]
    found = [(line, window) for line, window in zip(lines, windows, strict=True) if window is not None]
    if not found:
        return []
    with torch.no_grad():
        scores = _judge(torch.from_numpy(np.stack([window for _, window in found]))).log_softmax(-1).numpy()
    verdicts = [(line, judged(its, line.text)) for (line, _), its in zip(found, scores, strict=True)]
    return [{"name": line.name, "text": line.text, "cased": shown} for line, shown in verdicts if shown is not None]


_judge = WordNet()


def _begin(weights: Path, small: bool) -> None:
    global _judge  # noqa: PLW0603 - one for each process
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    _judge = loaded(weights, SMALL if small else LARGE)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--small", action="store_true", help="RUN's net is a small one")
    parser.add_argument("--cuts", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    free = [line for line in lines(given.cuts) if not line.held]
    told = 0
    with (
        (RUNS / given.run / "cases.jsonl").open("w") as file,
        Processes(given.processes, _begin, (RUNS / given.run / "ema.pt", given.small)) as processes,
    ):
        for rows in processes.imap(_told, [free[at : at + 32] for at in range(0, len(free), 32)]):
            told += len(rows)
            file.writelines(json.dumps(row) + "\n" for row in rows)
    print(f"{told} of {len(free)} lines")


if __name__ == "__main__":
    main()
