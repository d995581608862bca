"""Attacks on other processes, and by processes of one's own."""

from __future__ import annotations

import ctypes
import os
import secrets
import signal
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jail.attacks.attack import Arguments, Attack, Scene, Target, number, text
from jail.attacks.machine import Machine, NotHereError, RefusedError
from jail.attacks.victim import Victim
from jail.layers import Layer
from jail.policy import REPLY_FD

_CHILDREN = 24
_LIFE_S = 60
"""A child that outlived its cell ends by itself after so long."""
_ATTACH, _PEEK, _DETACH = 16, 2, 17
_PR_SET_NAME = 15
_FORK = signal.SIGCHLD
"""clone(2) with these flags is fork(2)."""
_STOPPED = 2
"""WUNTRACED."""
_SOON_S = 20.0
_DYING_S = 5.0
"""How long what was killed may take to be gone."""
_WORDS_BYTES = 16
"""What is read of another's memory."""
_NAME_BYTES = 24
"""From a stack's end, down to where the last letters of the program's name are."""
_READ_WRITE, _SHARED_ANONYMOUS = 3, 0x21
_OTHERS = (Layer.SECCOMP, Layer.PID_NAMESPACE, Layer.LANDLOCK, Layer.IDENTITY)


# Deeds, in the cell.


def _signal(machine: Machine, arguments: Arguments) -> bytes:
    machine.call("kill", number(arguments, "pid"), number(arguments, "signal"))
    return b"sent"


def _signal_by_descriptor(machine: Machine, arguments: Arguments) -> bytes:
    pidfd = machine.call("pidfd_open", number(arguments, "pid"), 0)
    machine.call("pidfd_send_signal", pidfd, number(arguments, "signal"), 0, 0)
    return b"sent"


def _trace(machine: Machine, arguments: Arguments) -> bytes:
    pid = number(arguments, "pid")
    machine.call("ptrace", _ATTACH, pid, 0, 0)
    machine.call("wait4", pid, 0, _STOPPED, 0)
    word = (ctypes.c_uint64 * 2)()
    for place in range(2):
        machine.call("ptrace", _PEEK, pid, number(arguments, "address") + 8 * place, ctypes.addressof(word) + 8 * place)
    machine.call("ptrace", _DETACH, pid, 0, 0)
    return bytes(word)


def _read_memory(machine: Machine, arguments: Arguments) -> bytes:
    found = ctypes.create_string_buffer(_WORDS_BYTES)
    ours = struct.pack("@PN", ctypes.addressof(found), _WORDS_BYTES)
    theirs = struct.pack("@PN", number(arguments, "address"), _WORDS_BYTES)
    machine.call("process_vm_readv", number(arguments, "pid"), ours, 1, theirs, 1, 0)
    return found.raw


def _write_memory(machine: Machine, arguments: Arguments) -> bytes:
    """Changes the secret, and reads it back."""
    forged = ctypes.create_string_buffer(text(arguments, "content").encode(), _WORDS_BYTES)
    ours = struct.pack("@PN", ctypes.addressof(forged), _WORDS_BYTES)
    theirs = struct.pack("@PN", number(arguments, "address"), _WORDS_BYTES)
    machine.call("process_vm_writev", number(arguments, "pid"), ours, 1, theirs, 1, 0)
    return _read_memory(machine, arguments)


def _steal_descriptor(machine: Machine, arguments: Arguments) -> bytes:
    content = text(arguments, "content").encode()
    pidfd = machine.call("pidfd_open", number(arguments, "pid"), 0)
    fd = machine.call("pidfd_getfd", pidfd, number(arguments, "fd"), 0)
    return str(machine.call("write", fd, content, len(content))).encode()


def _fork_many(machine: Machine, arguments: Arguments) -> bytes:
    children: list[int] = []
    try:
        for _ in range(_CHILDREN):
            child = machine.call("clone", _FORK, 0, 0, 0, 0)
            if child == 0:
                _wait_to_die(machine)
            children.append(child)
    finally:
        for child in children:
            machine.call("tgkill", child, child, signal.SIGKILL)
            machine.call("wait4", child, 0, 0, 0)
    return str(len(children)).encode()


def _fork_by_clone3(machine: Machine, arguments: Arguments) -> bytes:
    child = machine.call("clone3", struct.pack("@8Q", 0, 0, 0, 0, _FORK, 0, 0, 0), 64)
    if child == 0:
        machine.call("exit_group", 0)
    machine.call("wait4", child, 0, 0, 0)
    return b"forked"


def _outlive(machine: Machine, arguments: Arguments) -> bytes:
    shared = machine.call("mmap", 0, 4096, _READ_WRITE, _SHARED_ANONYMOUS, -1, 0)
    if machine.call("clone", _FORK, 0, 0, 0, 0) == 0:
        machine.call("prctl", _PR_SET_NAME, text(arguments, "name").encode())
        machine.call("close", REPLY_FD)  # or the server could wait for it
        ctypes.memset(shared, 1, 1)
        _wait_to_die(machine)
    until = time.monotonic() + _SOON_S
    while ctypes.string_at(shared, 1) == b"\0" and time.monotonic() < until:
        machine.call("sched_yield")
    return b"left a child behind"


def _wait_to_die(machine: Machine) -> None:
    """A child's life: asleep, and not for long."""
    with suppress(RefusedError):
        machine.call("nanosleep", struct.pack("@2l", _LIFE_S, 0), 0)
    machine.call("exit_group", 0)


# Targets, outside.


@contextmanager
def signalled(scene: Scene) -> Iterator[Target]:
    with Victim("") as victim:
        yield Target(
            {"pid": victim.held.pid, "signal": int(signal.SIGTERM)},
            lambda answer: bool(answer.loot) and victim.dies(),
        )


@contextmanager
def _neighbour(scene: Scene) -> Iterator[Target]:
    """An idle cell of another pool, which puts another in its place."""
    gone = os.pidfd_open(scene.neighbour)
    try:
        yield Target(
            {"pid": scene.neighbour, "signal": int(signal.SIGKILL)}, lambda answer: bool(answer.loot) and _ends(gone)
        )
    finally:
        os.close(gone)


def _ends(pidfd: int) -> bool:
    deadline = time.monotonic() + _SOON_S
    while time.monotonic() < deadline:
        try:
            signal.pidfd_send_signal(pidfd, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


@contextmanager
def _seen(scene: Scene) -> Iterator[Target]:
    yield Target({"pid": scene.neighbour, "signal": 0}, lambda answer: bool(answer.loot))


@contextmanager
def _memory(scene: Scene) -> Iterator[Target]:
    secret, forged = secrets.token_hex(8), secrets.token_hex(8)
    with Victim(secret) as victim:
        arguments: Arguments = {"pid": victim.held.pid, "address": victim.held.address, "content": forged}
        yield Target(arguments, lambda answer: answer.loot in {secret.encode(), forged.encode()})


@contextmanager
def _zygotes_memory(scene: Scene) -> Iterator[Target]:
    """The end of a zygote's stack, where the name of its program is: of another engine's, so that addresses differ."""
    try:
        maps = Path(f"/proc/{scene.zygote}/maps").read_text().splitlines()
        end = next(int(line.split()[0].split("-")[1], 16) for line in maps if line.endswith("[stack]"))
        with open(f"/proc/{scene.zygote}/mem", "rb") as memory:
            memory.seek(end - _NAME_BYTES)
            held = memory.read(_WORDS_BYTES)
    except PermissionError as error:
        raise NotHereError(f"it is not for the stage either: {error}") from error
    yield Target({"pid": scene.zygote, "address": end - _NAME_BYTES}, lambda answer: answer.loot == held)


@contextmanager
def _zygote(scene: Scene) -> Iterator[Target]:
    """Signal 0: whether it could be signalled."""
    yield Target({"pid": scene.zygote, "signal": 0}, lambda answer: bool(answer.loot))


@contextmanager
def _pipe(scene: Scene) -> Iterator[Target]:
    forged = secrets.token_hex(8)
    with Victim("") as victim:
        arguments: Arguments = {"pid": victim.held.pid, "fd": victim.held.pipe, "content": forged}
        yield Target(arguments, lambda answer: victim.in_pipe() == forged.encode())


@contextmanager
def _children(scene: Scene) -> Iterator[Target]:
    yield Target({}, lambda answer: answer.loot == str(_CHILDREN).encode())


@contextmanager
def _child(scene: Scene) -> Iterator[Target]:
    yield Target({}, lambda answer: answer.loot == b"forked")


@contextmanager
def _survivor(scene: Scene) -> Iterator[Target]:
    name = f"left-{secrets.token_hex(4)}"
    try:
        yield Target({"name": name}, lambda answer: _survives(name))
    finally:
        left = _named(name)
        if left is not None:
            os.kill(left, signal.SIGKILL)


def _survives(name: str) -> bool:
    """Whether a process of that name lives on, although whatever kills it has had its time."""
    until = time.monotonic() + _DYING_S
    while _named(name) is not None:
        if time.monotonic() > until:
            return True
        time.sleep(0.02)
    return False


def _named(name: str) -> int | None:
    """The living process of that name; its cell has been reaped, so it is not that."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            content = status.read_text()
            if f"({name})" in content and content.rpartition(") ")[2][0] != "Z":
                return int(status.parent.name)
    return None


ATTACKS = (
    Attack("kill a process", signalled, _signal, _OTHERS),
    Attack("kill a process by its descriptor", signalled, _signal_by_descriptor, (*_OTHERS, Layer.RLIMITS)),
    Attack("see a neighbouring cell", _seen, _signal, (Layer.SECCOMP, Layer.PID_NAMESPACE, Layer.LANDLOCK)),
    Attack("kill a neighbouring cell", _neighbour, _signal, (Layer.SECCOMP, Layer.PID_NAMESPACE, Layer.LANDLOCK)),
    Attack("trace a process", _memory, _trace, (*_OTHERS, Layer.CAPABILITIES)),
    Attack("read a process's memory", _memory, _read_memory, (*_OTHERS, Layer.CAPABILITIES)),
    Attack("write to a process's memory", _memory, _write_memory, (*_OTHERS, Layer.CAPABILITIES)),
    Attack("read a zygote's memory", _zygotes_memory, _read_memory, (*_OTHERS, Layer.CAPABILITIES)),
    Attack("signal a zygote", _zygote, _signal, _OTHERS),
    Attack("steal a descriptor", _pipe, _steal_descriptor, (*_OTHERS, Layer.CAPABILITIES, Layer.RLIMITS)),
    Attack("fork many times", _children, _fork_many, (Layer.SECCOMP, Layer.CGROUPS)),
    Attack("fork by clone3", _child, _fork_by_clone3, (Layer.SECCOMP, Layer.CGROUPS)),
    Attack("outlive the request", _survivor, _outlive, (Layer.SECCOMP, Layer.PID_NAMESPACE, Layer.CGROUPS)),
)
