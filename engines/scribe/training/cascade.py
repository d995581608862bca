"""Make the small net that ships, which looks before the large one: `python -m engines.scribe.training.cascade RUN`.

Writes small.npz (float16, PyTorch's names) beside the large net's weights, which must be there, and into word.json when
what the small one reads is enough: as often as the held-back windows lose no more than one in a thousand by it. For the
tests, small.npz beside golden.npz: PyTorch's logits for the left half of its windows."""

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
from engines.scribe.training.net import WordNet, load, teacher
from engines.scribe.training.settings import RUNS, SHARDS
from engines.scribe.training.shards import NARROW, Shard
from engines.scribe.windows import Reading

_LOSS = 0.001
"""Share of the held-back windows whose right reading may be lost by not looking twice."""
_TEXTS = tuple(i / 20 for i in range(15))
"""Least probabilities of a whole text that are tried."""


def enough(small: list[Reading], large: list[Reading], right: list[bool], loss: float) -> Enough:
    """When readings of the ``small`` net may stand for those of the ``large`` one, which are ``right`` or not.

    The probabilities by which most windows need no second look, and no more than the share ``loss`` of all lose a right
    reading: half of them windows in which the small net sees text, half those in which it sees none."""
    most = loss / 2 * len(small)
    lost = [good and mine.text != other.text for mine, other, good in zip(small, large, right, strict=True)]
    empty = [(mine.confidence, loses) for mine, loses in zip(small, lost, strict=True) if not mine.text]
    found = []
    for text in _TEXTS:
        with_text = [
            (float(mine.probabilities.min()), loses)
            for mine, loses in zip(small, lost, strict=True)
            if mine.text and mine.confidence >= text
        ]
        character, taken = _least(with_text, most)
        found.append((taken, text, character))
    _, text, character = max(found)
    return Enough(character, text, _least(empty, most)[0])


def _least(windows: list[tuple[float, bool]], most: float) -> tuple[float, int]:
    """The least probability down to which no more than ``most`` windows are lost, above 1 where the first few are; and
    how many windows that takes."""
    lost, bound, taken = 0, 1.01, 0
    for probability, loses in sorted(windows, reverse=True):
        lost += loses
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
    small = WordNet(SMALL)
    small.load_state_dict(load(WEIGHTS / SMALL_FILE, SMALL))  # as rounded as they ship
    small.eval()
    _write_golden(small)

    large = teacher(WEIGHTS / LARGE_FILE)
    language, device = ctc.language(), torch.device("cpu")
    by_small: list[Reading] = []
    by_large: list[Reading] = []
    right: list[bool] = []
    for path in sorted((SHARDS / "held").glob("*.jsonl")):
        shard = Shard(path)
        by_small += read(small, shard, device, given.windows, language)
        of_large = read(large, shard, device, given.windows, language)
        by_large += of_large
        right += [
            (reading.text.upper() if folded else reading.text) == text
            for reading, text, folded in zip(of_large, shard.texts, shard.folded, strict=False)
        ]
    chosen = enough(by_small, by_large, right, _LOSS)
    card = json.loads((WEIGHTS / CARD_FILE).read_text())
    card[ENOUGH_KEY] = {name: round(value, 4) for name, value in asdict(chosen).items()}
    (WEIGHTS / CARD_FILE).write_text(json.dumps(card, ensure_ascii=False, indent=1) + "\n")
    taken = sum(map(chosen.holds, by_small))
    print(f"{card[ENOUGH_KEY]}: {taken / len(right):.4f} of {len(right)} windows need no second look")


@torch.no_grad()
def _write_golden(net: WordNet) -> None:
    with np.load(GOLDEN) as file:
        windows: NDArray[np.uint8] = file["windows"][:, :, :NARROW].copy()
    np.savez_compressed(GOLDEN.with_name(SMALL_FILE), logits=net(torch.from_numpy(windows)).numpy())


if __name__ == "__main__":
    main()
