"""Make the small net that ships, which looks before the large one: `python -m engines.scribe.training.cascade RUN`.

Writes small.npz (float16, PyTorch's names) beside the large net's weights, which must be there, and into word.json when
what the small one reads is enough: as often as the held-back windows lose no more than four in a thousand by it. For
the tests, small.npz beside golden.npz: PyTorch's logits for the left half of its windows."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

import numpy as np
import torch
from numpy.typing import NDArray

from engines.scribe.recogniser import ctc
from engines.scribe.recogniser.card import CARD_FILE, ENOUGH_KEY, LARGE_FILE, SMALL_FILE, Enough
from engines.scribe.recogniser.port import SMALL
from engines.scribe.training.evaluate import read
from engines.scribe.training.export import GOLDEN, WEIGHTS
from engines.scribe.training.net import WordNet, load, loaded, teacher
from engines.scribe.training.settings import RUNS, SHARDS
from engines.scribe.training.shards import NARROW, Shard
from engines.scribe.windows import Reading

_LOSS = 0.004
"""Share of the held-back windows whose right reading may be lost by what the small net reads, less those gained."""
_TEXTS = tuple(i / 20 for i in range(13, 20))
"""Least probabilities of a whole text that are tried: below, the small net left letters out of clear words of pages
("Mil" for "Mill"), which held-back windows have too few of to tell."""
_CHARACTER = 0.8
"""Least probability of a character that is believed: below, words of pages are dropped as noise of which the large net
is sure."""
_NOISE = 0.3
"""Where it gives no character so much it saw no text. Of pages, as held-back windows without text are few: of 2,636
windows of 135 pages in which it read so, the large net brought words that stayed in 17."""


def enough(small: list[Reading], large: list[bool], right: list[bool]) -> Enough:
    """When readings of the ``small`` net, which are ``right`` or not, may stand for those of the ``large`` one.

    The probabilities by which most windows need no second look, and no more than `_LOSS` are lost."""
    losses = [int(theirs) - int(mine) for theirs, mine in zip(large, right, strict=True)]
    found = []
    for text in _TEXTS:
        sure = [
            (least, loss)
            for mine, loss in zip(small, losses, strict=True)
            if mine.text and mine.confidence >= text and (least := float(mine.probabilities.min())) >= _CHARACTER
        ]
        character, taken = _least(sure, _LOSS * len(small))
        found.append((taken, text, character))
    _, text, character = max(found)
    return Enough(character, text, _NOISE)


def _least(windows: list[tuple[float, int]], most: float) -> tuple[float, int]:
    """The least probability down to which no more than ``most`` windows are lost, above 1 where the first few are; and
    how many windows that takes."""
    lost, bound, taken = 0, 1.01, 0
    for probability, loss in sorted(windows, reverse=True):
        lost += loss
        if lost > most:
            break
        bound, taken = probability, taken + 1
    return bound, taken


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--windows", type=int, default=3000, help="held-back windows of each kind to judge by")
    given = parser.parse_args()
    torch.set_num_threads(1)
    state = load(RUNS / given.run / "ema.pt", SMALL)
    arrays = {name: value.numpy().astype(np.float16) for name, value in state.items() if value.is_floating_point()}
    np.savez(WEIGHTS / SMALL_FILE, **arrays)  # type: ignore[arg-type]
    small = loaded(WEIGHTS / SMALL_FILE, SMALL)  # as rounded as they ship
    _write_golden(small)

    large = teacher(WEIGHTS / LARGE_FILE)
    language, device = ctc.language(), torch.device("cpu")
    readings: list[Reading] = []
    right: tuple[list[bool], list[bool]] = ([], [])
    for path in sorted((SHARDS / "held").glob("*.jsonl")):
        shard = Shard(path)
        by_small = read(small, shard, device, given.windows, language)
        readings += by_small
        for by_net, known in zip((by_small, read(large, shard, device, given.windows, language)), right, strict=True):
            known += [
                (reading.text.upper() if folded else reading.text) == text
                for reading, text, folded in zip(by_net, shard.texts, shard.folded, strict=False)
            ]
    chosen = enough(readings, right[1], right[0])
    card = json.loads((WEIGHTS / CARD_FILE).read_text())
    card[ENOUGH_KEY] = {name: round(value, 4) for name, value in asdict(chosen).items()}
    (WEIGHTS / CARD_FILE).write_text(json.dumps(card, ensure_ascii=False, indent=1) + "\n")
    taken = sum(chosen.settled(reading) is not None for reading in readings)
    print(f"{card[ENOUGH_KEY]}: {taken / len(readings):.4f} of {len(readings)} windows need no second look")


@torch.no_grad()
def _write_golden(net: WordNet) -> None:
    with np.load(GOLDEN) as file:
        windows: NDArray[np.uint8] = file["windows"][:, :, :NARROW].copy()
    np.savez_compressed(GOLDEN.with_name(SMALL_FILE), logits=net(torch.from_numpy(windows)).numpy())


if __name__ == "__main__":
    main()
