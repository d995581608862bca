"""Attacks on files, on what looks like files, and on programs that could be executed."""

from __future__ import annotations

import ctypes
import os
import pty
import secrets
import select
import tty
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from jail import wire
from jail.attacks.attack import Answer, Arguments, Attack, Guard, Scene, Target, number, text
from jail.attacks.machine import Machine, NotHereError, program
from jail.attacks.victim import SECRET, Held, Victim
from jail.hierarchies import groups
from jail.layers import Layer
from jail.policy import REPLY_FD

_HERE = -100
"""AT_FDCWD."""
_MANY = 32
_BLOCK = 1 << 20
_BLOCKS = 4
FILLING_BYTES = _BLOCKS * _BLOCK
_F_SETFD = 2
_EMPTY_PATH = 0x1000
_TIOCSTI = 0x5412
_AWAY = (Layer.SECCOMP, Layer.MOUNTS, Layer.LANDLOCK, Layer.RLIMITS)
"""What keeps a cell from files; the last lets nothing be opened."""


# Deeds, in the cell.


def open_file(machine: Machine, path: str, flags: int = os.O_RDONLY) -> int:
    return machine.call("openat", _HERE, path.encode(), flags, 0o644)


def read(machine: Machine, arguments: Arguments) -> bytes:
    fd = open_file(machine, text(arguments, "path"))
    return machine.fetch("read", fd, size=4096)


def overwrite(machine: Machine, arguments: Arguments) -> bytes:
    content = text(arguments, "content").encode()
    fd = open_file(machine, text(arguments, "path"), os.O_WRONLY)
    return str(machine.call("write", fd, content, len(content))).encode()


def write_new(machine: Machine, path: str, content: bytes) -> None:
    """A file that is not there yet, which anyone may execute."""
    fd = machine.call("openat", _HERE, path.encode(), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755)
    machine.call("write", fd, content, len(content))
    machine.call("close", fd)


def fill(machine: Machine, arguments: Arguments) -> bytes:
    fd = open_file(machine, text(arguments, "path"), os.O_WRONLY | os.O_CREAT)
    return str(sum(machine.call("write", fd, bytes(_BLOCK), _BLOCK) for _ in range(_BLOCKS))).encode()


def _make_many(machine: Machine, arguments: Arguments) -> bytes:
    for each in range(_MANY):
        fd = open_file(machine, f"{text(arguments, 'path')}/{each}", os.O_WRONLY | os.O_CREAT)
        machine.call("close", fd)
    return str(_MANY).encode()


def _read_memory_file(machine: Machine, arguments: Arguments) -> bytes:
    fd = open_file(machine, text(arguments, "path"))
    return machine.fetch("pread64", fd, size=16, after=(number(arguments, "address"),))


def _inject_key(machine: Machine, arguments: Arguments) -> bytes:
    fd = open_file(machine, text(arguments, "path"), os.O_RDWR | os.O_NOCTTY)
    for key in text(arguments, "content").encode():
        machine.call("ioctl", fd, _TIOCSTI, bytes([key]))
    return b"typed"


def _use_inherited(machine: Machine, arguments: Arguments) -> bytes:
    return machine.fetch("pread64", number(arguments, "keepsake"), size=64, after=(0,))


def _own_environment(machine: Machine, arguments: Arguments) -> bytes:
    variables = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
    found: list[bytes] = []
    while (variable := variables[len(found)]) is not None:
        found.append(variable)
    return b"\n".join(found)


def execute(machine: Machine, arguments: Arguments) -> bytes:
    path = text(arguments, "path").encode()
    machine.call("fcntl", REPLY_FD, _F_SETFD, 0)  # or the program would not find the pipe
    machine.call("execve", path, _pointers(path), _pointers())
    raise AssertionError("execve returned")


def _execute_memory(machine: Machine, arguments: Arguments) -> bytes:
    content = bytes.fromhex(text(arguments, "program"))
    fd = machine.call("memfd_create", b"program", 0)
    machine.call("write", fd, content, len(content))
    machine.call("fcntl", REPLY_FD, _F_SETFD, 0)
    machine.call("execveat", fd, b"", _pointers(b"program"), _pointers(), _EMPTY_PATH)
    raise AssertionError("execveat returned")


def _pointers(*texts: bytes) -> ctypes.Array[ctypes.c_char_p]:
    return (ctypes.c_char_p * (len(texts) + 1))(*texts, None)


# Targets, outside.


def looted(secret: str) -> Callable[[Answer], bool]:
    return lambda answer: secret.encode() in answer.loot


@contextmanager
def _secret_file(scene: Scene) -> Iterator[Target]:
    secret = secrets.token_hex(8)
    path = scene.folder / "secret"
    path.write_text(secret)
    path.chmod(0o644)
    yield Target({"path": str(path)}, looted(secret))


@contextmanager
def _secret_above(scene: Scene) -> Iterator[Target]:
    """The same, reached by climbing out of whatever folder the cell is in."""
    with _secret_file(scene) as target:
        path = str(target.arguments["path"])
        yield Target({"path": "../" * 20 + path.lstrip("/")}, target.reached)


@contextmanager
def _letter(scene: Scene) -> Iterator[Target]:
    path = scene.folder / "letter"
    path.write_text("0" * 16)
    path.chmod(0o666)
    forged = secrets.token_hex(8)
    yield Target({"path": str(path), "content": forged}, lambda answer: path.read_text() == forged)


@contextmanager
def _room(scene: Scene, folder: Path | None = None) -> Iterator[Target]:
    """Room for a file of a few megabytes; where it came to be, it is deleted."""
    path = (folder or scene.folder) / f"cloister-filler-{secrets.token_hex(4)}"
    try:
        yield Target({"path": str(path)}, lambda answer: path.exists() and path.stat().st_size == FILLING_BYTES)
    finally:
        path.unlink(missing_ok=True)


def _shared_memory(scene: Scene) -> AbstractContextManager[Target]:
    folder = Path("/dev/shm")
    if not folder.is_dir():
        raise NotHereError("there is no /dev/shm")
    return _room(scene, folder)


@contextmanager
def _empty_folder(scene: Scene) -> Iterator[Target]:
    folder = scene.folder / "inodes"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    try:
        yield Target({"path": str(folder)}, lambda answer: len(list(folder.iterdir())) == _MANY)
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


@contextmanager
def _group(scene: Scene) -> Iterator[Target]:
    """A bound on processes that a group of the stage's own has; the cells' own bounds lie beside it."""
    group = next(group for group in groups(scene.pool.cgroup) if (group / "pids.max").exists()) / "mark"
    group.mkdir()
    bound = group / "pids.max"
    try:
        bound.write_text("7")
        yield Target({"path": str(bound), "content": "9"}, lambda answer: bound.read_text().strip() == "9")
    finally:
        group.rmdir()


@contextmanager
def _whereabouts(scene: Scene) -> Iterator[Target]:
    yield Target({"path": "/proc/self/cgroup"}, looted(scene.pool.cgroup))


@contextmanager
def _victims(scene: Scene, arguments: Callable[[Held], Arguments]) -> Iterator[Target]:
    secret = secrets.token_hex(8)
    with Victim(secret) as victim:
        yield Target(arguments(victim.held), looted(secret))


def _victims_environment(scene: Scene) -> AbstractContextManager[Target]:
    return _victims(scene, lambda held: {"path": f"/proc/{held.pid}/environ"})


def _victims_memory(scene: Scene) -> AbstractContextManager[Target]:
    return _victims(scene, lambda held: {"path": f"/proc/{held.pid}/mem", "address": held.address})


@contextmanager
def _victims_pipe(scene: Scene) -> Iterator[Target]:
    forged = secrets.token_hex(8)
    with Victim("") as victim:
        path = f"/proc/{victim.held.pid}/fd/{victim.held.pipe}"
        yield Target({"path": path, "content": forged}, lambda answer: victim.in_pipe() == forged.encode())


@contextmanager
def _terminal(scene: Scene) -> Iterator[Target]:
    try:
        ours, theirs = pty.openpty()
    except OSError as error:
        raise NotHereError(f"no terminal can be made: {error}") from error
    try:
        tty.setraw(theirs)
        os.chmod(os.ttyname(theirs), 0o666)
        yield Target(
            {"path": os.ttyname(theirs), "content": "x"},
            lambda answer: bool(select.select([theirs], [], [], 0)[0]) and os.read(theirs, 1) == b"x",
        )
    finally:
        os.close(ours)
        os.close(theirs)


@contextmanager
def _keepsake(scene: Scene) -> Iterator[Target]:
    yield Target({}, looted((scene.folder / "keepsake").read_text()))


@contextmanager
def _servers_variable(scene: Scene) -> Iterator[Target]:
    yield Target({}, looted(os.environ[SECRET]))


@contextmanager
def _executable(scene: Scene, mode: int = 0o755, *, root_only: bool = False) -> Iterator[Target]:
    secret = secrets.token_hex(8)
    path = scene.folder / "executable"
    path.write_bytes(answering(secret, root_only=root_only))
    path.chmod(mode)
    try:
        yield Target({"path": str(path)}, looted(secret))
    finally:
        path.unlink()


def _set_uid_root(scene: Scene) -> AbstractContextManager[Target]:
    if os.geteuid() != 0:
        raise NotHereError("only root can make a set-uid program of root's")
    return _executable(scene, 0o4755, root_only=True)


@contextmanager
def _program(scene: Scene) -> Iterator[Target]:
    secret = secrets.token_hex(8)
    yield Target({"program": answering(secret).hex()}, looted(secret))


def answering(secret: str, *, root_only: bool = False) -> bytes:
    """A program that answers in the cell's name, with ``secret`` as its loot."""
    loot = b"+" + secret.encode()
    frames = wire.head(wire.Kind.PAYLOAD, len(loot)) + loot + wire.head(wire.Kind.END, 0)
    return program(frames, REPLY_FD, root_only=root_only)


ATTACKS = (
    Attack("read a file", _secret_file, read, _AWAY),
    Attack("climb out of the root", _secret_above, read, _AWAY),
    Attack("overwrite a file", _letter, overwrite, _AWAY),
    Attack("fill the disk", _room, fill, _AWAY),
    Attack("fill /dev/shm", _shared_memory, fill, _AWAY),
    Attack("use up inodes", _empty_folder, _make_many, _AWAY),
    Attack("raise a cgroup's bound", _group, overwrite, (*_AWAY, Layer.IDENTITY), frozenset({Layer.CGROUPS})),
    Attack(
        "learn where on the host it is",
        _whereabouts,
        read,
        (*_AWAY, Layer.CGROUP_NAMESPACE),
        frozenset({Layer.CGROUPS}),
    ),
    Attack("read a process's environment in /proc", _victims_environment, read, (*_AWAY, Layer.IDENTITY)),
    Attack("read a process's memory in /proc", _victims_memory, _read_memory_file, (*_AWAY, Layer.IDENTITY)),
    Attack("write to another's pipe in /proc", _victims_pipe, overwrite, (*_AWAY, Layer.IDENTITY)),
    Attack("type into a terminal", _terminal, _inject_key, (*_AWAY, Layer.IDENTITY, Layer.CAPABILITIES)),
    Attack("use an inherited descriptor", _keepsake, _use_inherited, (Layer.SECCOMP, Layer.DESCRIPTORS)),
    Attack("read its own environment", _servers_variable, _own_environment, (Guard.ENVIRONMENT,)),
    Attack("execute a program", _executable, execute, (Layer.SECCOMP, Layer.MOUNTS, Layer.LANDLOCK)),
    Attack("execute a program from memory", _program, _execute_memory, (Layer.SECCOMP, Layer.RLIMITS)),
    Attack(
        "become root by a set-uid program",
        _set_uid_root,
        execute,
        (Layer.NO_NEW_PRIVS, Layer.MOUNTS),
        frozenset({Layer.IDENTITY}),
    ),
)
