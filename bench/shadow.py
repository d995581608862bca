"""What a shadow costs the callers it follows: time to the answer with a candidate at every request, and without.

``python -m bench.shadow [--candidate scribe|tesseract|failing] [--requests N] [--pause-ms N] [--json]``

One server, one control; every document is read again by the candidate but while the flags' kill switch is thrown,
which ends those at work too. Requests go one after the other, in short blocks with the shadow on and off, each first in
turns, so that a machine whose speed changes changes for both. The intervals draw whole pairs of blocks. ``failing``
hangs, crashes, leaks and answers nonsense in turns.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from bench.embedded import Cloister
from server.client import Client
from server.errors import CloisterError

_DEMO = Path(__file__).parents[1] / "deploy" / "demo" / "pages"
_SEEN_S = 0.7
"""For the server to see that the flags have changed."""
_LOADED_S = 300.0
_RESAMPLES = 2000
_DEEDS = ("hang", "crash", "leak", "nonsense")


class Candidate(StrEnum):
    SCRIBE = "scribe"
    TESSERACT = "tesseract"
    FAILING = "failing"


@dataclass(frozen=True, slots=True)
class Side:
    requests: int
    failures: int
    p50_s: float
    p99_s: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """With the shadow to without it, and what it lies between with 95 % confidence."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Figures:
    candidate: str
    without: Side
    beside: Side
    p50_ratio: Ratio
    p99_ratio: Ratio
    shadows: dict[str, object]
    """What became of the candidates, as the server's log says at its end."""


def main(
    candidate: Annotated[Candidate, typer.Option(help="who reads in the shadow")] = Candidate.SCRIBE,
    requests: Annotated[int, typer.Option(help="requests in all, half of them with a shadow")] = 600,
    block: Annotated[int, typer.Option(help="requests of one block")] = 15,
    pause_ms: Annotated[float, typer.Option(help="pause between an answer and the next request")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Measure what callers notice of a shadow at 100 % sampling."""
    documents = [path.read_bytes() for path in sorted(_DEMO.iterdir())]
    with tempfile.TemporaryDirectory(prefix="cloister-") as folder:
        figures = measure(Path(folder), candidate, documents, requests=requests, block=block, pause_s=pause_ms / 1000)
    if as_json:
        json.dump(asdict(figures), sys.stdout, indent=2)
        print()
    else:
        print("\n".join(_lines(figures)))


def measure(
    folder: Path, candidate: Candidate, documents: Sequence[bytes], *, requests: int, block: int, pause_s: float
) -> Figures:
    """Run a server in ``folder`` and send it ``documents`` in turns, ``requests`` in all."""
    flags, log = folder / "flags.json", folder / "log"
    candidates = _candidates(folder, candidate)
    flags.write_text(_flags(candidates, shadowed=False))
    pairs: list[tuple[list[float], list[float]]] = []
    failures = [0, 0]
    # Without a name: a request that names its engine is no experiment.
    with Cloister(log=log, cpu=None, **_settings(folder, candidates)) as server:
        _await_candidates(log, len(candidates))
        for document in documents:
            server.recognize(document)
        for round_ in range(max(1, requests // (2 * block))):
            pair: list[list[float]] = [[], []]
            for shadowed in ((0, 1), (1, 0))[round_ % 2]:
                flags.write_text(_flags(candidates, shadowed=bool(shadowed)))
                time.sleep(_SEEN_S)
                for number in range(block):
                    seconds = _timed(server.client, documents[number % len(documents)])
                    if seconds is None:
                        failures[shadowed] += 1
                    else:
                        pair[shadowed].append(seconds)
                    time.sleep(pause_s)
            pairs.append((pair[0], pair[1]))
    ends = [line for line in _events(log) if line["event"] == "shadows"]
    return Figures(
        candidate=candidate.value,
        without=_side([pair[0] for pair in pairs], failures[0]),
        beside=_side([pair[1] for pair in pairs], failures[1]),
        p50_ratio=_ratio(pairs, 0.5),
        p99_ratio=_ratio(pairs, 0.99),
        shadows={name: ends[-1][name] for name in ("compared", "failed", "dropped")} if ends else {},
    )


def _candidates(folder: Path, candidate: Candidate) -> dict[str, dict[str, object]]:
    """The engines that run in the shadow, with their options."""
    if candidate is Candidate.SCRIBE:
        return {"twin": {"adapter": "scribe"}}
    if candidate is Candidate.TESSERACT:
        return {"tesseract": {}}
    from tests.packages import VANDALS, install

    # They load and rehearse on narrower pages.
    install(VANDALS, folder / "packages")
    os.environ["PYTHONPATH"] = str(folder / "packages")
    return {f"vandal-{deed}": {"adapter": "vandal", "deed": deed, "wider_than": 1000} for deed in _DEEDS}


def _settings(folder: Path, candidates: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    options = {name: options for name, options in candidates.items() if options}
    settings = {
        "CELLS__BUSY": "1",
        "CELLS__IDLE": "2",
        "EXPERIMENTS__FLAGS": str(folder / "flags.json"),
        "SHADOW__ENGINES": json.dumps(list(candidates)),
        "SHADOW__DATABASE": f"sqlite:///{folder}/records.db",
        "SHADOW__DEADLINE_S": "10",
        "LOG__FORMAT": "json",
    }
    return settings | ({"ENGINE": json.dumps(options)} if options else {})


def _flags(candidates: Iterable[str], *, shadowed: bool) -> str:
    names = list(candidates)
    shadow = {
        "state": "ENABLED",
        "variants": {name: name for name in names},
        "defaultVariant": names[0],
        "targeting": {"fractional": [{"var": "requestId"}, *([name, 1] for name in names)]},
    }
    enabled = {
        "state": "ENABLED",
        "variants": {"on": True, "off": False},
        "defaultVariant": "on" if shadowed else "off",
    }
    return json.dumps({"flags": {"shadow": shadow, "enabled": enabled}})


def _timed(client: Client, document: bytes) -> float | None:
    started = time.perf_counter()
    try:
        client.recognize(document)
    except CloisterError:
        return None
    return time.perf_counter() - started


def _events(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


def _await_candidates(log: Path, count: int) -> None:
    deadline = time.monotonic() + _LOADED_S
    while time.monotonic() < deadline:
        events = [line["event"] for line in _events(log)]
        if "no candidate" in events:
            raise RuntimeError(f"a candidate could not be started: {log.read_text()}")
        if events.count("candidate") == count:
            return
        time.sleep(0.2)
    raise TimeoutError("the candidates did not load")


def _side(blocks: Sequence[Sequence[float]], failures: int) -> Side:
    times = np.concatenate([np.asarray(block) for block in blocks])
    return Side(len(times) + failures, failures, float(np.quantile(times, 0.5)), float(np.quantile(times, 0.99)))


def _ratio(pairs: Sequence[tuple[Sequence[float], Sequence[float]]], at: float) -> Ratio:
    def of(drawn: Iterable[int]) -> float:
        without, beside = (np.concatenate([np.asarray(pairs[i][side]) for i in drawn]) for side in (0, 1))
        return float(np.quantile(beside, at) / np.quantile(without, at))

    generator = np.random.default_rng(1)
    draws = [of(generator.integers(0, len(pairs), len(pairs)).tolist()) for _ in range(_RESAMPLES)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return Ratio(of(range(len(pairs))), float(low), float(high))


def _lines(figures: Figures) -> Iterable[str]:
    yield f"candidate {figures.candidate}, at every request: {figures.shadows}"
    for name, side in (("without", figures.without), ("beside", figures.beside)):
        yield (
            f"{name:8} {side.requests} requests, {side.failures} failed, "
            f"p50 {1e3 * side.p50_s:.1f} ms, p99 {1e3 * side.p99_s:.1f} ms"
        )
    for name, ratio in (("p50", figures.p50_ratio), ("p99", figures.p99_ratio)):
        yield f"{name} beside / without {ratio.estimate:.3f} ({ratio.low:.3f} to {ratio.high:.3f})"


if __name__ == "__main__":
    typer.run(main)
