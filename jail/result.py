"""How a request ended: one status and a reason, whatever ended it."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass
from enum import StrEnum

from jail.policy import Phase


class Status(StrEnum):
    OK = "ok"
    SETUP_ERROR = "setup_error"
    """No cell could be set up for it."""
    VIOLATION = "violation"
    """The cell made a system call that its policy does not allow."""
    CRASHED = "crashed"
    """The job raised, or the cell died of a fault of its own."""
    MEMORY = "memory"
    """The cell wanted more memory than it may have."""
    TIMEOUT = "timeout"
    """The deadline passed, or the cell used up its CPU time."""
    CANCELLED = "cancelled"
    """The caller went away before the end."""
    MALFORMED_REPLY = "malformed_reply"
    """The cell's reply broke the rules of `jail.wire`."""
    KILLED = "killed"
    """The cell was killed by something outside the jail."""
    ZYGOTE_LOST = "zygote_lost"
    """The zygote ended, and all its cells with it."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a cell used from its fork to its end, set-up and rehearsal included: seconds of CPU, bytes, page faults."""

    cpu_s: float
    memory_peak_bytes: int
    faults: int


@dataclass(frozen=True, slots=True)
class Violation:
    """A call that a cell was stopped for. ``call`` is its name, or its number where it has none.

    ``arguments`` are six unsigned words of 64 bits, whether or not the call has as many: for the operator alone, as a
    cell that was taken over chooses them.
    """

    call: str
    arguments: tuple[int, ...]
    phase: Phase

    def __str__(self) -> str:
        return f"{self.call}({', '.join(map(hex, self.arguments))}) during {self.phase}"


@dataclass(frozen=True, slots=True)
class Result:
    """``reason`` is for the operator: never text of a document, never meant for callers.

    ``usage`` is None where the cell had not ended yet when its reply was complete, or there was no cell. ``violation``
    goes with `Status.VIOLATION`, and is None where the kernel gives no means to name it.
    """

    status: Status
    reason: str = ""
    usage: Usage | None = None
    violation: Violation | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """What the zygote saw of a cell's end. ``wait_status`` as waitpid(2) gives it.

    ``violation`` is what the zygote killed it for, if it did.
    """

    wait_status: int
    oom_kills: int
    usage: Usage
    violation: Violation | None = None


EXIT_CRASHED = 70
"""Exit status of a cell whose job raised."""
EXIT_MEMORY = 71
"""Exit status of a cell whose job raised MemoryError."""
EXIT_SETUP = 72
"""Exit status of a cell that could not be set up."""

_PLACE = re.compile(r"[A-Za-z_][\w.]{0,60} at [\w./-]{1,100}:\d{1,6}")


def checked_place(raw: bytes) -> str:
    """Where a job raised, as a cell tells it ("ValueError at scribe/detector.py:12"); "" for what does not look so."""
    text = raw.decode("ascii", errors="replace")
    return text if _PLACE.fullmatch(text) else ""


def classify(end: Exit, *, cpu_s: int, complete: bool, cause: Result | None = None, place: str = "") -> Result:
    """The result of a request from its cell's end.

    ``complete`` says whether the whole reply had come, ``cause`` why the server killed the cell, if it did, ``cpu_s``
    the cell's limit, ``place`` where the job says that it raised. What the kernel says goes before what the server
    did, and that before what the cell says.
    """
    if end.violation is not None:
        return Result(Status.VIOLATION, f"a system call outside its policy: {end.violation}", end.usage, end.violation)
    if os.WIFSIGNALED(end.wait_status):
        return _of_signal(os.WTERMSIG(end.wait_status), end, cpu_s, cause)
    if cause is not None:
        return Result(cause.status, cause.reason, end.usage)
    return _of_status(os.WEXITSTATUS(end.wait_status), end.usage, complete, place)


def _of_signal(number: int, end: Exit, cpu_s: int, cause: Result | None) -> Result:
    usage = end.usage
    if number == signal.SIGSYS:
        return Result(Status.VIOLATION, "a system call outside its policy", usage)
    if cause is not None:
        return Result(cause.status, cause.reason, usage)
    if number != signal.SIGKILL:
        return Result(Status.CRASHED, f"died of {signal.Signals(number).name}", usage)
    if end.oom_kills:
        return Result(Status.MEMORY, "killed at its memory limit", usage)
    # The kernel counts whole ticks against this limit, and so kills before rusage has reached it.
    if usage.cpu_s >= cpu_s / 2:
        return Result(Status.TIMEOUT, f"used up its {cpu_s} s of CPU", usage)
    return Result(Status.KILLED, "killed from outside", usage)


def _of_status(status: int, usage: Usage, complete: bool, place: str) -> Result:
    if status == EXIT_MEMORY:
        return Result(Status.MEMORY, "an allocation failed", usage)
    if status == EXIT_SETUP:
        return Result(Status.SETUP_ERROR, "the cell could not be set up", usage)
    if status:
        return Result(Status.CRASHED, place or f"ended with status {status}", usage)
    if not complete:
        return Result(Status.MALFORMED_REPLY, "ended before its reply did", usage)
    return Result(Status.OK, "", usage)
