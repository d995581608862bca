"""Train the Word Deep Net: `python -m engines.scribe.training.train RUN [--steps N]`; run again, it goes on from its
checkpoint.

A run's folder, runs/RUN, holds settings.json, log.jsonl (curves and evaluations), checkpoint.pt (net, EMA, optimiser,
step) and ema.pt (what `export` takes). Batches depend on the seed, the step and the shards there at that step, which
the log counts."""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from engines.scribe.recogniser.port import LARGE, SMALL
from engines.scribe.training.evaluate import score_shard
from engines.scribe.training.lab.recipe import recipe
from engines.scribe.training.lab.recorder import Recorder
from engines.scribe.training.loss import FoldingCtc, imitation
from engines.scribe.training.net import WordNet, load, teacher
from engines.scribe.training.schedule import follow, rate
from engines.scribe.training.settings import RUNS, SHARDS, DataSettings, TrainSettings
from engines.scribe.training.shards import Pool, Shard, batch


def train(run: Path, settings: TrainSettings, start: Path | None, goal: str = "") -> None:
    """Train until ``settings.steps``, from the run's checkpoint where there is one, else from the weights in
    ``start`` if given; ``goal`` is for the notebook."""
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    layout = SMALL if settings.small else LARGE
    net = WordNet(layout).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if start is not None:
        net.load_state_dict(load(start, layout))
    tutor = teacher(Path(settings.teacher)).to(device) if settings.teacher else None
    ema = copy.deepcopy(net).eval()
    decayed = [p for p in net.parameters() if p.dim() > 1]
    plain = [p for p in net.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=settings.peak_rate)
    loss_of = FoldingCtc()
    step = 0
    run.mkdir(parents=True, exist_ok=True)
    checkpoint = run / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        net.load_state_dict(state["net"])
        ema.load_state_dict(state["ema"])
        optimiser.load_state_dict(state["optimiser"])
        step = state["step"]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    record = {
        "train": asdict(settings),
        "data": asdict(DataSettings()),
        "commit": commit,
        "from_step": step,
        "start": str(start),
        "at": time.strftime("%F %T"),
        "goal": goal,
        "recipe": recipe(asdict(DataSettings()), Path(__file__).with_name("data.py"), SHARDS),
    }
    with (run / "settings.jsonl").open("a") as file:
        file.write(json.dumps(record) + "\n")
    recorder = Recorder(run)
    real, synthetic = Pool(SHARDS / "real"), Pool(SHARDS / "synthetic")
    held = {path.stem: Shard(path) for path in sorted((SHARDS / "held").glob("*.jsonl"))}

    def log(entry: dict[str, object]) -> None:
        with (run / "log.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")
        print(json.dumps(entry), flush=True)
        recorder.update()

    def save() -> None:
        state = {"net": net.state_dict(), "ema": ema.state_dict(), "optimiser": optimiser.state_dict(), "step": step}
        torch.save(state, run / "partial")
        (run / "partial").rename(checkpoint)
        torch.save(ema.state_dict(), run / "partial")
        (run / "partial").rename(run / "ema.pt")

    if not step:
        save()
    net.train()
    total, since = 0.0, time.monotonic()
    while step < settings.steps:
        for group in optimiser.param_groups:
            group["lr"] = rate(settings.peak_rate, settings.warmup, settings.steps, step)
        torch.manual_seed(settings.seed * 1_000_003 + step)
        drawn = batch(
            np.random.default_rng([settings.seed, step]), real, synthetic, settings.batch, settings.real_share
        )
        pixels = drawn.pixels.to(device)
        logits = net(pixels)
        if tutor is None:
            loss = loss_of(logits.cpu(), drawn.targets, drawn.lengths, drawn.folded)
        else:
            with torch.no_grad():
                wanted = tutor(pixels)
            loss = imitation(logits, wanted)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), settings.clip)
        optimiser.step()
        follow(ema, net, min(settings.ema, (1 + step) / (20 + step)))
        step += 1
        total += float(loss.detach())
        if step % 50 == 0:
            figures = {
                "loss": round(total / 50, 4),
                "rate": rate(settings.peak_rate, settings.warmup, settings.steps, step),
            }
            seconds = round(time.monotonic() - since, 1)
            log({"step": step, **figures, "seconds": seconds, "real": len(real), "synthetic": len(synthetic)})
            total, since = 0.0, time.monotonic()
        if step % settings.checkpoint_every == 0 or step == settings.steps:
            real.refresh()
            synthetic.refresh()
            save()
        if step % settings.evaluate_every == 0 or step == settings.steps:
            log({"step": step, **{name: asdict(score_shard(ema, shard, device)) for name, shard in held.items()}})
    recorder.finish()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--steps", type=int, default=TrainSettings().steps)
    parser.add_argument("--peak-rate", type=float, default=TrainSettings().peak_rate)
    parser.add_argument("--real-share", type=float, default=TrainSettings().real_share)
    parser.add_argument("--warmup", type=int, default=TrainSettings().warmup)
    parser.add_argument("--start", type=Path, help="weights to begin from: a run's ema.pt, or word.npz")
    parser.add_argument("--small", action="store_true", help="train the small net, that looks before the large one")
    parser.add_argument("--teacher", default="", help="weights of the large net, to train on its readings")
    parser.add_argument("--goal", default="", help="what the run is for, in a sentence: goes into the lab notebook")
    given = parser.parse_args()
    settings = replace(
        TrainSettings(),
        steps=given.steps,
        peak_rate=given.peak_rate,
        real_share=given.real_share,
        warmup=given.warmup,
        small=given.small,
        teacher=given.teacher,
    )
    train(RUNS / given.run, settings, given.start, given.goal)


if __name__ == "__main__":
    main()
