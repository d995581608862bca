"""What a long row of good, bad, cancelled and killed requests leaves behind: processes, cgroups, descriptors, memory.

``python -m bench.leftovers [--requests N] [--minutes M] [--kill-zygotes SECONDS] [--json]``

Two engines read: scribe, and one that crashes, hangs, leaks, forks, prints and lies as the width of a page tells it.
Cells are killed at random, and zygotes where asked. Each good document has a size of its own, which its answer must
show. Exits with 1 where anything is left over, a request got the wrong answer or another's, or memory grew.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Annotated

import numpy as np
import typer
from PIL import Image

from bench.embedded import Cloister
from bench.processes import children
from engines.api import Pixels
from engines.documents import specimen
from jail.hierarchies import groups
from server.errors import CloisterError

_SETTLED_S = 60.0
_PARTS = 5
_MOST_AT_ONCE = 500
"""Requests after which what is held is looked at, at the latest."""
_MIB = 1 << 20
_GROWTH_MIB = 64
"""Memory that may be more afterwards: what allocators keep for reuse comes in steps."""
_VANDALS = Path(__file__).parents[1] / "tests" / "packages" / "vandals"
_MISDEEDS = ("hang", "spin", "raise", "crash", "leak", "open", "nonsense", "print", "fork")
"""Of the engine in `_VANDALS`, in the order of widths from `_WIDE` on."""
_WIDE = 4001
_SIZES = 4096
_BRIEF_S = 0.5
"""The deadline of what would go on for ever."""
_LOST = "NO_CELL"
"""The answer while a zygote is started anew, once the client has tried a few times."""


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
    *,
    requests: Annotated[int, typer.Option(help="how many")] = 1000,
    minutes: Annotated[float, typer.Option(help="send no more after so long; as many as it takes if 0")] = 0.0,
    seed: Annotated[int, typer.Option()] = 1,
    first: Annotated[int, typer.Option(help="good and damaged requests of each kind before anything is counted")] = 30,
    kill_zygotes: Annotated[float, typer.Option(help="seconds between kills of a zygote; never if 0")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Send the requests four at a time and compare what is held before and after."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="cloister-soak-") as folder, _server(Path(folder)) as server:
        kinds = _kinds(server)
        # The first ones load what stays, and stretch what is kept for reuse.
        for name in [name for name in kinds if name not in _MISDEEDS] * first + list(_MISDEEDS) * 2:
            kinds[name]()
        names: set[str] = set()
        held = [_settled(server, names)]
        outcomes: Counter[str] = Counter()
        killer = _Killer(server, chance, kill_zygotes)
        row = [chance.choice(list(kinds)) for _ in range(requests)]
        until = time.monotonic() + (60 * minutes or float("inf"))
        sent = 0
        for part in _batched(row, min(_MOST_AT_ONCE, -(-requests // _PARTS))):
            if time.monotonic() > until:
                break
            sent += len(part)
            done = Event()
            with ThreadPoolExecutor(5) as threads:
                kills = threads.submit(killer.run, done)
                for kind, outcome in zip(part, threads.map(lambda kind: kinds[kind](), part), strict=True):
                    outcomes[f"{kind}: {outcome}"] += 1
                done.set()
                kills.result()
            held.append(_settled(server, names, held[0]))
            typer.echo(f"{sent} sent, {killer.killed} killed, {held[-1]}", err=True)
    wrong = {name: count for name, count in outcomes.items() if not _expected(name, zygotes_die=kill_zygotes > 0)}
    growth_mib = sum(held[-1].memory_mib.values()) - sum(held[0].memory_mib.values())
    left = held[-1].beyond(held[0])
    report = {
        "requests": sent,
        "killed": killer.killed,
        "outcomes": dict(sorted(outcomes.items())),
        "wrong": wrong,
        "left_over": left,
        "memory_mib": [{name: round(mib, 1) for name, mib in now.memory_mib.items()} for now in held],
    }
    json.dump(report, sys.stdout, indent=None if as_json else 2)
    print()
    if wrong or any(left.values()) or sum(outcomes.values()) != sent or growth_mib > _GROWTH_MIB:
        raise typer.Exit(1)


def _batched(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """``items`` in rows of ``size``, the last one what is left."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _server(folder: Path) -> Cloister:
    """A server with both engines; ``folder`` is put before its path, with what installing the vandal would leave."""
    installed = folder / "cloister_vandal-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: cloister-vandal\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[cloister.engines]\nvandal = cloister_vandal:Vandal\n")
    shutil.copy(_VANDALS / "cloister_vandal.py", folder)
    os.environ["PYTHONPATH"] = os.pathsep.join((str(folder), *filter(None, sys.path)))
    return Cloister(
        ENGINES='["scribe", "vandal"]',
        ENGINE='{"vandal": {"deed": "by_width", "wider_than": 4000}}',
        DEFAULT_ENGINE="scribe",
        CELLS__BUSY="2",
        CELLS__IDLE="2",
        CELLS__MEMORY_BYTES=str(128 * _MIB),
        LIMITS__QUEUE="16",
    )


def _kinds(server: Cloister) -> dict[str, Callable[[], str]]:
    receipt = specimen.receipt(500, 420, text_px=14)
    good = _png(Image.fromarray(receipt))
    bomb = _png(Image.new("1", (30_000, 30_000)))
    noise = _png(Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 300), np.uint8)))
    sizes = itertools.count()

    def answer(document: bytes, deadline_s: float = 60.0, size: tuple[int, int] | None = None, engine: str = "") -> str:
        try:
            response = server.client.recognize(document, deadline_s=deadline_s, engine=engine)
        except CloisterError as error:
            return str(error.reason)
        if not response.pages:
            return "no page"
        page = response.pages[0]
        return "OK" if size is None or (page.width, page.height) == size else "ANOTHER'S"

    def own(base: Pixels, engine: str = "") -> str:
        """A page with more margin than any other that is asked for meanwhile."""
        number = next(sizes) % _SIZES
        padded = np.pad(base, ((0, number // 64), (0, number % 64), (0, 0)), constant_values=255)
        height, width = padded.shape[:2]
        return answer(_png(Image.fromarray(padded)), size=(width, height), engine=engine)

    def misdeed(place: int) -> str:
        page = _png(Image.new("L", (_WIDE + place, 40), 255))
        return answer(page, deadline_s=_BRIEF_S if _MISDEEDS[place] in {"hang", "spin"} else 60.0, engine="vandal")

    return {
        "good": lambda: own(receipt),
        "good, other engine": lambda: own(receipt, "vandal"),
        "noise": lambda: answer(noise),
        "cut short": lambda: answer(good[: len(good) // 2]),
        "bomb": lambda: answer(bomb),
        "no image": lambda: answer(b"not an image"),
        "given up": lambda: answer(good, deadline_s=0.05),
        **{name: partial(misdeed, place) for place, name in enumerate(_MISDEEDS)},
    }


_EXPECTED: dict[str, set[str]] = {
    "good": {"OK"},
    "good, other engine": {"OK"},
    "noise": {"OK"},
    "cut short": {"DAMAGED_DOCUMENT"},
    "bomb": {"TOO_MANY_PIXELS"},
    "no image": {"NOT_AN_IMAGE"},
    "given up": {"OK", "DEADLINE_EXCEEDED", "DEADLINE_TOO_SHORT"},
    # Behind others that take their time, half a second may be told at once to be too short.
    "hang": {"DEADLINE_EXCEEDED", "DEADLINE_TOO_SHORT"},
    "spin": {"DEADLINE_EXCEEDED", "DEADLINE_TOO_SHORT"},
    "raise": {"CELL_CRASHED"},
    "crash": {"CELL_CRASHED"},
    "leak": {"CELL_OUT_OF_MEMORY"},
    "open": {"CELL_BROKE_POLICY"},
    "nonsense": {"MALFORMED_REPLY"},
    "print": {"OK"},
    "fork": {"CELL_BROKE_POLICY"},
}


def _expected(name: str, *, zygotes_die: bool) -> bool:
    kind, _, outcome = name.partition(": ")
    # A cell may be killed, from outside, in the middle of any request.
    return outcome == "CELL_KILLED" or outcome in _EXPECTED[kind] or (zygotes_die and outcome == _LOST)


class _Killer:
    """Kills a random cell about once a second, and a zygote every ``zygote_every_s`` seconds; never if 0."""

    def __init__(self, server: Cloister, chance: random.Random, zygote_every_s: float) -> None:
        self._server = server
        self._chance = chance
        self._zygote_every_s = zygote_every_s
        self._next_zygote = time.monotonic() + zygote_every_s
        self.killed = {"cells": 0, "zygotes": 0}

    def run(self, done: Event) -> None:
        while not done.wait(self._chance.uniform(0.5, 1.5)):
            kind = "cells"
            if self._zygote_every_s and time.monotonic() > self._next_zygote:
                kind, self._next_zygote = "zygotes", time.monotonic() + self._zygote_every_s
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(self._chance.choice((_cells if kind == "cells" else _zygotes)(self._server)), signal.SIGKILL)
                self.killed[kind] += 1


def _zygotes(server: Cloister) -> list[int]:
    return [zygote for keeper in children(server.pid) for zygote in children(keeper)]


def _cells(server: Cloister) -> list[int]:
    return [cell for zygote in _zygotes(server) for cell in children(zygote)]


def _settled(server: Cloister, names: set[str], like: Holdings | None = None) -> Holdings:
    """What is held once the pool is full and still, and, for up to a minute, no more than ``like`` is left."""
    deadline = time.monotonic() + _SETTLED_S
    while time.monotonic() < deadline:
        engines = server.client.engines()
        still = all(info.idle_cells == 2 and info.busy_cells == 0 for info in engines)
        if still and len(_cells(server)) == 2 * len(engines):
            held = _held(server, names)
            if like is None or not any(held.beyond(like).values()):
                break
        time.sleep(0.1)
    time.sleep(1.0)  # what the kernel holds for a moment
    return _held(server, names)


def _held(server: Cloister, names: set[str]) -> Holdings:
    """``names`` are the names of those that this server's cells were ever in: one for each zygote."""
    for cell in _cells(server):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            names.update(re.findall(r"cloister-[0-9a-f]+", Path(f"/proc/{cell}/cgroup").read_text()))
    lasting = [server.pid, *children(server.pid), *_zygotes(server)]
    return Holdings(
        processes=len(lasting) + len(_cells(server)),
        cgroups=sum(len(folders) for name in names for group in groups(name) for _, folders, _ in os.walk(group)),
        descriptors=sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in lasting),
        memory_mib={_name(place, pid): _resident_bytes(pid) / _MIB for place, pid in enumerate(lasting)},
    )


def _name(place: int, pid: int) -> str:
    return f"{place} {Path(f'/proc/{pid}/comm').read_text().strip()}"


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


if __name__ == "__main__":
    typer.run(main)
