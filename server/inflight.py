"""RPCs in flight: what surrounds each, and how a server is rid of them when it goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from time import perf_counter
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from structlog.typing import FilteringBoundLogger

from server.admission import Deadline
from server.door import caller
from server.errors import CloisterError, InternalError, OptionsError, OverloadedError, Reason
from server.hosts import EngineHost
from server.lineup import Lineup
from server.metrics import Metrics
from server.sections import Limits
from server.telemetry import RequestRecord, describe
from server.tracing import Tracer

_RETRY_WHILE_STARTING_S = 2.0
_RETRY_ELSEWHERE_S = 1.0

# grpc.aio's own stubs leave request and response types of a context open.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class State(Enum):
    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"


@dataclass(slots=True, eq=False)
class Call:
    """One RPC in flight."""

    record: RequestRecord
    deadline: Deadline
    task: asyncio.Task[Any]
    host: EngineHost | None = None
    """Who reads its document, once that is chosen: `use`."""
    started_s: float = field(default_factory=perf_counter)
    stopped_by_server: bool = False
    _lineup: Lineup | None = None

    def use(self, host: EngineHost, lineup: Lineup) -> None:
        """Hold ``host``, of ``lineup``, to the end of the call."""
        self.record.engine, self.record.label = host.entry.name, host.label
        self.host, self._lineup = host, lineup
        lineup.use(host)

    def leave(self) -> None:
        if self.host is not None and self._lineup is not None:
            self._lineup.leave(self.host)

    def stop_clock(self) -> None:
        self.record.stages_s["total"] = perf_counter() - self.started_s


class Calls:
    """Those of one server."""

    def __init__(self, log: FilteringBoundLogger, metrics: Metrics, tracer: Tracer) -> None:
        self._log = log
        self._metrics = metrics
        self._tracer = tracer
        self._state = State.STARTING
        self._calls: set[Call] = set()
        self._none = asyncio.Event()
        self._none.set()

    def serve(self) -> None:
        self._state = State.SERVING

    def check_serving(self) -> None:
        """Raises `OverloadedError` (STARTING, SHUTTING_DOWN)."""
        if self._state is State.STARTING:
            raise OverloadedError(
                Reason.STARTING, "the engines are being loaded; try again", retry_after_s=_RETRY_WHILE_STARTING_S
            )
        if self._state is State.DRAINING:
            raise shutting_down()

    async def drain(self, limit_s: float, force: asyncio.Event) -> None:
        """Refuse new calls and wait for those in flight; end what is left after ``limit_s`` or at ``force``."""
        self._state = State.DRAINING
        waits = [asyncio.ensure_future(self._none.wait()), asyncio.ensure_future(force.wait())]
        try:
            await asyncio.wait(waits, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        for call in self._calls:
            call.stopped_by_server = True
            call.task.cancel()
        await self._none.wait()

    @asynccontextmanager
    async def surround(self, rpc: str, context: Context, limits: Limits) -> AsyncIterator[Call]:
        """Everything that surrounds a call: its deadline, its end by shutdown, its log line.

        However it fails, it raises a `CloisterError`, unless its caller is gone.
        """
        task = asyncio.current_task()
        assert task is not None, "an RPC runs in a task"
        deadline = Deadline.of_call(context.time_remaining(), limits.deadline_s, limits.deadline_cap_s)
        record = RequestRecord(request_id=caller.current().request_id, rpc=rpc, peer=context.peer())
        record.trace = self._tracer.request(rpc, context.invocation_metadata())
        call = Call(record, deadline, task)
        self._calls.add(call)
        self._none.clear()
        error: CloisterError | None = None
        try:
            async with deadline.timeout():
                yield call
        except CloisterError as raised:
            error = raised
        except DecodeError:
            error = OptionsError(Reason.INVALID_OPTIONS, "a message of the stream is not what this RPC takes")
        except TimeoutError:
            error = deadline.error(record.phase)
        except asyncio.CancelledError:
            if not call.stopped_by_server:
                record.code = grpc.StatusCode.DEADLINE_EXCEEDED if deadline.passed else grpc.StatusCode.CANCELLED
                raise
            error = shutting_down()
        except grpc.aio.InternalError:
            # An answer could not be handed to gRPC any more: its caller is gone.
            record.code = grpc.StatusCode.CANCELLED
            raise
        except Exception as raised:
            self._log.error("mistake", request_id=record.request_id, **describe(raised))
            error = InternalError(Reason.INTERNAL, f"the server made a mistake; see its log for {record.request_id}")
        finally:
            call.stop_clock()
            if error is not None:
                record.code, record.reason = error.code, error.reason
            call.leave()
            self._calls.discard(call)
            if not self._calls:
                self._none.set()
            record.end(self._log)
            self._metrics.request(record)
        if error is not None:
            try:
                raise error
            finally:
                del error  # by its frames it would hold all of the call, and they it, until a collection


def shutting_down() -> OverloadedError:
    return OverloadedError(
        Reason.SHUTTING_DOWN, "the server is shutting down; try again", retry_after_s=_RETRY_ELSEWHERE_S
    )
