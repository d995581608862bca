"""Attacks on the kernel: doors into it that a cell has no use for, and what it keeps for all processes together."""

from __future__ import annotations

import ctypes
import os
import secrets
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from jail import syscalls
from jail.attacks.attack import Arguments, Attack, Scene, Target, number, text
from jail.attacks.machine import Machine, NotHereError, RefusedError
from jail.attacks.victim import Victim
from jail.layers import Layer

_PROT_READ, _PROT_WRITE, _PROT_EXEC = 1, 2, 4
_ANONYMOUS = 0x22
"""MAP_PRIVATE | MAP_ANONYMOUS"""
_PAGE = 4096
_X32 = 0x40000000
_GETPID_32 = 20
_SESSION_KEYRING = -3
_KEYCTL_READ, _KEYCTL_UNLINK = 11, 9
_IPC_CREAT, _IPC_RMID = 0o1000, 0
_SECRET_BYTES = 16
_POWER = (Layer.SECCOMP, Layer.IDENTITY, Layer.CAPABILITIES)
"""What takes root's powers away."""


# Deeds, in the cell. Loot is "done" where a call's success is all there is to see.


def _called(name: str, *arguments: int | bytes) -> Callable[[Machine, Arguments], bytes]:
    def deed(machine: Machine, _: Arguments) -> bytes:
        machine.call(name, *arguments)
        return b"done"

    return deed


def _map_code(machine: Machine, arguments: Arguments) -> bytes:
    machine.need_x86_64()
    protection = _PROT_READ | _PROT_WRITE | _PROT_EXEC
    return _run_at(machine, machine.call("mmap", 0, _PAGE, protection, _ANONYMOUS, -1, 0), arguments)


def _write_code(machine: Machine, arguments: Arguments) -> bytes:
    machine.need_x86_64()
    page = machine.call("mmap", 0, _PAGE, _PROT_READ | _PROT_WRITE, _ANONYMOUS, -1, 0)
    return _run_at(machine, page, arguments, protect=True)


def _write_over_code(machine: Machine, arguments: Arguments) -> bytes:
    machine.need_x86_64()
    return _run_at(machine, machine.code, arguments)


def _run_at(machine: Machine, page: int, arguments: Arguments, *, protect: bool = False) -> bytes:
    """Write code to a page and run it: it returns a number chosen outside."""
    code = returning(number(arguments, "number"))
    ctypes.memmove(page, code, len(code))
    if protect:
        machine.call("mprotect", page, _PAGE, _PROT_READ | _PROT_EXEC)
    return str(machine.run(page)).encode()


def returning(result: int) -> bytes:
    """Code of a function: mov eax, result; ret."""
    return b"\xb8" + struct.pack("<I", result) + b"\xc3"


def _enter_by_i386(machine: Machine, arguments: Arguments) -> bytes:
    machine.call_32(_GETPID_32)
    return b"done"


def _enter_by_x32(machine: Machine, arguments: Arguments) -> bytes:
    machine.need_x86_64()
    try:
        machine.call_number(_X32 | 39)  # getpid
    except RefusedError as error:
        if str(error) == "ENOSYS":
            raise NotHereError("this kernel has no x32") from error
        raise
    return b"done"


def _load_bpf(machine: Machine, arguments: Arguments) -> bytes:
    """BPF_MAP_CREATE: an array of one entry."""
    attributes = struct.pack("=4I", 2, 4, 8, 1).ljust(128, b"\0")
    machine.call("bpf", 0, attributes, len(attributes))
    return b"done"


def _watch_performance(machine: Machine, arguments: Arguments) -> bytes:
    """A software event that counts nothing: type, size, config, and the flag to start disabled."""
    attributes = struct.pack("=IIQQQQQ", 1, 64, 0, 0, 0, 0, 1).ljust(64, b"\0")
    machine.call("perf_event_open", attributes, 0, -1, -1, 0)
    return b"done"


def _set_up_ring(machine: Machine, arguments: Arguments) -> bytes:
    machine.call("io_uring_setup", 1, ctypes.create_string_buffer(120))
    return b"done"


def _read_key(machine: Machine, arguments: Arguments) -> bytes:
    return machine.fetch("keyctl", _KEYCTL_READ, number(arguments, "key"), size=64)


def _mount(machine: Machine, arguments: Arguments) -> bytes:
    path = text(arguments, "path").encode()
    machine.call("mount", b"attack", path, b"tmpfs", 0, b"size=4k")
    return b"done"


def _rename_host(machine: Machine, arguments: Arguments) -> bytes:
    name = text(arguments, "name").encode()
    machine.call("sethostname", name, len(name))
    return b"done"


def _join_namespace(machine: Machine, arguments: Arguments) -> bytes:
    pidfd = machine.call("pidfd_open", number(arguments, "pid"), 0)
    machine.call("setns", pidfd, syscalls.CLONE_NEWNET)
    return b"done"


def _read_segment(machine: Machine, arguments: Arguments) -> bytes:
    segment = machine.call("shmget", number(arguments, "key"), 0, 0)
    return ctypes.string_at(machine.call("shmat", segment, 0, 0), _SECRET_BYTES)


def _leave_segment(machine: Machine, arguments: Arguments) -> bytes:
    """Leaves something in shared memory for the next request, or brings out what an earlier one left."""
    if "content" not in arguments:
        return _read_segment(machine, arguments)
    content = text(arguments, "content").encode()
    segment = machine.call("shmget", number(arguments, "key"), _PAGE, _IPC_CREAT | 0o666)
    ctypes.memmove(machine.call("shmat", segment, 0, 0), content, len(content))
    return b"left"


def _read_message(machine: Machine, arguments: Arguments) -> bytes:
    queue = machine.call("mq_open", text(arguments, "name").encode(), os.O_RDONLY | os.O_NONBLOCK, 0, 0)
    return machine.fetch("mq_timedreceive", queue, size=64, after=(0, 0))


# Targets, outside.


@contextmanager
def done(scene: Scene) -> Iterator[Target]:
    yield Target({}, lambda answer: answer.loot == b"done")


@contextmanager
def _number(scene: Scene) -> Iterator[Target]:
    chosen = secrets.randbelow(1 << 31)
    yield Target({"number": chosen}, lambda answer: answer.loot == str(chosen).encode())


@contextmanager
def _key(scene: Scene) -> Iterator[Target]:
    """A key of the session that the stage and its pools were started in."""
    secret = secrets.token_hex(_SECRET_BYTES // 2).encode()
    machine = Machine()
    try:
        name = f"cloister-{secrets.token_hex(4)}".encode()
        key = machine.call("add_key", b"user", name, secret, len(secret), _SESSION_KEYRING)
    except RefusedError as error:
        raise NotHereError(f"no key can be made here: {error}") from error
    try:
        yield Target({"key": key}, lambda answer: answer.loot == secret)
    finally:
        machine.call("keyctl", _KEYCTL_UNLINK, key, _SESSION_KEYRING)


@contextmanager
def _mount_point(scene: Scene) -> Iterator[Target]:
    path = scene.folder / "mount"
    path.mkdir(mode=0o777)
    try:
        yield Target({"path": str(path)}, lambda answer: path.is_mount())
    finally:
        if path.is_mount():
            syscalls.umount2(str(path), syscalls.MNT_DETACH)
        path.rmdir()


@contextmanager
def _host_name(scene: Scene) -> Iterator[Target]:
    """The stage's name of the host, which is in a UTS namespace of the stage's own."""
    before = socket.gethostname()
    name = f"attacked-{secrets.token_hex(4)}"
    try:
        yield Target({"name": name}, lambda answer: socket.gethostname() == name)
    finally:
        if socket.gethostname() != before:
            socket.sethostname(before)


@contextmanager
def _process(scene: Scene) -> Iterator[Target]:
    with Victim("") as victim:
        yield Target({"pid": victim.held.pid}, lambda answer: answer.loot == b"done")


@contextmanager
def _segment(scene: Scene) -> Iterator[Target]:
    machine = Machine()
    secret = secrets.token_hex(_SECRET_BYTES // 2).encode()
    key = secrets.randbelow(1 << 30) + 1
    segment = machine.call("shmget", key, _PAGE, _IPC_CREAT | 0o644)
    try:
        address = machine.call("shmat", segment, 0, 0)
        ctypes.memmove(address, secret, len(secret))
        machine.call("shmdt", address)
        yield Target({"key": key}, lambda answer: answer.loot == secret)
    finally:
        machine.call("shmctl", segment, _IPC_RMID, 0)


@contextmanager
def _left_segment(scene: Scene) -> Iterator[Target]:
    machine = Machine()
    left = secrets.token_hex(_SECRET_BYTES // 2)
    key = secrets.randbelow(1 << 30) + 1
    try:
        yield Target({"key": key}, lambda answer: answer.loot == left.encode(), before={"key": key, "content": left})
    finally:
        with suppress(RefusedError):
            machine.call("shmctl", machine.call("shmget", key, 0, 0), _IPC_RMID, 0)


@contextmanager
def _queue(scene: Scene) -> Iterator[Target]:
    machine = Machine()
    secret = secrets.token_hex(_SECRET_BYTES // 2).encode()
    name = f"cloister-{secrets.token_hex(4)}"
    size = struct.pack("@8l", 0, 1, 64, 0, 0, 0, 0, 0)
    queue = machine.call("mq_open", name.encode(), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644, size)
    try:
        machine.call("mq_timedsend", queue, secret, len(secret), 0, 0)
        yield Target({"name": name}, lambda answer: answer.loot == secret)
    finally:
        os.close(queue)
        machine.call("mq_unlink", name.encode())


ATTACKS = (
    Attack("map code", _number, _map_code, (Layer.SECCOMP, Layer.PROCESS)),
    Attack("write code", _number, _write_code, (Layer.SECCOMP, Layer.PROCESS)),
    Attack("write over code", _number, _write_over_code, (Layer.PROCESS,)),
    Attack("enter by i386's calls", done, _enter_by_i386, (Layer.SECCOMP,)),
    Attack("enter by x32's calls", done, _enter_by_x32, (Layer.SECCOMP,)),
    Attack("use bpf", done, _load_bpf, (*_POWER, Layer.RLIMITS)),
    Attack("use userfaultfd", done, _called("userfaultfd", 0), (*_POWER, Layer.RLIMITS)),
    Attack("use io_uring", done, _set_up_ring, (Layer.SECCOMP, Layer.RLIMITS)),
    Attack("use perf events", done, _watch_performance, (Layer.SECCOMP, Layer.RLIMITS)),
    Attack("use the machine's ports", done, _called("ioperm", 0x80, 1, 1), _POWER),
    Attack("read a key of the server's", _key, _read_key, (Layer.SECCOMP, Layer.PROCESS)),
    Attack("make a user namespace", done, _called("unshare", syscalls.CLONE_NEWUSER), (Layer.SECCOMP,)),
    Attack("make a mount namespace", done, _called("unshare", syscalls.CLONE_NEWNS), _POWER),
    Attack("join a namespace", _process, _join_namespace, (*_POWER, Layer.PID_NAMESPACE, Layer.RLIMITS)),
    Attack("mount a file system", _mount_point, _mount, (*_POWER, Layer.MOUNTS, Layer.LANDLOCK)),
    Attack("rename the host", _host_name, _rename_host, (*_POWER, Layer.UTS_NAMESPACE)),
    Attack("read shared memory of System V", _segment, _read_segment, (Layer.SECCOMP, Layer.IPC_NAMESPACE)),
    Attack("leave something for the next request", _left_segment, _leave_segment, (Layer.SECCOMP, Layer.IPC_NAMESPACE)),
    Attack("read a POSIX message queue", _queue, _read_message, (Layer.SECCOMP, Layer.IPC_NAMESPACE, Layer.RLIMITS)),
)
