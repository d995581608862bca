"""Make the weights that ship: `python -m engines.scribe.training.export RUN`.

Writes word.npz (float32, PyTorch's names), word.json (version, alphabet, temperature) and, for the tests, golden.npz
(windows and PyTorch's logits for them). The temperature is fitted on the held-back windows so that confidence is the
share that is right."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engines.scribe.recogniser.alphabet import CHARACTERS
from engines.scribe.training.evaluate import read
from engines.scribe.training.net import WordNet, loaded
from engines.scribe.training.settings import RUNS, SHARDS
from engines.scribe.training.shards import NARROW, Shard
from engines.scribe.wordinator.buckets import KEY, START, Buckets

WEIGHTS = Path(__file__).parents[1] / "weights"
GOLDEN = Path("tests/engines/scribe/recogniser/golden.npz")


def temperature(confidences: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """The divisor of log-confidence that makes the log-likelihood of ``right`` greatest."""
    logs = np.log(np.clip(confidences, 1e-12, 1 - 1e-7))
    grid = np.exp(np.linspace(np.log(0.2), np.log(5), 120))

    def likelihood(divisor: float) -> float:
        p = np.clip(np.exp(logs / divisor), 1e-6, 1 - 1e-6)
        return float(np.where(right, np.log(p), np.log1p(-p)).sum())

    return float(max(grid, key=likelihood))


def calibration_error(confidences: NDArray[np.float64], right: NDArray[np.bool_], bins: int = 10) -> float:
    """Expected calibration error over ``bins`` of equal width."""
    place = np.minimum((confidences * bins).astype(int), bins - 1)
    gaps = [
        abs(float(confidences[place == b].mean() - right[place == b].mean())) * float((place == b).mean())
        for b in range(bins)
        if (place == b).any()
    ]
    return sum(gaps)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--version", required=True)
    parser.add_argument("--windows", type=int, default=3000, help="held-back windows of each kind for the calibration")
    given = parser.parse_args()
    torch.set_num_threads(1)
    net = loaded(RUNS / given.run / "ema.pt")
    confidences: list[float] = []
    right: list[bool] = []
    for path in sorted((SHARDS / "held").glob("*.jsonl")):
        shard = Shard(path)
        for reading, text, folded in zip(
            read(net, shard, torch.device("cpu"), given.windows), shard.texts, shard.folded, strict=False
        ):
            if text:
                confidences.append(reading.confidence)
                right.append((reading.text.upper() if folded else reading.text) == text)
    sure, hits = np.array(confidences), np.array(right)
    divisor = temperature(sure, hits)
    calibrated = sure ** (1 / divisor)
    WEIGHTS.mkdir(exist_ok=True)
    arrays = {
        name: value.numpy().astype(np.float32)
        for name, value in net.state_dict().items()
        if value.dtype.is_floating_point
    }
    np.savez(WEIGHTS / "word.npz", **arrays)  # type: ignore[arg-type]
    card = {"version": given.version, "alphabet": CHARACTERS, "temperature": round(divisor, 4)}
    # Where words are noise is likely to stay; how true their confidence is, is to be found again.
    buckets = Buckets.load(WEIGHTS) if (WEIGHTS / "word.json").exists() else START
    card[KEY] = replace(buckets, temperature=1.0).as_json()
    (WEIGHTS / "word.json").write_text(json.dumps(card, ensure_ascii=False, indent=1) + "\n")
    _write_golden(net)
    before, after = calibration_error(sure, hits), calibration_error(calibrated, hits)
    print(f"temperature {divisor:.3f}, right {hits.mean():.4f}, ECE {before:.4f} before, {after:.4f} after")


@torch.no_grad()
def _write_golden(net: WordNet) -> None:
    """What ``net`` makes of three windows, for the tests: always the same three, once held-back shards gave them."""
    if GOLDEN.exists():
        with np.load(GOLDEN) as file:
            windows = file["windows"]
    else:
        shard = Shard(SHARDS / "held" / "synthetic.jsonl")
        windows = np.stack([shard.windows[i] for i in range(3)])
    logits = net(torch.from_numpy(windows)).numpy()
    narrow = net(torch.from_numpy(windows[:, :, :NARROW].copy())).numpy()
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(GOLDEN, windows=windows, logits=logits, narrow=narrow)


if __name__ == "__main__":
    main()
