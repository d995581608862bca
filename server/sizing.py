"""How many cells a host can hold: its CPUs and its memory, within what cgroups leave this process of them.

Limits are looked for from this process's group up to the root of each hierarchy, and the least of them holds: version 2
has ``cpu.max`` and ``memory.max``, version 1 ``cpu.cfs_quota_us`` and ``memory.limit_in_bytes`` (the kernel's
admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst, scheduler/sched-bwc.rst).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from jail.hierarchies import Mount, mounts

SERVER_BYTES = 768 * 1024 * 1024
"""Memory set aside for the server, a zygote with its models, and documents that wait."""


def cells(memory_bytes: int) -> int:
    """Cells of ``memory_bytes`` at most that may work at the same time here: one for each CPU, as far as memory goes.

    At least one: whether the host can hold that, its cgroup will tell.
    """
    return max(1, min(cpus(), (memory() - SERVER_BYTES) // memory_bytes))


def cpus() -> int:
    """CPUs that this process may use; a part of one left by a quota counts as one, so that all of it gets used."""
    quotas = [math.ceil(quota) for group in _groups("cpu") if (quota := _quota(group)) is not None]
    return max(1, min([len(os.sched_getaffinity(0)), *quotas]))


def memory() -> int:
    """Bytes of memory that this process and its cells may use together."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [limit for group in _groups("memory") if (limit := _limit(group)) is not None]
    return min([whole, *limits])


def _groups(controller: str) -> Iterator[Path]:
    """This process's group and those above it, in the hierarchies that may bound ``controller``."""
    for mount in _mounts():
        if mount.controllers and controller not in mount.controllers:
            continue
        group = mount.group(None)
        yield group
        for above in group.parents:
            if not above.is_relative_to(mount.point):
                break
            yield above


def _mounts() -> list[Mount]:
    try:
        return mounts(Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text())
    except OSError:
        return []  # a kernel without control groups bounds nothing


def _quota(group: Path) -> float | None:
    """CPUs that the group may use at a time; None where it has no bound."""
    if (unified := _read(group / "cpu.max")) is not None:
        quota, _, period = unified.partition(" ")
        return None if quota == "max" else int(quota) / int(period)
    quota_us, period_us = _read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")
    if quota_us is None or period_us is None or int(quota_us) <= 0:
        return None
    return int(quota_us) / int(period_us)


def _limit(group: Path) -> int | None:
    """Bytes that the group may use; None where it has no bound."""
    found = _read(group / "memory.max") or _read(group / "memory.limit_in_bytes")
    return None if found is None or found == "max" else int(found)


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
