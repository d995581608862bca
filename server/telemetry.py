"""What a server tells its operator: structured logs on stderr, one line for each request.

Never the text of a document, never the name of a file, never what a cell wrote.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TextIO

import grpc
import structlog
from structlog.typing import FilteringBoundLogger, Processor

from jail.result import Exit, Status, Violation
from server.experiments import Assignment
from server.hosts import Label
from server.sections import LogFormat
from server.tracing import NO_TRACE, Trace


def logger(
    format_: LogFormat = LogFormat.AUTO, stream: TextIO | None = None, quiet: bool = False
) -> FilteringBoundLogger:
    """A logger of its own; nothing global is configured, so that a server can live in another program.

    ``quiet`` leaves out all but warnings and errors.
    """
    stream = stream or sys.stderr
    console = stream.isatty() if format_ is LogFormat.AUTO else format_ is LogFormat.CONSOLE
    processors: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if console:
        processors.append(structlog.dev.ConsoleRenderer(colors=stream.isatty()))
    else:
        processors.append(structlog.processors.JSONRenderer())
    made: FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(stream),
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger("warning" if quiet else "info"),
    )
    return made


class Phase(StrEnum):
    """Where a request is."""

    RECEIVING = "receiving the document"
    WAITING = "waiting for a cell"
    READING = "reading the document"


@dataclass(frozen=True, slots=True)
class CellReport:
    """How the cell of a request ended, in the jail's words: for the operator alone."""

    status: str
    reason: str
    violation: Violation | None = None
    """The system call that it was stopped for."""


@dataclass(slots=True)
class RequestRecord:
    """What is known of one request, filled in as it goes, and logged once when it ends."""

    request_id: str
    rpc: str
    peer: str
    phase: Phase = Phase.RECEIVING
    engine: str = ""
    label: Label = Label.STABLE
    assignment: Assignment | None = None
    document_bytes: int = 0
    pages: int = 0
    words: int = 0
    code: grpc.StatusCode = grpc.StatusCode.OK
    reason: str = ""
    breach: str = ""
    stages_s: dict[str, float] = field(default_factory=dict)
    cell: CellReport | None = None
    ended: list[asyncio.Future[Exit | None]] = field(default_factory=list)
    """What each of its cells used, once that has ended; see `jail.run.Run.ended`."""
    statuses: list[Status] = field(default_factory=list)
    """How each of its cells ended."""
    confidences: list[float] = field(default_factory=list)
    """Of each page with words, the mean of theirs."""
    trace: Trace = NO_TRACE

    def end(self, log: FilteringBoundLogger) -> None:
        """Log it, and end its trace."""
        self.log(log)
        attributes: dict[str, str | int] = {
            "rpc.grpc.status_code": self.code.value[0],
            "cloister.request_id": self.request_id,
            "cloister.engine": self.engine,
            "cloister.label": self.label.value,
            "cloister.bytes": self.document_bytes,
            "cloister.pages": self.pages,
            "cloister.words": self.words,
        }
        if self.reason:
            attributes["error.type"] = self.reason
        self.trace.ended(attributes, failed=self.code is not grpc.StatusCode.OK)

    def log(self, log: FilteringBoundLogger) -> None:
        """One line: info where the server did its part, error where cell or server failed at it."""
        fields: dict[str, object] = {
            "request_id": self.request_id,
            "rpc": self.rpc,
            "peer": self.peer,
            "engine": self.engine,
            "bytes": self.document_bytes,
            "pages": self.pages,
            "words": self.words,
            "code": self.code.name,
            "stages_ms": {stage: round(seconds * 1000, 2) for stage, seconds in self.stages_s.items()},
        }
        if self.label is not Label.STABLE:
            fields["label"] = self.label.value
        fields |= self.trace.ids
        if self.assignment is not None:
            assigned = self.assignment
            fields["assignment"] = {
                "variant": assigned.variant,
                "reason": assigned.reason,
                "shadow": assigned.candidate,
            }
            fields["flags"] = assigned.flags_version
        if self.reason:
            fields["reason"] = self.reason
        if self.breach:
            fields["breach"] = self.breach
        if self.cell is not None:
            fields["cell"] = {"status": self.cell.status, "reason": self.cell.reason}
            if (violation := self.cell.violation) is not None:
                fields["violation"] = {
                    "call": violation.call,
                    "arguments": [hex(argument) for argument in violation.arguments],
                    "phase": violation.phase.value,
                }
        failed = self.code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
        (log.error if failed else log.info)("request", **fields)


def describe(error: BaseException) -> dict[str, object]:
    """Log fields of a mistake: its type and place. Not its text and no variables, which could hold a document's."""
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": type(error).__name__,
        "trace": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames],
    }
