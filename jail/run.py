"""One request in one cell, as its caller sees it."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Protocol, Self

from jail import wire
from jail.remote import RemoteCell, SetUp
from jail.result import Exit, Result, Status, checked_place, classify

_REAP_TIMEOUT_S = 10.0


class Host(Protocol):
    """What a run asks of its pool."""

    @property
    def cpu_s(self) -> int: ...

    @property
    def ending(self) -> bool: ...

    async def acquire(self, run: Run) -> RemoteCell | Result: ...

    def release(self, run: Run) -> None: ...

    def suspect(self) -> None: ...


class Run:
    """A request: an asynchronous context that iterates over the payloads of its reply, and then holds a `Result`.

    Nothing that happens to the cell raises: it ends the iteration, and ``result`` says what it was. Leaving the context
    early kills the cell. ``waited_s`` is the time until a cell was free, ``set_up`` how that cell was made (None where
    there was none).
    """

    def __init__(self, host: Host, header: bytes, body: bytes | memoryview, timeout_s: float) -> None:
        self._host = host
        self._header = header
        self._body = body
        self._timeout_s = timeout_s
        self._cell: RemoteCell | None = None
        self._cause: Result | None = None
        self._sending: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.result: Result | None = None
        self.set_up: SetUp | None = None
        self.waited_s = 0.0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            async with asyncio.timeout(self._timeout_s):
                given = await self._host.acquire(self)
        except TimeoutError:
            given = Result(Status.TIMEOUT, "no cell became free in time")
        self.waited_s = loop.time() - started
        if isinstance(given, Result):
            self.result = given
            return self
        self._cell = given
        self.set_up = given.set_up
        self._timer = loop.call_at(started + self._timeout_s, self.kill, Result(Status.TIMEOUT, "the deadline passed"))
        self._sending = loop.create_task(self._send(given))
        return self

    async def _send(self, cell: RemoteCell) -> None:
        try:
            await cell.send(self._header, self._body)
        except BrokenPipeError:
            return  # the cell has ended: how, its exit tells

    @property
    def ended(self) -> asyncio.Future[Exit | None] | None:
        """Done when the cell has been reaped, after its reply: with its exit, or None where the zygote was lost.

        Not to be cancelled: the pool waits for it too. None before there is a cell.
        """
        return None if self._cell is None else self._cell.ended

    def kill(self, cause: Result) -> None:
        """End the request: its result will be ``cause``, unless the cell had ended of something else."""
        if self._cell is not None and self.result is None:
            self._cause = self._cause or cause
            self._cell.kill()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._cell is None or self.result is not None:
            raise StopAsyncIteration
        place = ""
        try:
            frame = await self._cell.next_frame()
        except wire.MalformedFrameError as error:
            self.kill(Result(Status.MALFORMED_REPLY, str(error)))
            frame = None
        if frame is not None and self._cause is None and await self._vouched_for(self._cell):
            if frame.kind is wire.Kind.PAYLOAD:
                return frame.content
            if frame.kind is wire.Kind.END and self._sending is not None and self._sending.done():
                # Complete and checked: nothing that the cell does from here on can change it.
                self._finish(Result(Status.OK))
                raise StopAsyncIteration
            if frame.kind is wire.Kind.CRASHED:
                place = checked_place(frame.content)
            else:
                self.kill(Result(Status.MALFORMED_REPLY, "an end before the request was read"))
        self._finish(await self._autopsy(self._cell, place))
        raise StopAsyncIteration

    async def _vouched_for(self, cell: RemoteCell) -> bool:
        """Whether a zygote answered for the cell's forbidden calls until now, or until it had reaped it."""
        if not cell.ended.done():
            if not self._host.ending:
                return True
            await asyncio.wait([cell.ended], timeout=_REAP_TIMEOUT_S)
        return cell.ended.done() and cell.ended.result() is not None

    async def _autopsy(self, cell: RemoteCell, place: str) -> Result:
        """Wait for the cell to be reaped, and say what it died of."""
        try:
            async with asyncio.timeout(_REAP_TIMEOUT_S):
                end: Exit | None = await asyncio.shield(cell.ended)
        except TimeoutError:
            self._host.suspect()
            end = None
        if end is None:
            return self._cause or Result(Status.ZYGOTE_LOST, "the zygote ended")
        return classify(end, cpu_s=self._host.cpu_s, complete=False, cause=self._cause, place=place)

    def _finish(self, result: Result) -> None:
        self.result = result
        if self._timer is not None:
            self._timer.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._cell is None:
            return
        if self.result is None:
            self.kill(Result(Status.CANCELLED, "the caller left before the end"))
            self._finish(self._cause or Result(Status.CANCELLED))
        if self._sending is not None and not self._sending.done():
            self._sending.cancel()
            # Its last step removes the pipe from the loop, and must come before the pipe is closed.
            self._sending.add_done_callback(lambda _: self._host.release(self))
        else:
            self._host.release(self)
