"""What a long row of good, bad, cancelled and killed requests leaves behind: processes, cgroups, descriptors, memory.

``python -m bench.leftovers [--requests N] [--json]``

Exits with 1 where anything is left over or a request got the wrong answer.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Annotated

import numpy as np
import typer
from PIL import Image

from bench.embedded import Cloister
from bench.processes import children
from engines.documents import specimen
from server.errors import CloisterError

_SETTLED_S = 60.0
_FIRST = 30
_PARTS = 5
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the server's processes hold between requests."""

    processes: int
    cgroups: int
    descriptors: int
    memory_mib: dict[str, float]
    """Resident, by process; not the cells, which come and go."""

    def beyond(self, other: Holdings) -> dict[str, int]:
        """How many more processes, cgroups and descriptors there are."""
        return {name: getattr(self, name) - getattr(other, name) for name in ("processes", "cgroups", "descriptors")}


def main(
    requests: Annotated[int, typer.Option(help="how many")] = 1000,
    seed: Annotated[int, typer.Option()] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Send the requests four at a time and compare what is held before and after."""
    chance = random.Random(seed)
    with Cloister(CELLS__BUSY="2", CELLS__IDLE="2", LIMITS__QUEUE="16") as server:
        kinds = _kinds(server)
        for send in list(kinds.values()) * _FIRST:  # the first ones load what stays, and stretch what is kept for reuse
            send()
        held = [_settled(server)]
        outcomes: Counter[str] = Counter()
        kills = 0
        row = [chance.choice(list(kinds)) for _ in range(requests)]
        for part in _batched(row, -(-requests // _PARTS)):
            done = Event()
            with ThreadPoolExecutor(5) as threads:
                killer = threads.submit(_kill_now_and_then, server, chance, done)
                for kind, outcome in zip(part, threads.map(lambda kind: kinds[kind](), part), strict=True):
                    outcomes[f"{kind}: {outcome}"] += 1
                done.set()
                kills += killer.result()
            held.append(_settled(server, held[0]))
    wrong = {name: count for name, count in outcomes.items() if not _expected(name)}
    left = held[-1].beyond(held[0])
    report = {
        "requests": requests,
        "kills": kills,
        "outcomes": dict(sorted(outcomes.items())),
        "wrong": wrong,
        "left_over": left,
        "memory_mib": [{name: round(mib, 1) for name, mib in now.memory_mib.items()} for now in held],
    }
    json.dump(report, sys.stdout, indent=None if as_json else 2)
    print()
    if wrong or any(left.values()):
        raise typer.Exit(1)


def _batched(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """``items`` in rows of ``size``, the last one what is left."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _kinds(server: Cloister) -> dict[str, Callable[[], str]]:
    good = _png(Image.fromarray(specimen.receipt(500, 420, text_px=14)))
    bomb = _png(Image.new("1", (30_000, 30_000)))
    noise = _png(Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 300), np.uint8)))

    def answer(document: bytes, deadline_s: float = 60.0) -> str:
        try:
            response = server.client.recognize(document, deadline_s=deadline_s)
        except CloisterError as error:
            return str(error.reason)
        return "OK" if response.pages else "no page"

    return {
        "good": lambda: answer(good),
        "noise": lambda: answer(noise),
        "cut short": lambda: answer(good[: len(good) // 2]),
        "bomb": lambda: answer(bomb),
        "no image": lambda: answer(b"not an image"),
        "given up": lambda: answer(good, deadline_s=0.05),
    }


def _expected(name: str) -> bool:
    kind, _, outcome = name.partition(": ")
    # A cell may be killed, from outside, in the middle of any request.
    return (
        outcome == "CELL_KILLED"
        or outcome
        in {
            "good": {"OK"},
            "noise": {"OK"},
            "cut short": {"DAMAGED_DOCUMENT"},
            "bomb": {"TOO_MANY_PIXELS"},
            "no image": {"NOT_AN_IMAGE"},
            "given up": {"OK", "DEADLINE_EXCEEDED"},
        }[kind]
    )


def _kill_now_and_then(server: Cloister, chance: random.Random, done: Event) -> int:
    """Kill a random cell about once a second; the number killed."""
    kills = 0
    while not done.wait(chance.uniform(0.5, 1.5)):
        with contextlib.suppress(ProcessLookupError, IndexError):
            os.kill(chance.choice(_cells(server)), signal.SIGKILL)
            kills += 1
    return kills


def _cells(server: Cloister) -> list[int]:
    return [cell for keeper in children(server.pid) for zygote in children(keeper) for cell in children(zygote)]


def _settled(server: Cloister, like: Holdings | None = None) -> Holdings:
    """What is held once the pool is full and still, and, for up to a minute, no more than ``like`` is left."""
    deadline = time.monotonic() + _SETTLED_S
    while time.monotonic() < deadline:
        (info,) = server.client.engines()
        if info.idle_cells == 2 and info.busy_cells == 0 and len(_cells(server)) == 2:
            held = _held(server)
            if like is None or not any(held.beyond(like).values()):
                break
        time.sleep(0.1)
    time.sleep(1.0)  # what the kernel holds for a moment
    return _held(server)


def _held(server: Cloister) -> Holdings:
    lasting = [server.pid, *children(server.pid), *(z for k in children(server.pid) for z in children(k))]
    return Holdings(
        processes=len(lasting) + len(_cells(server)),
        cgroups=sum(1 for _ in Path("/sys/fs/cgroup").rglob("cloister-*/*/cgroup.procs")),
        descriptors=sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in lasting),
        memory_mib={_name(pid): _resident_bytes(pid) / _MIB for pid in lasting},
    )


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


if __name__ == "__main__":
    typer.run(main)
