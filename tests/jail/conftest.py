"""Real pools of real cells, and a watch on what they leave behind."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from jail.hierarchies import groups
from jail.pool import Pool
from jail.result import Result
from jail.run import Run
from jail.spec import Json, Layers, Limits, ZygoteSpec

JOB = "tests.jail.jobs:Deeds"
LIMITS = Limits(memory_bytes=96 << 20, cpu_s=20, reply_bytes=8 << 20)
_PATIENCE_S = 60.0

PoolMaker = Callable[..., AbstractAsyncContextManager[Pool]]


@asynccontextmanager
async def running_pool(
    limits: Limits = LIMITS, *, busy: int = 2, idle: int = 2, layers: Layers | None = None, **kwargs: Json
) -> AsyncIterator[Pool]:
    """A pool of `Deeds`; when it closes, nothing of it may be left."""
    gc.collect()  # what tests before left to the collector, fonts' files among it, would close meanwhile
    before, processes = descriptors(), descendants()
    pool = Pool(ZygoteSpec(JOB, kwargs), limits, busy=busy, idle=idle, layers=layers)
    await pool.start()
    try:
        yield pool
    finally:
        await pool.close()
    assert not cgroups(pool.cgroup)
    assert descendants() == processes
    assert descriptors() == before


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    async with running_pool() as made:
        yield made


async def ask(pool: Pool, deed: str, body: bytes = b"", timeout_s: float = 30.0) -> tuple[Result, list[bytes], Run]:
    """One request: its result, the payloads that came before it, the run."""
    async with pool.run(deed.encode(), body, timeout_s=timeout_s) as run:
        payloads = [payload async for payload in run]
    assert run.result is not None
    return run.result, payloads, run


def descendants() -> dict[int, str]:
    """Processes below this one, by id, and their names; zombies too."""
    parents, names = {}, {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, rest = status.read_text().split(" (", 1)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        name, fields = rest.rsplit(") ", 1)
        parents[int(pid)], names[int(pid)] = int(fields.split()[1]), name
    found: dict[int, str] = {}
    ring = {os.getpid()}
    while ring := {pid for pid, parent in parents.items() if parent in ring}:
        found |= {pid: names[pid] for pid in ring}
    return found


def cells() -> list[int]:
    return sorted(pid for pid, name in descendants().items() if name == "cloister-cell")


def zygotes() -> list[int]:
    return [pid for pid, name in descendants().items() if name == "cloister-zygote"]


def cgroups(name: str) -> list[Path]:
    """Groups of a pool's cells, in every hierarchy."""
    return [Path(folder) for group in groups(name) for folder, _, _ in os.walk(group)]


def descriptors() -> list[str]:
    """What this process has open."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.append(f"{link.name} {os.readlink(link)}")
        except FileNotFoundError:
            continue  # the directory's own
    return sorted(found)


async def settled(pool: Pool, idle: int = 2) -> None:
    """Wait until the pool is full again and nothing else of it runs."""
    async with asyncio.timeout(_PATIENCE_S):
        while pool.idle_cells != idle or pool.busy_cells or pool.starting_cells or len(cells()) != idle:
            await asyncio.sleep(0.02)
