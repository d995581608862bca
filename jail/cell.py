"""A cell: what happens in a process forked from the zygote, from its first step to its end.

It shuts itself in, layer by layer, each step named and timed; makes its memory ready, and where that is asked of it
rehearses its job behind all layers; says READY; reads one request; works; ends. Order of entry: a step that needs a
privilege comes before the one that gives it up, and what would forbid another step comes after it.
"""

from __future__ import annotations

import fcntl
import gc
import io
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, Self

import prctl

from jail import capabilities, cgroups, elf, landlock, mounts, namespaces, policy, rlimits, seccomp, syscalls, wire
from jail.errors import SetUpError
from jail.job import Job
from jail.layers import Layer
from jail.policy import HANDOVER_FD, REPLY_FD, REQUEST_FD
from jail.pretouch import Footprint
from jail.result import EXIT_CRASHED, EXIT_MEMORY, EXIT_SETUP
from jail.spec import Program

_MAX_DESCRIPTOR = (1 << 32) - 1
_NAMING = frozenset({Layer.SECCOMP, Layer.DESCRIPTORS})
_SMALL = 32 << 10
"""A frame shorter than this goes out in one write, head and content."""


@dataclass(frozen=True, slots=True)
class Enclosure:
    """What all cells of a zygote are shut in by, made ready in it. ``tree`` is None without cgroups."""

    layers: frozenset[Layer]
    tree: cgroups.Tree | None
    privileged: bool
    last_capability: int
    landlock_abi: int
    mount_point: str
    cpu_s: int
    stack_bytes: int
    filters: seccomp.Ready
    zygote: int
    """Its process id as its cells see it: 0 from PID namespaces of their own, which the kernel ends with it anyway."""
    program: Program | None = None
    executed: tuple[str, ...] = ()
    """The program and its loader."""

    @property
    def naming(self) -> bool:
        """Whether the zygote hears of violations. Only of cells that end with it, and hold nothing of one another's."""
        return self.layers >= _NAMING and bool(self.layers & {Layer.PROCESS, Layer.PID_NAMESPACE})

    @classmethod
    def prepare(
        cls,
        layers: frozenset[Layer],
        tree: cgroups.Tree | None,
        policy_path: Path,
        cpu_s: int,
        stack_bytes: int,
        *,
        program: Program | None = None,
        dangerously_record: bool = False,
    ) -> Self:
        """In the zygote: read what a cell in its own root can't read any more. Raises `PolicyError`, `SpecError`."""
        executed: tuple[str, ...] = ()
        if program is not None:
            loader = elf.interpreter(program.path)
            executed = (program.path,) if loader is None else (program.path, loader)
            if program.network:
                layers -= {Layer.NETWORK_NAMESPACE}
        read = policy.read(policy_path)
        compiled = seccomp.Ready.of(seccomp.compile_filters(read))
        return cls(
            layers=layers,
            tree=tree,
            privileged=Layer.USER_NAMESPACE not in layers,
            last_capability=capabilities.last_capability(),
            landlock_abi=landlock.abi(),
            mount_point=str(Path(__file__).parent),
            cpu_s=cpu_s,
            stack_bytes=stack_bytes,
            zygote=0 if Layer.PID_NAMESPACE in layers else os.getpid(),
            filters=seccomp.Ready.dangerously_recording(read) if dangerously_record else compiled,
            program=program,
            executed=executed,
        )


@dataclass(frozen=True, slots=True)
class Pipes:
    """A cell's two pipes: the request's end to read, the reply's end to write."""

    request: int
    reply: int


@dataclass(frozen=True, slots=True)
class Birth:
    """What one cell is given: its pipes, its cgroup's name, the socket to its zygote that it has while it sets up."""

    pipes: Pipes
    group: str
    handover: int
    rehearse: bool


@dataclass(frozen=True, slots=True)
class Step:
    layer: Layer
    name: str
    enter: Callable[[Enclosure, str], object]


def _join_cgroup(walls: Enclosure, group: str) -> None:
    if walls.tree is not None:
        walls.tree.join(group)


def _enter_root(walls: Enclosure) -> None:
    if walls.program is None:
        mounts.enter_empty_root(walls.mount_point)
    else:
        paths = (*walls.executed, *walls.program.reads)
        mounts.enter_program_root(walls.mount_point, paths, walls.program.scratch_bytes)


def _enter_landlock(walls: Enclosure) -> None:
    if walls.program is None:
        landlock.enter(walls.landlock_abi)
    elif Layer.MOUNTS in walls.layers or not walls.program.scratch_bytes:
        landlock.enter(
            walls.landlock_abi,
            walls.executed,
            walls.program.reads,
            scratch=walls.program.scratch_bytes > 0,
            network=walls.program.network,
        )
    else:
        # Files of the host would be in reach below the scratch.
        raise SetUpError(Layer.LANDLOCK, "a program's scratch needs a root of the cell's own", "keep the layer mounts")


def _refuse_descriptors(walls: Enclosure) -> None:
    if walls.program is None:
        rlimits.refuse_descriptors()


_DIE_WITH_ZYGOTE = Step(
    Layer.PROCESS, "death with the zygote", lambda walls, group: capabilities.die_with(walls.zygote)
)

STEPS: tuple[Step, ...] = (
    _DIE_WITH_ZYGOTE,
    Step(Layer.CGROUPS, "cgroups", _join_cgroup),
    Step(Layer.NETWORK_NAMESPACE, "network namespace", lambda walls, group: namespaces.enter_network()),
    Step(Layer.IPC_NAMESPACE, "ipc namespace", lambda walls, group: namespaces.enter_ipc()),
    Step(Layer.UTS_NAMESPACE, "uts namespace", lambda walls, group: namespaces.enter_uts()),
    Step(Layer.CGROUP_NAMESPACE, "cgroup namespace", lambda walls, group: namespaces.enter_cgroup()),
    Step(Layer.MOUNTS, "mounts", lambda walls, group: _enter_root(walls)),
    Step(Layer.RLIMITS, "rlimits", lambda walls, group: rlimits.enter(walls.cpu_s, walls.stack_bytes, walls.program)),
    Step(Layer.DESCRIPTORS, "descriptors", lambda walls, group: _close_descriptors(walls.naming)),
    Step(
        Layer.CAPABILITIES,
        "capability bounding set",
        lambda walls, group: capabilities.drop_bounding_set(walls.last_capability),
    ),
    Step(Layer.IDENTITY, "identity", lambda walls, group: capabilities.drop_identity(privileged=walls.privileged)),
    _DIE_WITH_ZYGOTE,  # of which the kernel has just let go
    Step(Layer.CAPABILITIES, "capabilities", lambda walls, group: capabilities.drop_capabilities()),
    Step(Layer.NO_NEW_PRIVS, "no_new_privs", lambda walls, group: capabilities.forbid_new_privileges()),
    Step(Layer.PROCESS, "process", lambda walls, group: capabilities.seal_process()),
    Step(Layer.LANDLOCK, "landlock", lambda walls, group: _enter_landlock(walls)),
    Step(
        Layer.SECCOMP,
        "seccomp",
        lambda walls, group: walls.filters.enter(group.encode() if walls.naming else None),
    ),
    Step(Layer.RLIMITS, "no more descriptors", lambda walls, group: _refuse_descriptors(walls)),
)
"""In the order of entry. The user namespace is the zygote's; the PID namespace comes with the fork."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a cell is for: its job, and the memory that it will want, empty where that is not known."""

    job: Job
    footprint: Footprint = field(default_factory=Footprint)


def live(work: Work, walls: Enclosure, birth: Birth) -> NoReturn:
    """All of a cell's life, in the process just forked. Never returns, never raises."""
    status = EXIT_SETUP
    try:
        prctl.set_name("cloister-cell")
        _place_descriptors(birth)
        request = io.FileIO(REQUEST_FD, "rb", closefd=False)
        report = _prepare(work, walls, birth.group, birth.rehearse)
        if report is not None:
            status = EXIT_CRASHED
            _send(wire.Kind.READY, report)
            status = _serve(work.job, request)
    except (OSError, EOFError, wire.MalformedFrameError):
        pass  # a pipe broke: the server has gone, or has given this cell up
    finally:
        os._exit(status)


def _place_descriptors(birth: Birth) -> None:
    """Put them where policies expect them. Through numbers above all, as one may sit in another's place."""
    above = HANDOVER_FD + 1
    sources = (birth.pipes.request, birth.pipes.reply, birth.handover)
    for copy, target in zip(
        [fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, above) for source in sources],
        (REQUEST_FD, REPLY_FD, HANDOVER_FD),
        strict=True,
    ):
        # A program that a cell executes must not find them: it could answer in the cell's name.
        os.dup2(copy, target, inheritable=False)
    sys.stdin = sys.stdout = sys.stderr = None  # what Python itself has where they are closed


def _close_descriptors(naming: bool) -> None:
    try:
        syscalls.close_range(0, REQUEST_FD - 1)
        syscalls.close_range(HANDOVER_FD + 1 if naming else HANDOVER_FD, _MAX_DESCRIPTOR)
    except OSError as error:
        raise SetUpError(Layer.DESCRIPTORS, str(error), "a kernel with close_range, Linux 5.9 or later") from error


def _prepare(work: Work, walls: Enclosure, group: str, rehearse: bool) -> bytes | None:
    """Enter every layer and get ready; the report of it for READY, or None where it failed and FAILED is sent."""
    try:
        # The filter comes late: filling memory takes a call that no policy allows.
        before = next(place for place, step in enumerate(STEPS) if step.layer is Layer.SECCOMP)
        steps = _enter(STEPS[:before], walls, group)
        started = time.perf_counter()
        work.footprint.touch()
        rehearsal_s = time.perf_counter() - started
        steps += _enter(STEPS[before:], walls, group)
        gc.enable()
        if rehearse or not work.footprint:
            started = time.perf_counter()
            work.job.rehearse()
            rehearsal_s += time.perf_counter() - started
        if Layer.SECCOMP in walls.layers:
            walls.filters.take_back()
    except SetUpError as error:
        _send(wire.Kind.FAILED, json.dumps([error.layer, error.why, error.fix]).encode())
        return None
    except Exception as error:  # whatever the job raises: no document is here yet, so the operator may see it all
        _send(wire.Kind.FAILED, json.dumps([None, f"{_place(error)}: {error}"[:4096], ""]).encode())
        return None
    return json.dumps({"steps": steps, "rehearsal": rehearsal_s, "layers": sorted(walls.layers)}).encode()


def _enter(steps: tuple[Step, ...], walls: Enclosure, group: str) -> list[tuple[str, float]]:
    """Take those steps whose layer is wanted; the seconds of each."""
    taken = []
    for step in steps:
        if step.layer in walls.layers:
            started = time.perf_counter()
            step.enter(walls, group)
            taken.append((step.name, time.perf_counter() - started))
    return taken


def _serve(job: Job, request: io.FileIO) -> int:
    """Read the request, do it, and say how it went; the status to exit with."""
    header = _receive(request, wire.Kind.HEADER)
    body = _receive(request, wire.Kind.BODY)
    try:
        job.run(bytes(header), memoryview(body), _reply)
    except MemoryError:
        return EXIT_MEMORY
    except Exception as error:  # an expected end of a cell, whatever it is: the server is told what and where
        _send(wire.Kind.CRASHED, _place(error).encode("ascii", errors="replace"))
        return EXIT_CRASHED
    _send(wire.Kind.END, b"")
    return 0


def _place(error: Exception) -> str:
    """Type and line of an exception. Not its text, which may quote the document.

    `traceback` would open the source file to quote it, which is death in here.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    path = "/".join(trace.tb_frame.f_code.co_filename.split("/")[-3:])
    return f"{type(error).__name__[:60]} at {path[-100:]}:{trace.tb_lineno}"


def _receive(request: io.FileIO, kind: wire.Kind) -> bytearray:
    raw = bytearray(wire.HEAD_BYTES)
    _fill(request, raw)
    sent, length = wire.parse_head(raw)
    if sent is not kind:
        raise wire.MalformedFrameError(f"{sent.name} where {kind.name} belongs")
    content = bytearray(length)
    _fill(request, content)
    return content


def _fill(request: io.FileIO, into: bytearray) -> None:
    with memoryview(into) as view:
        filled = 0
        while filled < len(view):
            read = request.readinto(view[filled:])
            if not read:
                raise EOFError
            filled += read


def _reply(payload: bytes) -> None:
    _send(wire.Kind.PAYLOAD, payload)


def _send(kind: wire.Kind, content: bytes) -> None:
    head = wire.head(kind, len(content))
    parts = (head + content,) if len(content) < _SMALL else (head, content)
    for part in parts:
        with memoryview(part) as view:
            written = 0
            while written < len(view):
                written += os.write(REPLY_FD, view[written:])
