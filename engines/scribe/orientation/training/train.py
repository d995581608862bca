"""Train the orientation net: `python -m engines.scribe.orientation.training.train RUN [--steps N]`.

Run again, it goes on from its checkpoint. A run's folder, runs/orientation-RUN, holds settings.jsonl, log.jsonl (curves
and scores on held-back pages), checkpoint.pt and ema.pt (what `export` takes). Batches depend on the seed, the step and
the shards there at that step, which the log counts.
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from engines.scribe.orientation.training.data import FOLDER
from engines.scribe.orientation.training.net import TurnNet, turned
from engines.scribe.training.lab.recipe import recipe
from engines.scribe.training.lab.recorder import Recorder
from engines.scribe.training.schedule import follow, rate
from engines.scribe.training.settings import RUNS


@dataclass(frozen=True, slots=True)
class Settings:
    """How the net is trained."""

    seed: int = 5
    batch: int = 96
    """Upright crops of a batch; the net sees each in two turns that are each other's opposite."""
    steps: int = 3600
    peak_rate: float = 3e-3
    warmup: int = 100
    weight_decay: float = 0.02
    ema: float = 0.997
    smoothing: float = 0.02
    inverted: float = 0.08
    """Share of crops shown white on black."""
    grainy: float = 0.3
    """Share of crops shown with more grain than they have."""
    stretch: float = 0.1
    """Deviation of how much crops are stretched, each way, and slanted, as faces that were not seen would be."""
    threads: int = 1
    evaluate_every: int = 400

    def grain(self, rng: np.random.Generator, contrast: float) -> float:
        """Deviation of the grain for a crop of this ``contrast``, in grey levels; most have none."""
        return contrast * float(rng.uniform(0, 0.8)) if rng.random() < self.grainy else 0.0


class Shards:
    """The whole shards of crops, memory-mapped; new ones are picked up by `refresh`."""

    def __init__(self) -> None:
        self._shards: dict[str, NDArray[np.uint8]] = {}
        self.refresh()

    def __len__(self) -> int:
        return len(self._shards)

    def refresh(self) -> None:
        for path in sorted(FOLDER.glob("[0-9]*.json")):
            if path.stem not in self._shards:
                self._shards[path.stem] = np.load(path.with_suffix(".npy"), mmap_mode="r")
        self._list = list(self._shards.values())
        sizes = np.array([len(shard) for shard in self._list], np.float64)
        self._shares = sizes / sizes.sum()

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.uint8]:
        which = rng.choice(len(self._list), count, p=self._shares)
        return np.stack([self._list[shard][rng.integers(len(self._list[shard]))] for shard in which])


def augmented(rng: np.random.Generator, crops: NDArray[np.uint8], settings: Settings) -> NDArray[np.uint8]:
    """Crops stretched and slanted, some grainy, some white on black; contrast needs nothing, the net takes it out."""
    out = np.empty_like(crops)
    middle = (crops.shape[1] - 1) / 2
    for i, crop in enumerate(crops):
        wide, tall, slant = rng.normal(0, settings.stretch, 3)
        matrix = np.array([[np.exp(wide), slant, 0], [0, np.exp(tall), 0]])
        matrix[:, 2] = middle - matrix[:, :2].sum(axis=1) * middle
        grain = settings.grain(rng, float(crop.std()))
        moved = np.asarray(cv2.warpAffine(crop, matrix, crop.shape, borderMode=cv2.BORDER_REPLICATE), np.float32)
        out[i] = np.clip(moved + rng.normal(0, 1, crop.shape) * grain if grain else moved, 0, 255)
    flip = rng.random(len(out)) < settings.inverted
    out[flip] = 255 - out[flip]
    return out


@torch.no_grad()
def score(net: nn.Module) -> dict[str, float]:
    """Shares right on held-back pages: of crops, and of pages by their crops' mean log-probability."""
    crops = torch.from_numpy(np.load(FOLDER / "held.npy"))
    counts = json.loads((FOLDER / "held.json").read_text())
    first = crops[:: max(1, len(crops) // 2000)]
    pixels, truth = turned(first)
    hits = torch.cat([net(part).argmax(1) for part in pixels.split(512)]) == truth
    logs = torch.cat([torch.log_softmax(net(part), 1) for part in crops.split(512)])
    pages = [part.clamp_min(-4).mean(0) for part in logs.split(counts) if len(part)]
    right = float(np.mean([int(page.argmax()) == 0 for page in pages]))
    return {"crops": round(float(hits.float().mean()), 4), "upright pages": round(right, 4)}


def train(run: Path, settings: Settings, goal: str = "") -> None:
    """Train until ``settings.steps``, from the run's checkpoint where there is one; ``goal`` is for the notebook."""
    torch.set_num_threads(settings.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(settings.seed)
    net = TurnNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ema = copy.deepcopy(net).eval()
    optimiser = torch.optim.AdamW(net.parameters(), lr=settings.peak_rate, weight_decay=settings.weight_decay)
    loss_of = nn.CrossEntropyLoss(label_smoothing=settings.smoothing)
    step = 0
    run.mkdir(parents=True, exist_ok=True)
    checkpoint = run / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        net.load_state_dict(state["net"])
        ema.load_state_dict(state["ema"])
        optimiser.load_state_dict(state["optimiser"])
        step = state["step"]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    record = {
        "train": asdict(settings),
        "commit": commit,
        "from_step": step,
        "at": time.strftime("%F %T"),
        "goal": goal,
        "recipe": recipe({}, Path(__file__).with_name("data.py"), FOLDER),
    }
    with (run / "settings.jsonl").open("a") as file:
        file.write(json.dumps(record) + "\n")
    recorder = Recorder(run)
    shards = Shards()
    total, since = 0.0, time.monotonic()
    net.train()
    while step < settings.steps:
        for group in optimiser.param_groups:
            group["lr"] = rate(settings.peak_rate, settings.warmup, settings.steps, step)
        rng = np.random.default_rng([settings.seed, step])
        upright = torch.from_numpy(augmented(rng, shards.draw(rng, settings.batch), settings))
        # Half of them upright and upside down, the other half on either side: every batch is even.
        shown = [turned(half, (axis, axis + 2)) for axis, half in enumerate(upright.chunk(2))]
        pixels, truth = torch.cat([crops for crops, _ in shown]), torch.cat([turns for _, turns in shown])
        loss = loss_of(net(pixels), truth)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        follow(ema, net, min(settings.ema, (1 + step) / (20 + step)))
        step += 1
        total += float(loss.detach())
        if step % settings.evaluate_every == 0 or step == settings.steps:
            seconds = round(time.monotonic() - since, 1)
            entry = {
                "step": step,
                "loss": round(total / ((step - 1) % settings.evaluate_every + 1), 4),
                "seconds": seconds,
                "shards": len(shards),
                **score(ema),
            }
            total, since = 0.0, time.monotonic()
            with (run / "log.jsonl").open("a") as file:
                file.write(json.dumps(entry) + "\n")
            print(json.dumps(entry), flush=True)
            recorder.update()
            shards.refresh()
            state = {"net": net.state_dict(), "ema": ema.state_dict(), "optimiser": optimiser.state_dict()}
            torch.save({**state, "step": step}, run / "partial")
            (run / "partial").rename(checkpoint)
            torch.save(ema.state_dict(), run / "ema.pt")
    recorder.finish()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--steps", type=int, default=Settings().steps)
    parser.add_argument("--peak-rate", type=float, default=Settings().peak_rate)
    parser.add_argument("--goal", default="", help="what the run is for, in a sentence: goes into the lab notebook")
    given = parser.parse_args()
    settings = replace(Settings(), steps=given.steps, peak_rate=given.peak_rate)
    train(RUNS / f"orientation-{given.run}", settings, given.goal)


if __name__ == "__main__":
    main()
