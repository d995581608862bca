"""Attacks on the network: the stage's loopback, and sockets of every kind."""

from __future__ import annotations

import secrets
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from jail.attacks.attack import Arguments, Attack, Scene, Target, number, text
from jail.attacks.machine import Machine, RefusedError
from jail.layers import Layer

_FAMILIES = {
    "unix": (socket.AF_UNIX, socket.SOCK_STREAM),
    "inet": (socket.AF_INET, socket.SOCK_STREAM),
    "inet6": (socket.AF_INET6, socket.SOCK_STREAM),
    "netlink": (socket.AF_NETLINK, socket.SOCK_RAW),
    "packet": (socket.AF_PACKET, socket.SOCK_RAW),
    "alg": (socket.AF_ALG, socket.SOCK_SEQPACKET),
    "vsock": (socket.AF_VSOCK, socket.SOCK_STREAM),
    "bluetooth": (31, socket.SOCK_RAW),
    "can": (socket.AF_CAN, socket.SOCK_RAW),
    "tipc": (30, socket.SOCK_STREAM),
    "xdp": (44, socket.SOCK_RAW),
}
_ENDS = (Layer.SECCOMP, Layer.RLIMITS)
"""Nothing opens a socket."""
_APART = (*_ENDS, Layer.NETWORK_NAMESPACE)


# Deeds, in the cell.


def _make_sockets(machine: Machine, arguments: Arguments) -> bytes:
    """Loot is the families that could be had. Raises the last refusal where none could."""
    made = []
    refused = RefusedError("")
    for name, (family, kind) in _FAMILIES.items():
        try:
            machine.call("close", machine.call("socket", family, kind, 0))
        except RefusedError as error:
            refused = error
        else:
            made.append(name)
    if not made:
        raise refused
    return " ".join(made).encode()


def _connect(machine: Machine, arguments: Arguments) -> bytes:
    address = bytes.fromhex(text(arguments, "address"))
    content = text(arguments, "content").encode()
    fd = machine.call("socket", number(arguments, "family"), number(arguments, "kind"), 0)
    machine.call("connect", fd, address, len(address))
    return str(machine.call("write", fd, content, len(content))).encode()


def _listen(machine: Machine, arguments: Arguments) -> bytes:
    address = bytes.fromhex(text(arguments, "address"))
    fd = machine.call("socket", socket.AF_INET, socket.SOCK_STREAM, 0)
    machine.call("bind", fd, address, len(address))
    machine.call("listen", fd, 1)
    return b"listening"


# Targets, outside.


@contextmanager
def _families(scene: Scene) -> Iterator[Target]:
    yield Target({}, lambda answer: bool(answer.loot))


@contextmanager
def _listener(family: int, kind: int, where: tuple[str, int] | str) -> Iterator[Target]:
    """Somebody who listens; reached when they hear what was said."""
    said = secrets.token_hex(8)
    with socket.socket(family, kind) as ours:
        ours.bind(where)
        if kind == socket.SOCK_STREAM:
            ours.listen(1)
        address = _raw(family, ours.getsockname())
        yield Target(
            {"family": family, "kind": kind, "address": address.hex(), "content": said},
            lambda answer: _heard(ours, kind) == said.encode(),
        )


def _heard(ours: socket.socket, kind: int) -> bytes:
    ready, _, _ = select.select([ours], [], [], 0)
    if not ready:
        return b""
    if kind == socket.SOCK_DGRAM:
        return ours.recv(64)
    caller, _ = ours.accept()
    with caller:
        caller.settimeout(1.0)
        return caller.recv(64)


def _raw(family: int, name: tuple[str, int] | str | bytes) -> bytes:
    """A struct sockaddr, as connect(2) takes it."""
    if isinstance(name, tuple):
        return struct.pack("=H", family) + struct.pack("!H", name[1]) + socket.inet_aton(name[0]) + bytes(8)
    return struct.pack("=H", family) + (name if isinstance(name, bytes) else name.encode())


@contextmanager
def _tcp(scene: Scene) -> Iterator[Target]:
    with _listener(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)) as target:
        yield target


@contextmanager
def _udp(scene: Scene) -> Iterator[Target]:
    with _listener(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)) as target:
        yield target


@contextmanager
def _abstract(scene: Scene) -> Iterator[Target]:
    name = f"\0cloister-{secrets.token_hex(4)}"
    with _listener(socket.AF_UNIX, socket.SOCK_STREAM, name) as target:
        yield target


@contextmanager
def _unix(scene: Scene) -> Iterator[Target]:
    path = scene.folder / "socket"
    try:
        with _listener(socket.AF_UNIX, socket.SOCK_STREAM, str(path)) as target:
            path.chmod(0o666)
            yield target
    finally:
        path.unlink()


@contextmanager
def _door(scene: Scene) -> Iterator[Target]:
    """A free port of the stage's loopback."""
    address = _raw(socket.AF_INET, ("127.0.0.1", 0))
    yield Target({"address": address.hex()}, lambda answer: answer.loot == b"listening")


ATTACKS = (
    Attack("open sockets of every family", _families, _make_sockets, _ENDS),
    Attack("connect by TCP", _tcp, _connect, (*_APART, Layer.LANDLOCK)),
    Attack("send by UDP", _udp, _connect, _APART),
    Attack("connect to an abstract unix socket", _abstract, _connect, (*_APART, Layer.LANDLOCK)),
    Attack("connect to a unix socket", _unix, _connect, (*_ENDS, Layer.MOUNTS)),
    Attack("listen for callers", _door, _listen, (*_ENDS, Layer.LANDLOCK)),
)
