"""What a pool is told: which job, within what bounds, behind which layers."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from jail.errors import SpecError
from jail.layers import Layer

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

SCRATCH = "/tmp"
"""Where cells that execute a program keep its files: a tmpfs of each cell's own."""
_JOB = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_POLICIES = Path(__file__).parent / "policy"


@dataclass(frozen=True, slots=True)
class Program:
    """The one program that the cells of a pool may execute, with what it needs; paths are absolute.

    A cell's root then holds the program, its dynamic loader and ``reads`` (files and folders), all read-only, and
    ``/tmp``, its own, of ``scratch_bytes``: none if 0. ``network`` leaves it in the server's network: a layer less.
    """

    path: str
    reads: tuple[str, ...] = ()
    network: bool = False
    scratch_bytes: int = 256 << 20

    def __post_init__(self) -> None:
        for path in (self.path, *self.reads):
            if not path.startswith("/") or os.path.normpath(path) != path or path == "/":
                raise SpecError(f"{path!r} is not an absolute, plain path below /")
            if SCRATCH in {path, *map(str, Path(path).parents)}:
                raise SpecError(f"{path} lies in {SCRATCH}, which each cell has one of its own of")
            if not os.path.exists(path):
                raise SpecError(f"there is no {path}")
        if self.scratch_bytes < 0:
            raise SpecError(f"scratch_bytes is {self.scratch_bytes}, and must not be below 0")


@dataclass(frozen=True, slots=True)
class ZygoteSpec:
    """What the zygote loads.

    ``job`` is "package.module:Name" of a `jail.job.Job`, called with ``kwargs``. ``policy`` is the name of a file in
    ``jail/policy`` or an absolute path. ``threads`` are names (shell patterns) that the job's threads may have when it
    is loaded: a fork does not have them, so each must be known to be of no use there. A native thread that was never
    given a name has the name "job": such TensorFlow leaves, whatever its settings. No thread of Python's is let be.
    ``environment`` is added to the zygote's clean one. ``program`` is what cells may execute; by default nothing.
    """

    job: str
    kwargs: Mapping[str, Json] = field(default_factory=dict)
    policy: str = "base"
    threads: tuple[str, ...] = ("job",)
    environment: Mapping[str, str] = field(default_factory=dict)
    program: Program | None = None

    def __post_init__(self) -> None:
        if not _JOB.fullmatch(self.job):
            raise SpecError(f"job {self.job!r} is not of the form package.module:Name")
        try:
            json.dumps(dict(self.kwargs))
        except (TypeError, ValueError) as error:
            raise SpecError(f"the arguments of {self.job} can't be written as JSON: {error}") from error

    @property
    def policy_path(self) -> Path:
        return Path(self.policy) if self.policy.startswith("/") else _POLICIES / f"{self.policy}.policy"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one cell may use. ``cpu_s`` counts set-up and rehearsal too; ``cpus`` is a share of time, 1.0 one core.

    Cells in the ``background``, and the making of them, get CPU time that nobody else wants (SCHED_IDLE).
    """

    memory_bytes: int = 1 << 30
    pids: int = 1
    cpu_s: int = 120
    cpus: float = 1.0
    stack_bytes: int = 8 << 20
    reply_bytes: int = 64 << 20
    background: bool = False

    def __post_init__(self) -> None:
        for name in ("memory_bytes", "pids", "cpu_s", "cpus", "stack_bytes", "reply_bytes"):
            if getattr(self, name) <= 0:
                raise SpecError(f"{name} is {getattr(self, name)}, and must be above 0")


@dataclass(frozen=True, slots=True)
class Layers:
    """Which layers are given up, and where the cells' groups go.

    ``dangerously_without`` names layers the operator gave up. ``cgroup_parent`` is a delegated group: by its path from
    the root of its hierarchy, or, without a leading "/", from the group this process is in; None is that group itself.
    ``dangerously_record`` names a file: every system call is then let through, and counted in it (`jail.profile`).
    """

    dangerously_without: frozenset[Layer] = frozenset()
    cgroup_parent: str | None = None
    dangerously_record: str | None = None
