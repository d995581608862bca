"""What a request costs beyond the engine's own work: time, CPU and memory.

``python -m bench.latency [--image FILE ...] [--rounds N] [--engine NAME] [--json]``

The same documents go in turns through gRPC into fresh cells and through the same job in a warm process without a jail,
in one run. CPU counts everything that Cloister did for the requests: the server's, the zygote's and all cells', with
their forks, set-up, rehearsals, page faults and ends. Memory of a cell is what it shares with nobody (smaps), of
a busy one the most of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Annotated, TypeAlias

import typer

from bench.embedded import Cloister
from bench.processes import children
from bench.unjailed import Unjailed
from cloister.cell.v1 import cell_pb2
from jail.pool import Pool
from jail.spec import Limits, ZygoteSpec

Figures: TypeAlias = "dict[str, float | Figures]"

_DEMO = Path(__file__).parents[1] / "deploy" / "demo" / "pages"
_TICKS = os.sysconf("SC_CLK_TCK")
_SETTLED_S = 30.0


def main(
    images: Annotated[list[Path] | None, typer.Option("--image", help="documents; the demo's if none")] = None,
    rounds: Annotated[int, typer.Option(help="times each document is read")] = 20,
    engine: Annotated[str, typer.Option()] = "scribe",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Measure a request's overhead, a cell's set-up and memory, and throughput."""
    documents = [image.resolve() for image in images or sorted(_DEMO.iterdir())]
    figures: Figures = {
        "request": request_overhead(engine, documents, rounds),
        "cell": asyncio.run(cell_set_up(engine, documents, rounds)),
        "throughput": throughput(engine, documents, rounds),
    }
    if as_json:
        json.dump(figures, sys.stdout, indent=2)
        print()
    else:
        print("\n".join(_lines(figures)))


def request_overhead(engine: str, documents: Sequence[Path], rounds: int) -> Figures:
    """Time and CPU of requests into waiting cells, and of the same work in a warm process."""
    jailed: dict[Path, list[float]] = defaultdict(list)
    plain: dict[Path, list[float]] = defaultdict(list)
    plain_cpu = 0.0
    with Cloister(engine, CELLS__BUSY="1", CELLS__IDLE="2") as server, Unjailed(engine) as unjailed:
        for document in documents:  # connections, caches
            server.recognize(document.read_bytes())
            unjailed.run(document)
        _settle(server)
        before = _cpu_s(server.pid)
        for _ in range(rounds):
            for document in documents:
                body = document.read_bytes()
                started = time.perf_counter()
                server.recognize(body)
                jailed[document].append(time.perf_counter() - started)
                _settle(server)
                cost = unjailed.run(document)
                plain[document].append(cost.wall_s)
                plain_cpu += cost.cpu_s
        jailed_cpu = _cpu_s(server.pid) - before
    overheads = [j - p for document in documents for j, p in zip(jailed[document], plain[document], strict=True)]
    requests = rounds * len(documents)
    return {
        "requests": requests,
        "jailed_ms": _percentiles(value for values in jailed.values() for value in values),
        "unjailed_ms": _percentiles(value for values in plain.values() for value in values),
        "overhead_ms": _percentiles(overheads),
        "cpu_jailed_ms": 1e3 * jailed_cpu / requests,
        "cpu_unjailed_ms": 1e3 * plain_cpu / requests,
        "cpu_ratio": jailed_cpu / plain_cpu,
    }


async def cell_set_up(engine: str, documents: Sequence[Path], rounds: int) -> Figures:
    """How long each step of making a cell takes, and the memory that is a cell's own."""
    spec = ZygoteSpec(job="engines.job:OcrJob", kwargs={"engine": engine}, policy=engine)
    header = cell_pb2.Task(max_pixels=1 << 28, max_pages=100).SerializeToString()
    steps: dict[str, list[float]] = defaultdict(list)
    totals, rehearsals, idle, busy = [], [], [], []
    pool = Pool(spec, Limits(), busy=1, idle=1)
    await pool.start()
    try:
        (keeper,) = children(os.getpid())
        (zygote,) = children(keeper)
        for document in list(documents) * rounds:
            idle += [_private_bytes(cell) for cell in children(zygote)]
            (worker,) = children(zygote)
            watch = asyncio.create_task(_peak_private_bytes(worker))
            async with pool.run(header, document.read_bytes(), timeout_s=60) as run:
                async for _ in run:
                    pass
            busy.append(await watch)
            if run.set_up is None:
                raise RuntimeError(f"no cell could be made: {pool.error}")
            for name, seconds in run.set_up.steps:
                steps[name].append(seconds)
            totals.append(run.set_up.seconds)
            rehearsals.append(run.set_up.rehearsal_s)
            while pool.idle_cells < 1 or pool.busy_cells:
                await asyncio.sleep(0.02)
    finally:
        await pool.close()
    return {
        "ready_ms": _percentiles(totals),
        "rehearsal_ms": _percentiles(rehearsals),
        "steps_ms": {name: 1e3 * median(values) for name, values in steps.items()},
        "private_idle_mb": median(idle) / 1e6,
        "private_busy_peak_mb": median(busy) / 1e6,
    }


def throughput(engine: str, documents: Sequence[Path], rounds: int) -> Figures:
    """Requests a second as concurrency grows, with as many busy cells as there are cores."""
    cores = len(os.sched_getaffinity(0))
    bodies = [document.read_bytes() for document in documents] * rounds
    rates: Figures = {}
    with Cloister(engine, CELLS__BUSY=str(cores), CELLS__IDLE=str(cores)) as server:
        for clients in (1, 2, 4, 8):
            started = time.perf_counter()
            with ThreadPoolExecutor(clients) as threads:
                list(threads.map(server.recognize, bodies))
            rates[f"clients_{clients}_per_s"] = len(bodies) / (time.perf_counter() - started)
    return rates


def _settle(server: Cloister) -> None:
    """Wait until the pool is full again and nothing is left to do for the last request."""
    time.sleep(0.2)
    deadline = time.monotonic() + _SETTLED_S
    while time.monotonic() < deadline:
        (info,) = server.client.engines()
        if info.idle_cells >= 2 and info.busy_cells == 0:
            return
        time.sleep(0.1)  # asking costs CPU too, which would be counted
    raise TimeoutError("the pool did not fill up again")


def _cpu_s(pid: int) -> float:
    """CPU seconds of a process, of all below it, and of those of them that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    # utime, stime, and those of children waited for: proc_pid_stat(5), fields 14 to 17
    own = sum(int(field) for field in fields[11:15]) / _TICKS
    return own + sum(_cpu_s(child) for child in children(pid))


def _private_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))


async def _peak_private_bytes(pid: int) -> int:
    """The most that a process held for itself alone until it ended, looked at every 5 ms."""
    peak = 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        while Path(f"/proc/{pid}").exists():
            peak = max(peak, _private_bytes(pid))
            await asyncio.sleep(0.005)
    return peak


def _percentiles(seconds: Iterable[float]) -> Figures:
    values = sorted(seconds)
    cuts = quantiles(values, n=100, method="inclusive")
    return {"p50": 1e3 * cuts[49], "p95": 1e3 * cuts[94], "p99": 1e3 * cuts[98], "mean": 1e3 * mean(values)}


def _lines(figures: Figures, indent: int = 0) -> Iterable[str]:
    for name, value in figures.items():
        if isinstance(value, dict):
            yield f"{'  ' * indent}{name}"
            yield from _lines(value, indent + 1)
        else:
            yield f"{'  ' * indent}{name:{34 - 2 * indent}}{value:10.2f}"


if __name__ == "__main__":
    typer.run(main)
