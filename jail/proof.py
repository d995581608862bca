"""A job that tries its own jail: what a cell finds when it reaches out, layer by layer. See `jail.proving`.

It runs in cells whose filter is off, so that the layers below have to hold; one request ends by a forbidden call. The
layers `ipc_namespace`, `uts_namespace`, `cgroup_namespace` and `user_namespace` show in nothing that a cell could do
once the others hold, and are left out.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import prctl

from jail import syscalls
from jail.capabilities import NOBODY
from jail.layers import Layer
from jail.policy import REPLY_FD, REQUEST_FD

_FIRST_DESCRIPTORS = 256
_MiB = 1 << 20
_TEST_NET = ("192.0.2.1", 9)
"""An address that leads nowhere (RFC 5737). Connecting a datagram socket sends nothing."""


class Proof:
    """Does what the header names: "look" at layers and tell which don't hold, "grow", "call" what is forbidden."""

    def load(self) -> None:
        self._last_capability = int(Path("/proc/sys/kernel/cap_last_cap").read_text())

    def rehearse(self) -> None:
        """Nothing: a rehearsal is behind the filter."""

    def run(self, header: bytes, body: memoryview, reply: Callable[[bytes], None]) -> None:
        deed, *layers = header.decode().split()
        if deed == "look":
            found = [(layer, why) for layer in layers if (why := self._look(Layer(layer))) is not None]
            reply(json.dumps(found).encode())
        elif deed == "grow":
            grown = bytearray(int(layers[0]))
            for page in range(0, len(grown), resource.getpagesize()):
                grown[page] = 1
            reply(b"grown")
        elif deed == "call":
            os.getppid()
            reply(b"survived")

    def _look(self, layer: Layer) -> str | None:
        """Why the layer does not hold; None where it does, or nothing can be seen of it."""
        looks: dict[Layer, Callable[[], Iterator[str]]] = {
            Layer.PID_NAMESPACE: _processes,
            Layer.NETWORK_NAMESPACE: _network,
            Layer.MOUNTS: _root,
            Layer.RLIMITS: _limits,
            Layer.DESCRIPTORS: _descriptors,
            Layer.IDENTITY: _identity,
            Layer.CAPABILITIES: self._capabilities,
            Layer.NO_NEW_PRIVS: _no_new_privs,
            Layer.PROCESS: _process,
            Layer.LANDLOCK: _landlock,
        }
        return next(looks[layer](), None) if layer in looks else None

    def _capabilities(self) -> Iterator[str]:
        if syscalls.has_capabilities():
            yield "the cell has capabilities"
        for capability in range(self._last_capability + 1):
            if prctl.capbset_read(capability):
                yield f"capability {capability} is in the bounding set"


def _processes() -> Iterator[str]:
    if os.getpid() != 1 or os.getppid() != 0:
        yield f"the cell is process {os.getpid()}, with a parent in sight"


def _network() -> Iterator[str]:
    if (names := [name for _, name in socket.if_nameindex()]) != ["lo"]:
        yield f"the cell sees interfaces: {', '.join(names)}"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        if probe.connect_ex(_TEST_NET) != errno.ENETUNREACH:
            yield "the cell has a route to elsewhere"


def _root() -> Iterator[str]:
    seen = [path for path in ("/proc", "/etc", "/dev", "/usr", "/tmp") if os.path.exists(path)]
    if seen:
        yield f"the cell sees {', '.join(seen)}"
    if not os.statvfs("/").f_flag & os.ST_RDONLY:
        yield "the root can be written to"


def _limits() -> Iterator[str]:
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE):
        if resource.getrlimit(limit) != (0, 0):
            yield f"limit {limit} is {resource.getrlimit(limit)}"
    try:
        os.close(os.dup(REPLY_FD))
        yield "the cell could open a descriptor"
    except OSError:
        pass  # as it should be


def _descriptors() -> Iterator[str]:
    found = []
    for fd in range(_FIRST_DESCRIPTORS):
        try:
            os.fstat(fd)
        except OSError:
            continue
        found.append(fd)
    if found != [REQUEST_FD, REPLY_FD]:
        yield f"the cell has descriptors {found}"


def _identity() -> Iterator[str]:
    if {*os.getresuid(), *os.getresgid()} != {NOBODY}:
        yield f"the cell is user {os.getresuid()}, group {os.getresgid()}"


def _no_new_privs() -> Iterator[str]:
    if not prctl.get_no_new_privs():
        yield "the cell could gain privileges"


def _process() -> Iterator[str]:
    if prctl.get_dumpable():
        yield "the cell can be traced and dumped"
    if prctl.get_pdeathsig() != signal.SIGKILL:
        yield "the cell would outlive its zygote"


def _landlock() -> Iterator[str]:
    try:
        os.close(os.open("/", os.O_RDONLY | os.O_DIRECTORY))
        yield "the cell could open its root"
    except OSError as error:
        if error.errno != errno.EACCES:
            yield f"opening the root failed otherwise: {error}"
