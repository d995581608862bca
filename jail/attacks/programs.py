"""Attacks from cells that execute a vendor's program: they have more in reach, and other barriers between.

Their policy allows files, processes and threads, and so stops less by itself; where files end, root and Landlock say.
The attacks on all cells are tried from these too, each with the barriers that are left, and some that are of use here
alone. What attacks is the cell: the program that it executes inherits its layers, and has no pipe to the server.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from jail import syscalls
from jail.attacks import files, kernel, network, processes, resources
from jail.attacks.attack import Arguments, Attack, Barrier, Cells, Guard, Scene, Target, number, text
from jail.attacks.machine import Machine
from jail.layers import Layer

PREFIX = "program: "
"""What the names of these begin with."""
_FORK = 17
"""SIGCHLD: clone(2) with this alone is fork(2)."""
_PROT_READ_EXEC, _MAP_PRIVATE = 5, 2
_PAGE = 4096
_AWAY = (Layer.MOUNTS, Layer.LANDLOCK)
_ALONE = (Layer.PID_NAMESPACE, Layer.LANDLOCK, Layer.IDENTITY)
_OTHERS = (Layer.SECCOMP, *_ALONE)
_POWER = (Layer.SECCOMP, Layer.IDENTITY, Layer.CAPABILITIES)

_BARRIERS: dict[str, tuple[Barrier, ...]] = {
    "read a file": _AWAY,
    "climb out of the root": _AWAY,
    "overwrite a file": _AWAY,
    "fill the disk": (*_AWAY, Layer.RLIMITS),
    "fill /dev/shm": (*_AWAY, Layer.RLIMITS),
    "use up inodes": _AWAY,
    "raise a cgroup's bound": (*_AWAY, Layer.IDENTITY),
    "learn where on the host it is": (*_AWAY, Layer.CGROUP_NAMESPACE),
    "read a process's environment in /proc": (*_AWAY, Layer.IDENTITY),
    "read a process's memory in /proc": (*_AWAY, Layer.IDENTITY),
    "write to another's pipe in /proc": (*_AWAY, Layer.IDENTITY),
    "type into a terminal": (*_AWAY, Layer.SECCOMP, Layer.IDENTITY, Layer.CAPABILITIES),
    "use an inherited descriptor": (Layer.DESCRIPTORS,),
    "read its own environment": (Guard.ENVIRONMENT,),
    "execute a program": _AWAY,
    "execute a program from memory": (Layer.SECCOMP,),
    "become root by a set-uid program": (Layer.MOUNTS, Layer.NO_NEW_PRIVS),
    "kill a process": _OTHERS,
    "kill a process by its descriptor": _OTHERS,
    "see a neighbouring cell": (Layer.SECCOMP, Layer.PID_NAMESPACE, Layer.LANDLOCK),
    "kill a neighbouring cell": (Layer.SECCOMP, Layer.PID_NAMESPACE, Layer.LANDLOCK),
    "trace a process": (*_OTHERS, Layer.CAPABILITIES),
    "read a process's memory": (*_OTHERS, Layer.CAPABILITIES),
    "write to a process's memory": (*_OTHERS, Layer.CAPABILITIES),
    "read a zygote's memory": (*_OTHERS, Layer.CAPABILITIES),
    "signal a zygote": _OTHERS,
    "steal a descriptor": (*_OTHERS, Layer.CAPABILITIES),
    "fork many times": (Layer.CGROUPS,),
    "outlive the request": (Layer.PID_NAMESPACE, Layer.CGROUPS),
    "open sockets of every family": (Layer.SECCOMP,),
    "connect by TCP": (Layer.SECCOMP, Layer.NETWORK_NAMESPACE, Layer.LANDLOCK),
    "send by UDP": (Layer.SECCOMP, Layer.NETWORK_NAMESPACE),
    "connect to an abstract unix socket": (Layer.SECCOMP, Layer.NETWORK_NAMESPACE, Layer.LANDLOCK),
    "connect to a unix socket": (Layer.SECCOMP, Layer.MOUNTS),
    "listen for callers": (Layer.SECCOMP, Layer.LANDLOCK),
    "map code": (Layer.SECCOMP, Layer.PROCESS),
    "write code": (Layer.SECCOMP, Layer.PROCESS),
    "enter by i386's calls": (Layer.SECCOMP,),
    "enter by x32's calls": (Layer.SECCOMP,),
    "use bpf": _POWER,
    "use userfaultfd": _POWER,
    "use io_uring": (Layer.SECCOMP,),
    "use perf events": (Layer.SECCOMP,),
    "use the machine's ports": _POWER,
    "read a key of the server's": (Layer.SECCOMP, Layer.PROCESS),
    "make a user namespace": (Layer.SECCOMP,),
    "make a mount namespace": _POWER,
    "join a namespace": (*_POWER, Layer.PID_NAMESPACE),
    "mount a file system": (*_POWER, *_AWAY),
    "rename the host": (*_POWER, Layer.UTS_NAMESPACE),
    "read shared memory of System V": (Layer.SECCOMP, Layer.IPC_NAMESPACE),
    "leave something for the next request": (Layer.SECCOMP, Layer.IPC_NAMESPACE),
    "read a POSIX message queue": (Layer.SECCOMP, Layer.IPC_NAMESPACE),
    "use up memory": (Layer.CGROUPS,),
    "use up time": (Guard.DEADLINE, Layer.RLIMITS),
    "use up time, deaf to signals": (Guard.DEADLINE, Layer.RLIMITS),
    "find what an earlier request left in memory": (Guard.OWN_PROCESS,),
}
"""What stops from here what is tried from all cells, most telling first."""


# Deeds, in the cell.


def _signal_thread(machine: Machine, arguments: Arguments) -> bytes:
    """By tgkill(2), which programs have for abort()."""
    pid = number(arguments, "pid")
    machine.call("tgkill", pid, pid, number(arguments, "signal"))
    return b"sent"


def _make_user_namespace(machine: Machine, arguments: Arguments) -> bytes:
    """By clone(2), which programs have for processes and threads."""
    child = machine.call("clone", syscalls.CLONE_NEWUSER | _FORK, 0, 0, 0, 0)
    if child == 0:
        machine.call("exit_group", 0)
    machine.call("wait4", child, 0, 0, 0)
    return b"done"


def _execute_written(machine: Machine, arguments: Arguments) -> bytes:
    files.write_new(machine, text(arguments, "path"), bytes.fromhex(text(arguments, "program")))
    return files.execute(machine, arguments)


def _map_written(machine: Machine, arguments: Arguments) -> bytes:
    """Code from a file of its own making."""
    machine.need_x86_64()
    path = text(arguments, "path")
    files.write_new(machine, path, kernel.returning(number(arguments, "number")).ljust(_PAGE, b"\0"))
    fd = files.open_file(machine, path)
    return str(machine.run(machine.call("mmap", 0, _PAGE, _PROT_READ_EXEC, _MAP_PRIVATE, fd, 0))).encode()


def _leave_file(machine: Machine, arguments: Arguments) -> bytes:
    """Leaves a file for the next request, or brings out what an earlier one left."""
    if "content" not in arguments:
        return files.read(machine, arguments)
    files.write_new(machine, text(arguments, "path"), text(arguments, "content").encode())
    return b"left"


# Targets, outside.


@contextmanager
def _own_file(scene: Scene) -> Iterator[Target]:
    """One that the program may read, as it may its models."""
    path = scene.shelf / "model"
    path.write_text("0" * 16)
    path.chmod(0o666)
    forged = secrets.token_hex(8)
    yield Target({"path": str(path), "content": forged}, lambda answer: path.read_text() == forged)


@contextmanager
def _other_program(scene: Scene) -> Iterator[Target]:
    """One that lies beside what the program may read."""
    secret = secrets.token_hex(8)
    path = scene.shelf / "tool"
    path.write_bytes(files.answering(secret))
    path.chmod(0o755)
    try:
        yield Target({"path": str(path)}, files.looted(secret))
    finally:
        path.unlink()


@contextmanager
def _written_program(scene: Scene) -> Iterator[Target]:
    secret = secrets.token_hex(8)
    with _place(scene) as path:
        yield Target({"path": path, "program": files.answering(secret).hex()}, files.looted(secret))


@contextmanager
def _written_code(scene: Scene) -> Iterator[Target]:
    chosen = secrets.randbelow(1 << 31)
    with _place(scene) as path:
        yield Target({"path": path, "number": chosen}, lambda answer: answer.loot == str(chosen).encode())


@contextmanager
def _full_scratch(scene: Scene) -> Iterator[Target]:
    """Reached by writing more than the scratch may hold, which is less than what is written."""
    with _place(scene) as path:
        yield Target({"path": path}, lambda answer: answer.loot == str(files.FILLING_BYTES).encode())


@contextmanager
def _left_file(scene: Scene) -> Iterator[Target]:
    left = secrets.token_hex(8)
    with _place(scene) as path:
        yield Target({"path": path}, files.looted(left), before={"path": path, "content": left})


@contextmanager
def _place(scene: Scene) -> Iterator[str]:
    """Where a file may be made in the scratch; what is left there, where the stage can see it, goes."""
    path = scene.scratch / f"attack-{secrets.token_hex(4)}"
    try:
        yield str(path)
    finally:
        if scene.scratch.is_relative_to(scene.folder):
            path.unlink(missing_ok=True)


_TRIED = {
    attack.name: attack
    for attack in (
        *files.ATTACKS,
        *processes.ATTACKS,
        *network.ATTACKS,
        *kernel.ATTACKS,
        *resources.ATTACKS,
    )
}

ATTACKS = (
    *(
        replace(_TRIED[name], name=PREFIX + name, barriers=barriers, cells=Cells.PROGRAM)
        for name, barriers in _BARRIERS.items()
    ),
    *(
        Attack(PREFIX + name, aim, deed, barriers, cells=Cells.PROGRAM)
        for name, aim, deed, barriers in (
            ("signal a process by its thread", processes.signalled, _signal_thread, _ALONE),
            ("make a user namespace by clone", kernel.done, _make_user_namespace, (Layer.SECCOMP,)),
            ("change the program's own files", _own_file, files.overwrite, _AWAY),
            ("execute what it may read", _other_program, files.execute, (Layer.LANDLOCK,)),
            ("execute what it wrote", _written_program, _execute_written, _AWAY),
            ("map code that it wrote", _written_code, _map_written, (Layer.MOUNTS,)),
            ("fill the scratch", _full_scratch, files.fill, (Layer.RLIMITS, Layer.MOUNTS)),
            ("leave a file for the next request", _left_file, _leave_file, (Layer.MOUNTS,)),
        )
    ),
)
