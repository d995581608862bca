"""Reads documents again with a candidate, after the control has answered, and records how the two agree.

A shadow costs its callers nothing: it starts when the answer has left, in a cell of a pool of its own, one at a time,
within its own deadline. It is dropped when its queue is full, when the control has more to do than cells to do it in,
or when the flags are switched off. Whatever becomes of a candidate is a line in the log, and no one else's concern.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeAlias

from structlog.typing import FilteringBoundLogger

from cloister.cell.v1 import cell_pb2
from cloister.v1 import ocr_pb2
from jail.errors import JailError
from server import reading
from server.admission import Deadline
from server.comparison import Agreement, Rules, agreement
from server.errors import CloisterError
from server.experiments import Assignment
from server.hosts import EngineHost
from server.telemetry import RequestRecord, describe

_OK = "OK"


@dataclass(frozen=True, slots=True)
class Control:
    """A request that has been answered: what the candidate is to read, and what it is held against."""

    request_id: str
    assignment: Assignment
    context: ocr_pb2.RequestContext
    document: bytes
    task: cell_pb2.Task
    pages: Sequence[ocr_pb2.Page]
    seconds: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """A pair of readings. ``status`` is OK or the reason the candidate failed; ``agreement`` is None where it did."""

    request_id: str
    document_kind: str
    flags_version: str
    control: str
    candidate: str
    candidate_version: str
    status: str
    control_s: float
    candidate_s: float
    agreement: Agreement | None


Publish: TypeAlias = Callable[[Comparison], None]


@dataclass(slots=True)
class Tally:
    """What became of the shadows since the server started."""

    compared: int = 0
    failed: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, why: str) -> None:
        self.dropped[why] = self.dropped.get(why, 0) + 1


class Shadow:
    """Runs candidates, in the pools that are added, while ``enabled`` and not ``busy`` with controls."""

    def __init__(
        self,
        *,
        queue: int,
        deadline_s: float,
        rules: Rules,
        enabled: Callable[[], bool],
        busy: Callable[[], bool],
        log: FilteringBoundLogger,
        publish: Publish | None = None,
    ) -> None:
        self._hosts: dict[str, EngineHost] = {}
        self._queue: asyncio.Queue[Control] = asyncio.Queue(queue)
        self._deadline_s = deadline_s
        self._rules = rules
        self._enabled = enabled
        self._busy = busy
        self._log = log
        self._publish = publish
        self.tally = Tally()

    def add(self, host: EngineHost) -> None:
        """A candidate whose pool has started."""
        self._hosts[host.entry.name] = host

    def offer(self, control: Control) -> None:
        """Take a request that has been answered, or drop it. Never raises, never waits."""
        if self._busy():
            self.tally.drop("load")
            return
        try:
            self._queue.put_nowait(control)
        except asyncio.QueueFull:
            self.tally.drop("queue")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run candidates for the length of the block; what is under way or waits at its end is dropped."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            self._log.info(
                "shadows", compared=self.tally.compared, failed=self.tally.failed, dropped=self.tally.dropped
            )

    async def _run(self) -> None:
        while True:
            control = await self._queue.get()
            if not self._enabled():
                self.tally.drop("switched off")
            elif self._busy():
                self.tally.drop("load")
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
        started = time.perf_counter()
        status, pages = await self._read(host, control)
        seconds = time.perf_counter() - started
        found = None
        if status == _OK:
            # In a thread: many words take a while, and the event loop is the callers'.
            found = await asyncio.to_thread(agreement, control.pages, pages, self._rules)
            self.tally.compared += 1
        else:
            self.tally.failed += 1
        comparison = Comparison(
            request_id=control.request_id,
            document_kind=control.context.document_kind,
            flags_version=control.assignment.flags_version,
            control=control.assignment.engine,
            candidate=host.entry.name,
            candidate_version=host.entry.version,
            status=status,
            control_s=control.seconds,
            candidate_s=seconds,
            agreement=found,
        )
        self._record(comparison)

    async def _read(self, host: EngineHost, control: Control) -> tuple[str, list[ocr_pb2.Page]]:
        """The candidate's reading, or the reason why there is none."""
        record = RequestRecord(control.request_id, "shadow", "")
        deadline = Deadline.after(self._deadline_s)
        task = cell_pb2.Task()
        task.CopyFrom(control.task)
        task.outputs[:] = [ocr_pb2.OUTPUT_WORDS]
        pages: list[ocr_pb2.Page] = []
        try:
            async with (
                deadline.timeout(),
                aclosing(reading.pages(host, control.document, task, deadline, record)) as read,
            ):
                async for page in read:
                    pages.append(page)
        except CloisterError as error:
            return str(error.reason), []
        except TimeoutError:
            return str(deadline.error(record.phase).reason), []
        except JailError as error:
            return type(error).__name__, []
        return _OK, pages

    def _record(self, comparison: Comparison) -> None:
        counts = comparison.agreement.counts() if comparison.agreement is not None else {}
        self._log.info(
            "shadow",
            request_id=comparison.request_id,
            document_kind=comparison.document_kind,
            flags=comparison.flags_version,
            control=comparison.control,
            candidate=comparison.candidate,
            candidate_version=comparison.candidate_version,
            status=comparison.status,
            control_ms=round(comparison.control_s * 1000, 1),
            candidate_ms=round(comparison.candidate_s * 1000, 1),
            **counts,
        )
        if self._publish is not None:
            self._publish(comparison)
