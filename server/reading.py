"""Asks one cell: waits for it, checks what it answers, and says why it ended."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

from cloister.cell.v1 import cell_pb2
from cloister.v1 import ocr_pb2
from jail.errors import JailError
from jail.result import Result, Status
from jail.run import Run
from server.admission import Deadline, Place
from server.errors import CellError, CloisterError, OverloadedError, Reason
from server.hosts import EngineHost
from server.replies import MalformedReplyError, ReplyChecker
from server.telemetry import CellReport, Phase, RequestRecord

_RETRY_WITHOUT_CELL_S = 1.0

_STOPS = {
    Status.TIMEOUT: (Reason.CELL_OUT_OF_TIME, "reading the document took more CPU time than is allowed"),
    Status.MEMORY: (Reason.CELL_OUT_OF_MEMORY, "reading the document took more memory than is allowed"),
    Status.VIOLATION: (Reason.CELL_BROKE_POLICY, "the engine was stopped: it did what it may not do"),
    Status.CRASHED: (Reason.CELL_CRASHED, "the engine crashed on this document"),
    Status.KILLED: (Reason.CELL_KILLED, "the host killed the engine; the operator's log may say more"),
}


async def replies(
    host: EngineHost,
    document: bytes,
    task: cell_pb2.Task,
    deadline: Deadline,
    record: RequestRecord,
    *,
    place: Place | None = None,
) -> AsyncGenerator[cell_pb2.Outline | ocr_pb2.Page | bytes, None]:
    """Yield what one cell answers, as it comes: an outline, pages, parts of a PDF. ``record`` is filled in.

    The cell is a turn of ``place``, where the request holds one.
    Raises `DocumentError`, `CellError`, `DeadlineError`, `OverloadedError`. To leave early, close the iterator: that
    kills the cell.
    """
    checker = ReplyChecker(task)
    record.phase = Phase.WAITING
    trace = record.trace.cell()
    run: Run | None = None
    try:
        async with AsyncExitStack() as stack:
            waited_s = await stack.enter_async_context(place.turn()) if place is not None else 0.0
            run = await stack.enter_async_context(
                host.pool.run(task.SerializeToString(), document, timeout_s=deadline.remaining_s)
            )
            record.phase = Phase.READING
            trace.began(None if run.set_up is None else run.set_up.seconds)
            if run.ended is not None:
                record.ended.append(run.ended)
            record.stages_s["queue"] = waited_s + run.waited_s
            if run.set_up is not None:
                record.stages_s["cell_setup"] = run.set_up.seconds
            async for payload in run:
                reply = checker.take(payload)
                if isinstance(reply, ocr_pb2.Page):
                    note(record, reply)
                    trace.page(reply)
                if reply is not None:
                    yield reply
    except MalformedReplyError as error:
        record.breach = error.breach
        raise
    except JailError as error:
        record.cell = CellReport(type(error).__name__, str(error))
        raise _no_cell() from error
    finally:
        if run is not None and run.result is not None:
            record.statuses.append(run.result.status)
            trace.ended(run.result.status.value)
    result = run.result
    assert result is not None, "the run is over"
    record.cell = CellReport(result.status.value, result.reason, result.violation)
    if result.status is not Status.OK:
        raise _stopped(result, deadline, run.set_up is not None)
    checker.finish()


def timings(record: RequestRecord) -> ocr_pb2.Timings:
    """The record's stages as the message callers get; a stage that did not happen stays unset."""
    message = ocr_pb2.Timings()
    for stage, seconds in record.stages_s.items():
        getattr(message, stage).FromNanoseconds(round(seconds * 1e9))
    return message


def note(record: RequestRecord, page: ocr_pb2.Page) -> None:
    """Count a page, its words and its time."""
    record.pages += 1
    record.words += sum(len(line.words) for line in page.lines) if page.lines else len(page.text.split())
    scores = [word.confidence for line in page.lines for word in line.words]
    if scores:
        record.confidences.append(sum(scores) / len(scores))
    for stage, duration in page.timings.ListFields():
        record.stages_s[stage.name] = record.stages_s.get(stage.name, 0.0) + duration.ToNanoseconds() / 1e9


def _stopped(result: Result, deadline: Deadline, had_cell: bool) -> CloisterError:
    """What a caller learns of a cell that did not end well: never a system call, never the operator's words."""
    if result.status is Status.TIMEOUT and deadline.passed:
        return deadline.error(Phase.READING if had_cell else Phase.WAITING)
    if result.status is Status.MALFORMED_REPLY:
        return MalformedReplyError(result.reason)
    if result.status in _STOPS:
        return CellError(*_STOPS[result.status])
    return _no_cell()


def _no_cell() -> OverloadedError:
    return OverloadedError(
        Reason.NO_CELL, "no cell could be made to read the document; try again", retry_after_s=_RETRY_WITHOUT_CELL_S
    )
