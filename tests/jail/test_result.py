"""From the end of a process to one status."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from jail.result import EXIT_CRASHED, EXIT_MEMORY, EXIT_SETUP, Exit, Result, Status, Usage, checked_place, classify

LATE = Result(Status.TIMEOUT, "the deadline passed")


def died(number: int, *, oom_kills: int = 0, cpu_s: float = 0.1) -> Exit:
    return Exit(number, oom_kills, Usage(cpu_s, 0, 0))


def exited(status: int) -> Exit:
    return Exit(status << 8, 0, Usage(0.1, 0, 0))


@pytest.mark.parametrize(
    ("end", "cause", "complete", "status"),
    [
        (exited(0), None, True, Status.OK),
        (exited(0), None, False, Status.MALFORMED_REPLY),
        (exited(EXIT_CRASHED), None, False, Status.CRASHED),
        (exited(EXIT_MEMORY), None, False, Status.MEMORY),
        (exited(EXIT_SETUP), None, False, Status.SETUP_ERROR),
        (died(signal.SIGSYS), None, False, Status.VIOLATION),
        (died(signal.SIGSYS), None, True, Status.VIOLATION),
        (died(signal.SIGSYS), LATE, False, Status.VIOLATION),
        (died(signal.SIGSEGV), None, False, Status.CRASHED),
        (died(signal.SIGSEGV), LATE, False, Status.TIMEOUT),
        (died(signal.SIGKILL), LATE, False, Status.TIMEOUT),
        (died(signal.SIGKILL), Result(Status.CANCELLED), False, Status.CANCELLED),
        (died(signal.SIGKILL, oom_kills=1), None, False, Status.MEMORY),
        (died(signal.SIGKILL, cpu_s=10.0), None, False, Status.TIMEOUT),
        (died(signal.SIGKILL), None, False, Status.KILLED),
        (died(signal.SIGSEGV | 0x80), None, False, Status.CRASHED),
    ],
)
def test_the_kernel_is_believed_before_the_server_and_the_server_before_the_cell(
    end: Exit, cause: Result | None, complete: bool, status: Status
) -> None:
    result = classify(end, cpu_s=10, complete=complete, cause=cause)
    assert result.status is status
    assert result.usage == end.usage


def test_a_wait_status_means_here_what_it_means_to_the_kernel() -> None:
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", "import os; os._exit(70)"], os.environ)
    _, status = os.waitpid(pid, 0)
    assert classify(Exit(status, 0, Usage(0, 0, 0)), cpu_s=10, complete=False).status is Status.CRASHED


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (b"ValueError at scribe/detector.py:12", "ValueError at scribe/detector.py:12"),
        (b"ValueError: John Smith, born 1970", ""),
        (b"\xff\xfe", ""),
        (b"ValueError at scribe/detector.py:12\nlevel=info msg=all is well", ""),
    ],
)
def test_a_place_that_does_not_look_like_one_is_dropped(said: bytes, kept: str) -> None:
    assert checked_place(said) == kept
    assert classify(exited(EXIT_CRASHED), cpu_s=10, complete=False, place=kept).reason == (
        kept or "ended with status 70"
    )
