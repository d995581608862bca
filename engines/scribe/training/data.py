"""Make shards of synthetic windows: `python -m engines.scribe.training.data synthetic --shards 40`, and of real lines.

A shard is `<name>.npy` uint8 (n, 32, 256), memory-mapped by the trainer, and `<name>.jsonl` with text, kind and look
of each window, written last: a shard whose .jsonl is there is whole. Window i of shard s depends only on (seed, s, i)
and the fonts installed."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from engines.scribe.training import fonts, real
from engines.scribe.training.corpus import Corpus
from engines.scribe.training.settings import RUNS, SHARDS, DataSettings
from engines.scribe.training.windows import Grey, Maker
from engines.scribe.windows import HEIGHT, WIDTH


def write(folder: Path, name: str, windows: list[Grey], notes: list[dict[str, str]]) -> None:
    """Write one shard whole."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{name}.npy", np.stack(windows).reshape(-1, HEIGHT, WIDTH))
    partial = folder / f"{name}.partial"
    partial.write_text("\n".join(json.dumps(note, ensure_ascii=False) for note in notes))
    partial.rename(folder / f"{name}.jsonl")


def synthetic(first: int, shards: int, settings: DataSettings) -> None:
    """Shards ``first``, ``first`` + 1, ...; those that are there already are left."""
    maker = Maker(Corpus(RUNS / "pools.json"), fonts.load(RUNS / "fonts.json"), settings)
    for shard in range(first, first + shards):
        folder = SHARDS / "synthetic"
        if (folder / f"{shard:05}.jsonl").exists():
            continue
        windows, notes = [], []
        for i in range(settings.shard):
            window, text, kind, look = maker.make(np.random.default_rng([settings.seed, shard, i]))
            windows.append(window)
            notes.append({"text": text, "kind": kind, "look": look})
        write(folder, f"{shard:05}", windows, notes)
        print(f"synthetic {shard:05}", flush=True)


def real_lines(  # noqa: PLR0917
    first: int, rounds: int, settings: DataSettings, cuts: Path | None, cases: Path | None, unknown: bool
) -> None:
    """``rounds`` passes over the real lines, each distorted anew; with ``cases``, over those whose case is known alone,
    unless ``unknown``.

    The held-back lines go, undistorted, to `held/`.
    """
    lines = real.lines(cuts, cases)
    kept = [line for line in lines if not line.held and (line.cased or cases is None or unknown)]
    for pass_ in range(first, first + rounds):
        order = np.random.default_rng([settings.seed, 1, pass_]).permutation(len(kept))
        for part in range(0, len(order), settings.shard):
            name = f"{pass_:03}-{part // settings.shard:02}"
            if (SHARDS / "real" / f"{name}.jsonl").exists():
                continue
            windows, notes = [], []
            for i in order[part : part + settings.shard]:
                rng = np.random.default_rng([settings.seed, 2, pass_, i])
                made = real.augmented(rng, kept, int(i))
                if made is not None:
                    windows.append(made[0])
                    notes.append({"text": made[1], "kind": "cased" if made[2] else "real", "look": "real"})
            write(SHARDS / "real", name, windows, notes)
            print(f"real {name}", flush=True)
    if not (SHARDS / "held" / "real.jsonl").exists():
        held = [(window, line.text) for line in lines if line.held and (window := real.plain(line)) is not None]
        write(
            SHARDS / "held",
            "real",
            [h[0] for h in held],
            [{"text": h[1], "kind": "real", "look": "real"} for h in held],
        )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["synthetic", "real", "held"])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--shards", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--cuts", type=Path, help="windows of long real lines, from `align`")
    parser.add_argument("--kind", help="synthetic windows of this kind alone")
    parser.add_argument("--cases", type=Path, help="the case that real lines show, from `case`")
    parser.add_argument("--unknown", action="store_true", help="with --cases: lines whose case is not known too")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    settings = DataSettings()
    if given.kind:
        settings = replace(settings, kinds={given.kind: 1.0})
    if given.what == "synthetic":
        synthetic(given.first, given.shards, settings)
    elif given.what == "real":
        real_lines(given.first, given.rounds, settings, given.cuts, given.cases, given.unknown)
    else:
        maker = Maker(Corpus(RUNS / "pools.json"), fonts.load(RUNS / "fonts.json"), settings)
        made = [maker.make(np.random.default_rng([settings.seed + 1, i])) for i in range(3000)]
        write(
            SHARDS / "held",
            "synthetic",
            [m[0] for m in made],
            [{"text": m[1], "kind": m[2], "look": m[3]} for m in made],
        )


if __name__ == "__main__":
    main()
