"""A cell that is stopped for a system call: who learns what of it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from jail.errors import RehearsalError
from jail.layers import Layer
from jail.policy import Phase
from jail.pool import Pool
from jail.result import Status, Violation
from jail.spec import Layers, ZygoteSpec
from jail.violations import call_name
from tests.jail.conftest import LIMITS, ask, cells, zygotes

JOB = "tests.jail.violation_jobs:Violations"
OPENAT, SENDMSG, PTRACE, X32_PTRACE, BRK = 257, 46, 101, 521, 12
I386_GETPID = 20
X32 = 0x40000000
AT_FDCWD = (1 << 64) - 100


@pytest.fixture
async def pool():  # type: ignore[no-untyped-def]
    made = Pool(ZygoteSpec(JOB), LIMITS, busy=2, idle=2)
    await made.start()
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("request_", "call", "arguments"),
    [
        (f"native {OPENAT} {AT_FDCWD} 7 0 438", "openat", (AT_FDCWD, 7, 0, 438)),
        (f"native {PTRACE} 16 1 2 3", "ptrace", (16, 1, 2, 3)),
        ("native 1 9 0 0", "write", (9, 0, 0)),
        (f"native {X32 | X32_PTRACE} 1 2", "x32 ptrace", (1, 2)),
        ("native 999 5", "call 999", (5,)),
        (f"i386 {I386_GETPID} 5", "i386 getpid", (5, 0, 0)),
    ],
)
async def test_the_operator_learns_the_call_its_arguments_and_the_phase(
    pool: Pool, request_: str, call: str, arguments: tuple[int, ...]
) -> None:
    result, payloads, _ = await ask(pool, request_)
    assert (result.status, payloads) == (Status.VIOLATION, [])
    assert result.violation is not None
    assert (result.violation.call, result.violation.phase) == (call, Phase.WORK)
    assert result.violation.arguments[: len(arguments)] == arguments
    assert f"{call}({arguments[0]:#x}, " in result.reason
    assert pool.violations == {(call, Phase.WORK): 1}


async def test_what_was_for_the_set_up_alone_kills_at_work(pool: Pool) -> None:
    result, payloads, _ = await ask(pool, f"native {SENDMSG} 5 0 0")
    assert (result.status, payloads) == (Status.VIOLATION, [])


async def test_a_cell_that_violates_is_gone_at_once_and_the_next_request_is_served(pool: Pool) -> None:
    for _ in range(5):
        async with asyncio.timeout(60):
            result, _, _ = await ask(pool, f"native {PTRACE}")
            assert result.status is Status.VIOLATION
    result, payloads, _ = await ask(pool, "native 228 0 0")
    assert (result.status, payloads) == (Status.OK, [b"survived"])


async def test_a_violation_of_the_rehearsal_is_of_the_set_up() -> None:
    made = Pool(ZygoteSpec(JOB, {"rehearse": [PTRACE, 4, 5]}), LIMITS, busy=1, idle=1)
    with pytest.raises(RehearsalError, match=r"ptrace\(0x4, 0x5, .* during set-up"):
        await made.start()
    assert made.violations[("ptrace", Phase.SET_UP)] >= 1


async def test_where_a_cell_could_keep_descriptors_the_filter_kills_by_itself() -> None:
    layers = Layers(dangerously_without=frozenset({Layer.DESCRIPTORS}))
    made = Pool(ZygoteSpec(JOB), LIMITS, busy=1, idle=1, layers=layers)
    await made.start()
    try:
        result, payloads, _ = await ask(made, f"native {PTRACE}")
    finally:
        await made.close()
    assert (result.status, result.violation, payloads) == (Status.VIOLATION, None, [])


def test_a_violation_reads_as_a_call() -> None:
    violation = Violation("openat", (1, 2, 0, 0, 0, 0), Phase.WORK)
    assert str(violation) == "openat(0x1, 0x2, 0x0, 0x0, 0x0, 0x0) during work"


def test_a_call_of_no_known_name_is_a_number() -> None:
    assert call_name(999) == "call 999"
    assert call_name(-1) == "call -1"
    assert call_name(1, 0x12345) == "architecture 0x12345 call 1"


@pytest.mark.parametrize("reaped", [True, False])
async def test_an_answer_is_believed_after_its_zygote_began_to_end_if_the_cell_was_reaped_before(
    pool: Pool, reaped: bool
) -> None:
    (zygote,) = zygotes()
    if not reaped:
        os.kill(zygote, signal.SIGSTOP)
    async with pool.run(f"native {BRK}".encode(), b"", timeout_s=30) as run:
        await asyncio.sleep(1)  # it has answered, and nobody has read that
        assert not pool.ending
        os.kill(zygote, signal.SIGKILL)
        while zygote in zygotes():  # the event loop hears of nothing: the zygote's own state alone tells
            time.sleep(0.01)
        assert pool.ending
        payloads = [payload async for payload in run]
    assert run.result is not None
    expected = (Status.OK, [b"survived"]) if reaped else (Status.ZYGOTE_LOST, [])
    assert (run.result.status, payloads) == expected


async def test_a_forbidden_call_is_not_made_while_nobody_answers_for_it(pool: Pool) -> None:
    """The zygote is stopped, then killed: the cell waits inside its call, and never comes back from it."""
    (zygote,) = zygotes()
    os.kill(zygote, signal.SIGSTOP)
    asked = asyncio.create_task(ask(pool, f"native {PTRACE}"))
    async with asyncio.timeout(60):
        while not (waiting := [pid for pid in cells() if "seccomp" in Path(f"/proc/{pid}/wchan").read_text()]):
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.5)
    assert len(waiting) == 1
    assert not asked.done()
    os.kill(zygote, signal.SIGKILL)
    result, payloads, _ = await asked
    assert (result.status, payloads) == (Status.ZYGOTE_LOST, [])
    async with asyncio.timeout(60):
        while set(waiting) & set(cells()):
            await asyncio.sleep(0.02)
