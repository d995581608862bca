"""Cut long real lines into windows with a trained net, and find lines whose truth is wrong: `python -m
engines.scribe.training.align RUN`.

The net, being convolutional and recurrent, reads a line of any length. CTC's best path for the known text (forced
alignment) tells where each character stands; cuts go through spaces. A line is called wrong when the net is sure of
another text (spaces apart) and the known one is very improbable: both sides, so that merely hard lines stay. Writes
runs/RUN/cuts.jsonl for `data real --cuts`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from engines.scribe.recogniser.alphabet import BLANK, encode
from engines.scribe.recogniser.decode import decoded
from engines.scribe.recogniser.port import COLUMNS
from engines.scribe.training.loss import fold
from engines.scribe.training.net import loaded
from engines.scribe.training.real import RealLine, lines
from engines.scribe.training.settings import RUNS
from engines.scribe.windows import HEIGHT, WIDTH

_LONGEST = 1200
_FIT = WIDTH - 6
_SURE = 0.5
"""Greedy confidence from which the net may call a truth wrong; path probabilities are far too modest before
calibration."""
_IMPROBABLE = -9.0
"""Log-probability of the truth, less that of the net's own text, below which it is wrong."""


def forced(scores: NDArray[np.float32], classes: list[int]) -> tuple[float, NDArray[np.intp]]:
    """Log-probability of the best path that spells ``classes``, and the middle step of each character on it.

    ``scores``: log-probabilities (steps, classes). Viterbi over blanks and characters in turn; -inf when the text is
    too long."""
    states = np.full(2 * len(classes) + 1, BLANK)
    states[1::2] = classes
    emitted = scores[:, states]
    skip = np.zeros(len(states), bool)
    skip[3::2] = states[3::2] != states[1:-2:2]
    best = np.full(len(states), -np.inf, np.float32)
    best[:2] = emitted[0, :2]
    back = np.zeros((len(scores), len(states)), np.int8)
    for t in range(1, len(scores)):
        stay = best
        one = np.concatenate([[-np.inf], best[:-1]])
        two = np.where(skip, np.concatenate([[-np.inf, -np.inf], best[:-2]]), -np.inf)
        choices = np.stack([stay, one, two])
        back[t] = choices.argmax(0)
        best = choices.max(0) + emitted[t]
    state = len(states) - 1 if best[-1] >= best[-2] else len(states) - 2
    total = float(best[state])
    path = np.empty(len(scores), np.intp)
    for t in range(len(scores) - 1, -1, -1):
        path[t] = state
        state -= int(back[t, state])
    middles = np.array(
        [np.flatnonzero(path == 2 * i + 1).mean() if (path == 2 * i + 1).any() else -1 for i in range(len(classes))]
    )
    return total, middles.astype(np.intp)


def pieces(line: RealLine, middles: NDArray[np.intp], width: int) -> list[tuple[float, float, str]]:
    """Cuts of a line at its spaces, (start, end, text) with start and end as shares of its width: once packed from
    the left, once from the right, so that every word is seen in two surroundings."""
    spaces = [i for i, c in enumerate(line.text) if c == " "]
    columns = np.asarray((middles + 0.5) * COLUMNS, np.float64)
    ink = np.asarray(cv2.resize(line.pixels, (width, HEIGHT), interpolation=cv2.INTER_AREA), np.float32).min(0)
    cuts = [0.0]
    for i in spaces:
        left, right = columns[i - 1], columns[i + 1]
        inner = ink[int(left) + 2 : max(int(right) - 1, int(left) + 3)]
        bright = np.flatnonzero(inner >= inner.max() - 12)
        cuts.append(float(int(left) + 2 + bright.mean()))
    cuts.append(float(width))
    words = line.text.split(" ")
    found: set[tuple[int, int]] = set()
    start = 0
    while start < len(words):
        end = start + 1
        while end < len(words) and cuts[end + 1] - cuts[start] <= _FIT:
            end += 1
        found.add((start, end))
        start = end
    end = len(words)
    while end > 0:
        start = end - 1
        while start > 0 and cuts[end] - cuts[start - 1] <= _FIT:
            start -= 1
        found.add((start, end))
        end = start
    return [
        (cuts[a] / width, cuts[b] / width, " ".join(words[a:b]))
        for a, b in sorted(found)
        if 8 <= cuts[b] - cuts[a] <= _FIT
    ]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--only-long", action="store_true", help="leave lines that fit a window unchecked")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    net = loaded(RUNS / given.run / "ema.pt")
    found = [line for line in lines() if not line.held]
    widths = [
        max(16, COLUMNS * round(line.pixels.shape[1] * HEIGHT / line.pixels.shape[0] / COLUMNS)) for line in found
    ]
    order = [i for i in np.argsort(widths) if widths[i] <= _LONGEST and (widths[i] > WIDTH or not given.only_long)]
    out = Path(RUNS / given.run / "cuts.partial")
    wrong = cut = 0
    with out.open("w") as file, torch.no_grad():
        for at in range(0, len(order), 16):
            some = order[at : at + 16]
            widest = max(widths[i] for i in some)
            batch = np.empty((len(some), HEIGHT, widest), np.uint8)
            for row, i in enumerate(some):
                window = np.asarray(
                    cv2.resize(found[i].pixels, (widths[i], HEIGHT), interpolation=cv2.INTER_AREA), np.uint8
                )
                batch[row] = np.uint8(np.median(window))
                batch[row, :, : widths[i]] = window
            logits = net(torch.from_numpy(batch))
            readings = decoded(logits.numpy(), COLUMNS)
            scores = fold(logits.log_softmax(-1)).numpy()
            for row, i in enumerate(some):
                line = found[i]
                total, middles = forced(scores[row], encode(line.text))
                read = " ".join(readings[row].text.upper().split())
                own, _ = forced(scores[row], encode(read)) if read else (float(scores[row][:, BLANK].sum()), None)
                if (
                    total - own < _IMPROBABLE - 0.15 * len(line.text)
                    and own > np.log(_SURE) - 0.1 * len(read)
                    and read.replace(" ", "") != line.text.replace(" ", "")
                ):
                    wrong += 1
                    file.write(json.dumps({"name": line.name, "text": None, "read": read, "truth": line.text}) + "\n")
                elif widths[i] > WIDTH and total / max(1, len(line.text)) > -0.5 and (middles >= 0).all():
                    for start, end, text in pieces(line, middles, widths[i]):
                        cut += 1
                        file.write(
                            json.dumps(
                                {"name": line.name, "start": round(start, 5), "end": round(end, 5), "text": text}
                            )
                            + "\n"
                        )
    out.rename(RUNS / given.run / "cuts.jsonl")
    print(f"{len(order)} lines aligned: {wrong} wrong, {cut} pieces")


if __name__ == "__main__":
    main()
