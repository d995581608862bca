"""A job whose cells execute a shell: the most capable program there is, with nothing but itself to execute."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

SHELL = os.path.realpath("/bin/sh")
RESOLVER = "/usr/bin/getent"


def _ran(path: str, *arguments: str) -> bytes:
    """Exit status of a program and what it wrote."""
    out = "/tmp/out"
    actions = [
        (os.POSIX_SPAWN_OPEN, 1, out, os.O_WRONLY | os.O_CREAT, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    pid = os.posix_spawn(path, [path, *arguments], {}, file_actions=actions)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return f"{status} {Path(out).read_text()[:2000]}".encode()


class Resolver:
    """Asks the C library for the addresses of the host that the body names."""

    def load(self) -> None:
        """Nothing to load."""

    def rehearse(self) -> None:
        """Nothing to rehearse."""

    def run(self, header: bytes, body: memoryview, reply: Callable[[bytes], None]) -> None:
        reply(_ran(RESOLVER, "ahosts", bytes(body).decode()))


class Shell:
    """Runs the body as a script and replies its exit status and what it wrote; ``socket`` in the header: tries one."""

    def load(self) -> None:
        """Nothing to load."""

    def rehearse(self) -> None:
        """Nothing to rehearse."""

    def run(self, header: bytes, body: memoryview, reply: Callable[[bytes], None]) -> None:
        if header == b"socket":
            try:
                socket.socket()
            except PermissionError:
                reply(b"refused")
            return
        reply(_ran(SHELL, "-c", bytes(body).decode()))
