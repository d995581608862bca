"""CPU and memory of a server by kind of process, while something goes on.

A kind is how deep a process stands below the server: for Cloister the server itself, keepers, zygotes, cells. Memory is
the proportional set size (PSS): a page that many processes share is counted once over all of them. CPU of processes
that have ended is what their parent waited for, proc_pid_stat(5).
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.processes import children

CLOISTER = ("server", "keeper", "zygote", "cells")
PEER = ("server", "workers")

_TICKS = os.sysconf("SC_CLK_TCK")
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Use:
    """Of one kind of process: CPU seconds, and memory in MiB, on average and at most."""

    cpu_s: float
    pss_mib: float
    pss_peak_mib: float


class Watch:
    """Watches the tree of processes below ``pid`` for the length of a ``with`` block; `uses` tells afterwards."""

    def __init__(self, pid: int, kinds: Sequence[str], period_s: float = 0.5) -> None:
        self._pid = pid
        self._kinds = kinds
        self._period_s = period_s
        self._samples: list[Mapping[str, float]] = []
        self._before: Mapping[str, float] = {}
        self._after: Mapping[str, float] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._before = self._cpu()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        self._after = self._cpu()

    @property
    def uses(self) -> dict[str, Use]:
        """By kind, and "all" of them together: its peak is that of one moment."""
        kinds = {name: [sample.get(name, 0.0) for sample in self._samples] for name in self._kinds}
        kinds["all"] = [sum(sample.values()) for sample in self._samples]
        cpu = {name: self._after.get(name, 0.0) - self._before.get(name, 0.0) for name in self._kinds}
        cpu["all"] = sum(cpu.values())
        return {name: Use(cpu[name], sum(sizes) / len(sizes), max(sizes)) for name, sizes in kinds.items()}

    def _sample(self) -> None:
        while True:
            sizes: dict[str, float] = defaultdict(float)
            for kind, pid in self._processes():
                sizes[kind] += pss_mib(pid)
            self._samples.append(sizes)
            if self._done.wait(self._period_s):
                return

    def _cpu(self) -> Mapping[str, float]:
        seconds: dict[str, float] = defaultdict(float)
        for depth, pid in _below(self._pid):
            own, waited_for = _cpu_s(pid)
            seconds[self._kind(depth)] += own
            seconds[self._kind(depth + 1)] += waited_for
        return seconds

    def _processes(self) -> Iterator[tuple[str, int]]:
        return ((self._kind(depth), pid) for depth, pid in _below(self._pid))

    def _kind(self, depth: int) -> str:
        return self._kinds[min(depth, len(self._kinds) - 1)]


def pss_mib(pid: int) -> float:
    """Proportional set size of a process, MiB; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")) / _MIB


def _below(pid: int, depth: int = 0) -> Iterator[tuple[int, int]]:
    yield depth, pid
    for child in children(pid):
        yield from _below(child, depth + 1)


def _cpu_s(pid: int) -> tuple[float, float]:
    """CPU seconds of a process, and of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0, 0.0
    user, system, children_user, children_system = (int(field) / _TICKS for field in fields[11:15])
    return user + system, children_user + children_system
