"""What server and zygote say to each other: small JSON messages over a SOCK_SEQPACKET socket, descriptors beside them.

    server -> zygote:   Start   Spawn [request pipe to read, reply pipe to write] ...
    zygote -> server:   Loaded | Refused   ( Spawned [pidfd] | SpawnFailed | Exited ) ...

Neither side ever sees a document here, and both run trusted code; what a cell says goes over its own pipes
(`jail.wire`). The server says nothing at the end: it closes the socket.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

from jail.errors import ZygoteError
from jail.spec import Json

_MAX_MESSAGE = 64 << 10
_MAX_DESCRIPTORS = 2
_MAX_TEXT = 16 << 10


@dataclass(frozen=True, slots=True)
class Start:
    """What to load and how to shut its cells in: `jail.spec`'s values, flattened."""

    job: str
    kwargs: dict[str, Json]
    policy: str
    threads: list[str]
    memory_bytes: int
    pids: int
    cpus: float
    cpu_s: int
    stack_bytes: int
    background: bool
    without: list[str]
    cgroup_parent: str | None
    program: dict[str, Json] | None
    dangerously_record: str | None
    server_pid: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """The job is loaded. ``missing``: layers that this kernel lacks. ``cgroup``: name of the group that holds all.

    With it comes a descriptor of the zygote's ``/proc/self/stat``."""

    seconds: float
    missing: list[str]
    cgroup: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The zygote can't serve. ``error`` is the name of a class in `jail.errors`, ``arguments`` what to make it with."""

    error: str
    arguments: list[Json]


@dataclass(frozen=True, slots=True)
class Spawn:
    """Fork a cell. ``cell`` is its number, never used again; ``rehearse`` has it try its job behind its layers."""

    cell: int
    rehearse: bool


@dataclass(frozen=True, slots=True)
class Spawned:
    """``seconds``: making its cgroup, forking."""

    cell: int
    cgroup_s: float
    fork_s: float


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    cell: int
    layer: str
    why: str
    fix: str


@dataclass(frozen=True, slots=True)
class Exited:
    """A cell has ended and is reaped; its cgroup is gone.

    ``violation``: the call that it was killed for, as the kernel numbers it: architecture, call, six arguments.
    """

    cell: int
    wait_status: int
    oom_kills: int
    memory_peak_bytes: int
    cpu_s: float
    faults: int
    violation: list[int] | None


Message: TypeAlias = Start | Loaded | Refused | Spawn | Spawned | SpawnFailed | Exited
_KINDS: dict[str, type[Message]] = {
    kind.__name__: kind for kind in (Start, Loaded, Refused, Spawn, Spawned, SpawnFailed, Exited)
}


def send(channel: socket.socket, message: Message, descriptors: Sequence[int] = ()) -> None:
    """Send one message; blocks as the socket does."""
    raw = json.dumps([type(message).__name__, asdict(message)]).encode()
    if len(raw) > _MAX_MESSAGE:
        raise ZygoteError(f"a {type(message).__name__} of {len(raw)} bytes is too long to send")
    socket.send_fds(channel, [raw], list(descriptors))


def receive(channel: socket.socket) -> tuple[Message, list[int]] | None:
    """The next message and its descriptors, close-on-exec; None where the other side has closed."""
    raw, descriptors, flags, _ = socket.recv_fds(channel, _MAX_MESSAGE, _MAX_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        raise ZygoteError("a message was cut short: the process has too few descriptors left")
    if not raw:
        return None
    kind, fields = json.loads(raw)
    return _KINDS[kind](**fields), descriptors


def clip(text: str) -> str:
    """The end of a text that may be too long for a message: of a traceback, what matters."""
    return text[-_MAX_TEXT:]
