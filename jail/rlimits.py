"""Resource limits of a cell. Soft and hard limit are the same, so that passing one is final."""

from __future__ import annotations

import resource

from jail import syscalls
from jail.errors import SetUpError
from jail.layers import Layer
from jail.spec import Program

_DESCRIPTORS = 64
"""Room for what a cell has from its zygote where it is not closed, and what setting up opens; `refuse_descriptors`
ends that."""
_PROGRAM_DESCRIPTORS = 256


def enter(cpu_s: int, stack_bytes: int, program: Program | None = None) -> None:
    """Bound this process. ``cpu_s`` counts set-up and rehearsal too.

    A cell with a ``program`` may write files as large as its scratch, and have processes: how many, its cgroup bounds;
    RLIMIT_NPROC would count those of all cells of one user together.

    As the first process of its PID namespace a cell would ignore SIGXCPU; with the hard limit equal to the soft one
    the kernel sends SIGKILL at once.
    """
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0 if program is None else program.scratch_bytes,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_SIGPENDING: 0,
        resource.RLIMIT_NICE: 0,
        resource.RLIMIT_RTPRIO: 0,
        resource.RLIMIT_NOFILE: _DESCRIPTORS if program is None else _PROGRAM_DESCRIPTORS,
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_STACK: stack_bytes,
    }
    if program is None:
        limits[resource.RLIMIT_NPROC] = 0
    for limit, value in limits.items():
        _, hard = resource.getrlimit(limit)
        bounded = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(limit, (bounded, bounded))
        except (OSError, ValueError) as error:
            raise SetUpError(
                Layer.RLIMITS, f"setrlimit({limit}, {bounded}) failed: {error}", "allow the server's user to lower it"
            ) from error


def refuse_descriptors() -> None:
    """Let no more descriptors be opened, whatever a call would open. After the filter, which opens one."""
    try:
        syscalls.setrlimit(resource.RLIMIT_NOFILE, 0, 0)
    except OSError as error:
        raise SetUpError(Layer.RLIMITS, f"setrlimit(NOFILE, 0) failed: {error}", "allow setrlimit(2)") from error
