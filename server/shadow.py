"""Reads documents again with a candidate, after the control has answered, and records how the two agree.

A shadow costs its callers nothing: it starts when the answer has left, in a cell of a pool of its own, as many at a
time as the budget says, within its own deadline. It is dropped when its queue is full, and even half-way when the
control has more to do than cells to do it in, or when the flags are switched off. Whatever becomes of a candidate is a
record and a line in the log, and no one else's concern.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from structlog.typing import FilteringBoundLogger

from cloister.cell.v1 import cell_pb2
from cloister.v1 import ocr_pb2
from jail.errors import JailError
from jail.result import Exit
from server.admission import Deadline
from server.comparison import Rules, agreement
from server.errors import CloisterError
from server.experiments import Assignment
from server.hosts import EngineHost
from server.records.comparison import OK, Comparison, Entry, Kept, Spent, name
from server.sharing import Reading
from server.telemetry import RequestRecord, describe

_WATCH_S = 0.1
_REAPED_S = 2.0

Ended: TypeAlias = "Sequence[asyncio.Future[Exit | None]]"
Publish: TypeAlias = Callable[[Entry], None]


@dataclass(frozen=True, slots=True)
class Control:
    """A request that has been answered: what the candidate is to read, and what it is held against."""

    request_id: str
    assignment: Assignment
    version: str
    context: ocr_pb2.RequestContext
    document: bytes
    task: cell_pb2.Task
    pages: Sequence[ocr_pb2.Page]
    seconds: float
    ended: Ended


@dataclass(slots=True)
class Tally:
    """What became of the shadows since the server started."""

    compared: int = 0
    failed: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, why: str) -> None:
        self.dropped[why] = self.dropped.get(why, 0) + 1


@dataclass(frozen=True, slots=True)
class _Reading:
    status: str
    pages: tuple[ocr_pb2.Page, ...]
    seconds: float
    ended: Ended


class Shadow:
    """Runs candidates, in the pools that are added, while ``enabled`` and not ``busy`` with controls.

    ``at_once`` candidates work at a time. ``publish`` takes what is to be recorded, and must not wait; with ``keeps``,
    documents of callers who consent too.
    """

    def __init__(
        self,
        *,
        queue: int,
        deadline_s: float,
        rules: Rules,
        enabled: Callable[[], bool],
        busy: Callable[[], bool],
        log: FilteringBoundLogger,
        at_once: int = 1,
        publish: Publish | None = None,
        keeps: bool = False,
    ) -> None:
        self._hosts: dict[str, EngineHost] = {}
        self._queue: asyncio.Queue[Control] = asyncio.Queue(queue)
        self._deadline_s = deadline_s
        self._rules = rules
        self._enabled = enabled
        self._busy = busy
        self._log = log
        self._at_once = at_once
        self._publish = publish
        self._keeps = keeps
        self.tally = Tally()

    def add(self, host: EngineHost) -> None:
        """A candidate whose pool has started."""
        self._hosts[host.entry.name] = host

    def offer(self, control: Control) -> None:
        """Take a request that has been answered, or drop it. Never raises, never waits."""
        if why := self._called_off():
            self.tally.drop(why)
            return
        try:
            self._queue.put_nowait(control)
        except asyncio.QueueFull:
            self.tally.drop("queue")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run candidates for the length of the block; what is under way or waits at its end is dropped."""
        async with AsyncExitStack() as stack:
            stack.callback(
                lambda: self._log.info(
                    "shadows", compared=self.tally.compared, failed=self.tally.failed, dropped=self.tally.dropped
                )
            )
            for _ in range(self._at_once):
                stack.push_async_callback(_cancelled, asyncio.create_task(self._run()))
            yield

    async def _run(self) -> None:
        while True:
            control = await self._queue.get()
            if why := self._called_off():
                self.tally.drop(why)
            else:
                try:
                    await self._compare(control)
                except Exception as error:  # a mistake here must not end the shadows to come, nor be heard elsewhere
                    self.tally.failed += 1
                    self._log.error("mistake in the shadow", request_id=control.request_id, **describe(error))

    async def _compare(self, control: Control) -> None:
        host = self._hosts.get(control.assignment.candidate)
        if host is None or not host.pool.healthy:
            self.tally.drop("no candidate")
            return
        read = await self._unless_called_off(self._read(host, control))
        if isinstance(read, str):
            self.tally.drop(read)
            return
        found = None
        if read.status == OK:
            # In a thread: many words take a while, and the event loop is the callers'.
            found = await asyncio.to_thread(agreement, control.pages, read.pages, self._rules)
            self.tally.compared += 1
        else:
            self.tally.failed += 1
        comparison = Comparison(
            id=control.request_id,
            at_s=time.time(),
            document_kind=name(control.context.document_kind),
            pages=len(control.pages),
            flags_version=name(control.assignment.flags_version),
            control=control.assignment.engine,
            control_version=control.version,
            candidate=host.entry.name,
            candidate_version=host.entry.version,
            status=read.status,
            rules=str(self._rules),
            control_spent=await _spent(control.seconds, control.ended),
            candidate_spent=await _spent(read.seconds, read.ended),
            agreement=found,
        )
        kept = None
        if self._keeps and control.context.may_be_kept:
            kept = Kept(control.document, tuple(control.pages), read.pages)
        self._record(comparison, kept)

    def _called_off(self) -> str:
        """Why no candidate may work now; empty where one may."""
        if not self._enabled():
            return "switched off"
        return "load" if self._busy() else ""

    async def _unless_called_off(self, reading_: Coroutine[object, object, _Reading]) -> _Reading | str:
        """What is read, or why that was called off meanwhile: the candidate's cell is killed then."""
        task = asyncio.create_task(reading_)
        try:
            while not task.done():
                await asyncio.wait((task,), timeout=_WATCH_S)
                if not task.done() and (why := self._called_off()):
                    return why
            return task.result()
        finally:
            await _cancelled(task)

    async def _read(self, host: EngineHost, control: Control) -> _Reading:
        """The candidate's reading, or the reason why there is none."""
        record = RequestRecord(control.request_id, "shadow", "")
        deadline = Deadline.after(self._deadline_s)
        task = cell_pb2.Task()
        task.CopyFrom(control.task)
        task.outputs[:] = [ocr_pb2.OUTPUT_WORDS]
        pages: list[ocr_pb2.Page] = []
        status = OK
        started = time.perf_counter()
        try:
            async with (
                deadline.timeout(),
                aclosing(Reading(host, control.document, task, deadline, record).parts()) as parts,
            ):
                async for part in parts:
                    if isinstance(part, ocr_pb2.Page):
                        pages.append(part)
        except CloisterError as error:
            status = str(error.reason)
        except TimeoutError:
            status = str(deadline.error(record.phase).reason)
        except JailError as error:
            status = type(error).__name__
        seconds = time.perf_counter() - started
        return _Reading(status, tuple(pages) if status == OK else (), seconds, record.ended)

    def _record(self, comparison: Comparison, kept: Kept | None) -> None:
        counts = comparison.agreement.counts() if comparison.agreement is not None else {}
        self._log.info(
            "shadow",
            request_id=comparison.id,
            document_kind=comparison.document_kind,
            flags=comparison.flags_version,
            control=comparison.control,
            candidate=comparison.candidate,
            candidate_version=comparison.candidate_version,
            status=comparison.status,
            control_spent=asdict(comparison.control_spent),
            candidate_spent=asdict(comparison.candidate_spent),
            **counts,
        )
        if self._publish is not None:
            self._publish(Entry(comparison, kept))


async def _spent(seconds: float, ended: Ended) -> Spent:
    """What a reading cost; what its cells used is known once they have ended, soon after their replies."""
    if ended:
        await asyncio.wait(ended, timeout=_REAPED_S)
    ends = [end for cell in ended if cell.done() and (end := cell.result()) is not None]
    if not ends or len(ends) < len(ended):
        return Spent(seconds)
    memory_bytes = max(end.usage.memory_peak_bytes for end in ends)
    return Spent(seconds, sum(end.usage.cpu_s for end in ends), memory_bytes or None)


async def _cancelled(task: asyncio.Task[Any]) -> None:
    """End a task, if it has not ended, and wait for that."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
