"""A process to attack: it holds a secret in its memory, its environment and a pipe, and waits. A program of its own."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
from dataclasses import dataclass
from types import TracebackType
from typing import Self

SECRET = "CLOISTER_ATTACK_SECRET"
_NOTICE_S = 20.0


@dataclass(frozen=True, slots=True)
class Held:
    """Where the victim holds its secret: its process, the address in its memory, the pipe that it would write to."""

    pid: int
    address: int
    pipe: int


class Victim:
    """For the time of a ``with`` block. Of the same user as the server, as a server's other processes would be."""

    def __init__(self, secret: str) -> None:
        self._reader, writer = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__],
                env={SECRET: secret},
                pass_fds=[writer],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        finally:
            os.close(writer)
        assert self._process.stdout is not None
        self.held = Held(self._process.pid, int(self._process.stdout.readline()), writer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        os.close(self._reader)

    def dies(self) -> bool:
        """Whether it ends, within a moment, of a signal."""
        try:
            return self._process.wait(_NOTICE_S) == -signal.SIGTERM
        except subprocess.TimeoutExpired:
            return False

    def in_pipe(self) -> bytes:
        """What somebody wrote to its pipe."""
        ready, _, _ = select.select([self._reader], [], [], 0)
        return os.read(self._reader, 4096) if ready else b""


def _wait() -> None:
    """The victim's own life."""
    secret = ctypes.create_string_buffer(os.environ[SECRET].encode())
    print(ctypes.addressof(secret), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _wait()
