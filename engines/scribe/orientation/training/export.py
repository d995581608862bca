"""Ship a run's weights: `python -m engines.scribe.orientation.training.export RUN --version 1.0`.

Writes turn.npz (float16: half the size, and no page is told differently for it) and turn.json with the temperature
that makes the pooled probabilities of held-back pages true, found on those pages in all four turns.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engines.scribe.orientation.port import TURNS
from engines.scribe.orientation.training.data import FOLDER
from engines.scribe.orientation.training.net import TurnNet
from engines.scribe.orientation.votes import BATCH, pooled, said
from engines.scribe.training.settings import RUNS

OUT = Path(__file__).parents[1] / "weights"
GOLDEN = Path("tests/engines/scribe/orientation/golden.npz")


@torch.no_grad()
def page_evidence(net: TurnNet) -> list[list[NDArray[np.float64]]]:
    """What the first `BATCH` crops of each held-back page say, in each of its turns."""
    crops = np.load(FOLDER / "held.npy")
    counts = json.loads((FOLDER / "held.json").read_text())
    pages = [page[:BATCH] for page in np.split(crops, np.cumsum(counts)[:-1]) if len(page)]
    return [
        [said(net(torch.from_numpy(np.rot90(page, -quarters, (1, 2)).copy())).numpy()).sum(axis=0) for page in pages]
        for quarters in range(TURNS)
    ]


def temperature(evidence: list[list[NDArray[np.float64]]]) -> float:
    """That with the least log-loss, every turn being as likely as the next but for the prior of `pooled`."""

    def loss(divisor: float) -> float:
        return -float(
            np.mean([np.log(pooled(page, divisor)[turn] + 1e-12) for turn in range(TURNS) for page in evidence[turn]])
        )

    return float(min(np.geomspace(0.5, 20, 60), key=loss))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--version", required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    net = TurnNet().eval()
    net.load_state_dict(torch.load(RUNS / f"orientation-{given.run}" / "ema.pt", weights_only=True))
    net.load_state_dict({name: value.half().to(value.dtype) for name, value in net.state_dict().items()})
    OUT.mkdir(parents=True, exist_ok=True)
    weights = {name: value.numpy().astype(np.float16) for name, value in net.state_dict().items() if value.dim()}
    np.savez_compressed(OUT / "turn.npz", **weights)
    evidence = page_evidence(net)
    divisor = temperature(evidence)
    right = [int(np.argmax(pooled(page, divisor))) == turn for turn in range(TURNS) for page in evidence[turn]]
    card = {"version": given.version, "temperature": round(divisor, 3)}
    (OUT / "turn.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    crops = np.load(FOLDER / "held.npy", mmap_mode="r")[:12].copy()
    with torch.no_grad():
        logits = net(torch.from_numpy(crops)).numpy()
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(GOLDEN, crops=crops, logits=logits)
    print(f"temperature {divisor:.3f}, {np.mean(right):.4f} of {len(right)} held-back pages in all turns right")


if __name__ == "__main__":
    main()
