"""The whole training in four commands: `python -m engines.scribe.training.pipeline data`, then `train`, `evaluate` and
`export`.

Each is a list of this package's own commands, printed as they run. What has ended is noted in runs/pipeline/ and left
out when the command is given again, so it may be stopped at any time: training goes on from its checkpoint. ``--scale``
makes all of it shorter, to see it run through; at 1 the large net trains for 40,000 steps."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engines.scribe.training.fonts import MANIFEST
from engines.scribe.training.real import lines_file
from engines.scribe.training.settings import RUNS, SHARDS

_DONE = RUNS / "pipeline"
_CUTS, _CASES = RUNS / "first" / "cuts.jsonl", RUNS / "judge" / "cases.jsonl"
_WEIGHTS = RUNS / "second" / "ema.pt"


@dataclass(frozen=True, slots=True)
class Step:
    """``name``, unique, and what to run: a command line of this package, or a function."""

    name: str
    run: str | Callable[[], None]


def data(scale: float) -> Iterator[Step]:
    """Fonts, and made windows."""
    yield Step("font packages", _install_fonts)
    yield Step("fonts", "fonts --unpack")
    yield Step("held-back windows", "data held")
    yield Step("windows", f"data synthetic --shards {_scaled(100, scale)}")


def train(scale: float) -> Iterator[Step]:
    """The judge of real lines' case, the first net, real lines cut and cased by both, the net that ships, the small one
    that looks before it."""
    yield Step(
        "judge",
        f"train judge --small --steps {_scaled(4000, scale)} --real-share 0 --peak-rate 4e-3 "
        f"--warmup {_scaled(300, scale)} --goal 'From made windows alone: tells the case that real lines show'",
    )
    yield Step("case", "case judge --small")
    yield Step("real lines", f"data real --rounds {_scaled(6, scale)} --cases {_CASES} --unknown")
    yield Step("first", f"train first --steps {_scaled(20_000, scale)} --warmup {_scaled(400, scale)}")
    yield Step("cuts of long lines", "align first")
    yield Step("their case", f"case judge --small --cuts {_CUTS}")
    yield Step("first real lines aside", _set_aside)
    yield Step(
        "real lines, long ones too",
        f"data real --first 80 --rounds {_scaled(6, scale)} --cuts {_CUTS} --cases {_CASES} --unknown",
    )
    yield Step("what is hard", "hard runs/first/ema.pt")
    yield Step(
        "second",
        f"train second --steps {_scaled(20_000, scale)} --real-share 0.25 --peak-rate 2e-3 "
        f"--warmup {_scaled(200, scale)} --start runs/first/ema.pt",
    )
    yield Step(
        "glance",
        f"train glance --small --teacher {_WEIGHTS} --steps {_scaled(12_000, scale)} --real-share 0.3 "
        f"--peak-rate 4e-3 --warmup {_scaled(300, scale)}",
    )


def evaluate(scale: float) -> Iterator[Step]:
    """Both nets on held-back windows, by kind and look."""
    del scale
    yield Step("evaluate", "evaluate second")
    yield Step("evaluate the small net", "evaluate glance --small")


def export(scale: float) -> Iterator[Step]:
    """Language model, weights and small net into the package, calibrated; thresholds are found and only shown, as made
    windows hold less noise than pages (`bench.accuracy` tells whether to keep them, by ``lab buckets --write``)."""
    del scale
    yield Step("language model", f"language --cuts {_CUTS} --cases {_CASES}")
    yield Step("weights", "export second --version 3.0")
    yield Step("small net", "cascade glance")
    yield Step("thresholds", lambda: _cloister("buckets"))
    yield Step("calibration", lambda: _cloister("calibrate", "--write"))


PARTS = {"data": data, "train": train, "evaluate": evaluate, "export": export}


def run(steps: Iterator[Step], *, again: bool = False) -> None:
    """Run what has not ended yet; with ``again`` all of it. Raises CalledProcessError for a step that fails."""
    for step in steps:
        done = _DONE / step.name.replace(" ", "-")
        if done.exists() and not again:
            print(f"{step.name}: done before ({done})", flush=True)
            continue
        print(f"{step.name}: {step.run if isinstance(step.run, str) else '...'}", flush=True)
        if isinstance(step.run, str):
            module, *arguments = shlex.split(step.run)
            subprocess.run([sys.executable, "-m", f"engines.scribe.training.{module}", *arguments], check=True)
        else:
            step.run()
        done.parent.mkdir(parents=True, exist_ok=True)
        done.touch()


def _scaled(count: int, scale: float) -> int:
    return max(1, round(count * scale))


def _install_fonts() -> None:
    packages = tomllib.loads(MANIFEST.read_text())["apt"].split()
    if shutil.which("npm") is None:
        packages.append("npm")
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    subprocess.run(command if os.geteuid() == 0 else ["sudo", *command], check=True)


def _set_aside() -> None:
    """Training takes all that is in shards/real."""
    shutil.move(SHARDS / "real", SHARDS / "real-first")


def _cloister(*arguments: str) -> None:
    subprocess.run([Path(sys.executable).with_name("cloister"), "lab", *arguments], check=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the windows and steps")
    given = parser.parse_args()
    if given.part == "train" and not lines_file().exists():
        raise SystemExit(f"{lines_file()} is missing: CLOISTER_DATA names the folder of real data")
    try:
        run(PARTS[given.part](given.scale), again=given.part in ("evaluate", "export"))
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"{shlex.join(map(str, error.cmd))} failed; mend it and give the command again") from error


if __name__ == "__main__":
    main()
