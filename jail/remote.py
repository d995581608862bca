"""The server's end of one cell: two pipes, a pidfd, and what came over them. Belongs to one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
from collections import deque
from dataclasses import dataclass
from typing import Literal

from jail import control, wire
from jail.layers import Layer
from jail.policy import Phase
from jail.result import Exit

READ_BYTES = 1 << 20
"""What is read at once, at most."""
_PIPE_BYTES = 1 << 20
_FRAMES_A_TURN = 16
"""So many frames are given one after the other before the event loop has a turn: a cell that floods its pipe would
keep it from everything else, its own deadline included."""


@dataclass(frozen=True, slots=True)
class SetUp:
    """How a cell was made: each step and its seconds in order, fork included; its rehearsal; from command to READY."""

    steps: tuple[tuple[str, float], ...]
    rehearsal_s: float
    ready_s: float
    layers: frozenset[Layer]

    @property
    def seconds(self) -> float:
        """All steps together, without the rehearsal."""
        return sum(seconds for _, seconds in self.steps)


class RemoteCell:
    """One cell as the server sees it. Its reply is read through ``buffer``, that of all cells of one event loop.

    A buffer for each read, cut to what came, would leave a hole of nearly its size in malloc's heap for each reply.
    """

    def __init__(self, number: int, max_reply_bytes: int, buffer: bytearray) -> None:
        self.number = number
        self._buffer = buffer
        self.set_up: SetUp | None = None
        loop = asyncio.get_running_loop()
        self._loop = loop
        self.spawned: asyncio.Future[control.Spawned] = loop.create_future()
        """Done when the cell is forked; a `jail.errors.JailError` where it was not."""
        self.ended: asyncio.Future[Exit | None] = loop.create_future()
        """Done when the cell is reaped; None where its zygote ended with it."""
        self._parser = wire.ReplyParser(max_reply_bytes)
        self._frames: deque[wire.Frame] = deque()
        self._given = 0
        self._pidfd: int | None = None
        self._doomed = False
        request_reader, self._request = _pipe()
        self._reply, reply_writer = _pipe()
        self._ends = [request_reader, reply_writer]
        os.set_blocking(self._request, False)
        os.set_blocking(self._reply, False)
        self._open = True

    @property
    def phase(self) -> Phase:
        """Of its life: whether it has said that it is ready, whoever has heard it yet."""
        return Phase.SET_UP if self.set_up is None else Phase.WORK

    @property
    def cell_ends(self) -> list[int]:
        """The descriptors that go to the cell: request to read, reply to write."""
        return self._ends

    def close_cell_ends(self) -> None:
        """Once they are sent: so that a pipe ends when the cell does."""
        for fd in self._ends:
            os.close(fd)
        self._ends = []

    def take_pidfd(self, pidfd: int) -> None:
        self._pidfd = pidfd
        if self._doomed:
            self.kill()

    @property
    def pid(self) -> int | None:
        """Process id as this process sees it; None before the fork and after the end."""
        if self._pidfd is None:
            return None
        with open(f"/proc/self/fdinfo/{self._pidfd}") as lines:
            pid = next(int(line.split()[1]) for line in lines if line.startswith("Pid:"))
        return pid if pid > 0 else None

    def kill(self) -> None:
        """End the cell and all in it, whatever it is doing. Harmless where it has ended."""
        self._doomed = True
        if self._pidfd is not None:
            try:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            except ProcessLookupError:
                return  # it has ended by itself

    async def next_frame(self) -> wire.Frame | None:
        """The next frame, None at the end. Raises `wire.MalformedFrameError`."""
        while not self._frames:
            try:
                count = os.readv(self._reply, [self._buffer])
            except BlockingIOError:
                await self._ready("read", self._reply)
                continue
            if not count:
                return None
            self._frames.extend(self._parser.feed(memoryview(self._buffer)[:count]))
        self._given += 1
        if not self._given % _FRAMES_A_TURN:
            await asyncio.sleep(0)
        return self._frames.popleft()

    async def send(self, header: bytes, body: bytes | memoryview) -> None:
        """Send the request and close the pipe. Raises BrokenPipeError where the cell has ended."""
        parts: list[bytes | memoryview] = [
            wire.head(wire.Kind.HEADER, len(header)) + header + wire.head(wire.Kind.BODY, len(body)),
            body,
        ]
        for part in parts:
            with memoryview(part).cast("B") as view:
                sent = 0
                while sent < len(view):
                    try:
                        sent += os.write(self._request, view[sent:])
                    except BlockingIOError:
                        await self._ready("write", self._request)

    async def _ready(self, how: Literal["read", "write"], fd: int) -> None:
        ready = self._loop.create_future()
        add, remove = (
            (self._loop.add_reader, self._loop.remove_reader)
            if how == "read"
            else (self._loop.add_writer, self._loop.remove_writer)
        )
        add(fd, _resolve, ready)
        try:
            await ready
        finally:
            if self._open:
                remove(fd)

    def close_pipes(self) -> None:
        """No more is wanted of the cell. Nobody may be waiting on `next_frame` or `send`."""
        if self._open:
            self._open = False
            for fd in (self._request, self._reply, *self._ends):
                os.close(fd)
            self._ends = []

    def close_pidfd(self) -> None:
        """The cell has ended."""
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None


def _pipe() -> tuple[int, int]:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    # Over the user's share of pipe memory it stays smaller, and takes more turns.
    with contextlib.suppress(PermissionError):
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return reader, writer


def _resolve(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
