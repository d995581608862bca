"""Every way a request can end, in real cells: it ends that request alone, and leaves nothing."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest

from jail.errors import LoadError, PolicyError, PoolClosedError, RehearsalError, SetUpError, SpecError
from jail.layers import Layer
from jail.pool import Pool
from jail.result import Status
from jail.spec import Layers, Limits, ZygoteSpec
from tests.jail.conftest import JOB, LIMITS, ask, cells, cgroups, descriptors, running_pool, settled, zygotes

FATES = [
    ("crash", Status.CRASHED, "SIGSEGV"),
    ("error", Status.CRASHED, "ValueError at tests/jail/jobs.py:"),
    ("memory", Status.MEMORY, "memory limit"),
    ("allocation", Status.MEMORY, "allocation"),
    ("open /etc/passwd", Status.VIOLATION, ""),
    ("socket", Status.VIOLATION, ""),
    ("fork", Status.VIOLATION, ""),
    ("executable", Status.VIOLATION, ""),
    ("wrong_descriptor 5", Status.VIOLATION, ""),
    ("wrong_descriptor 3", Status.VIOLATION, ""),
    ("flood", Status.MALFORMED_REPLY, "PAYLOAD of 1048576 bytes"),
]


async def test_a_request_comes_back_payload_by_payload(pool: Pool) -> None:
    result, payloads, run = await ask(pool, "pages 3")
    assert result.status is Status.OK
    assert payloads == [b"page 0", b"page 1", b"page 2"]
    assert run.set_up is not None
    assert {"fork", "cgroups", "mounts", "seccomp"} <= dict(run.set_up.steps).keys()


async def test_a_large_body_arrives_whole() -> None:
    body = os.urandom(33 << 20)
    async with running_pool(Limits(memory_bytes=256 << 20, reply_bytes=64 << 20), busy=1, idle=1) as pool:
        result, payloads, _ = await ask(pool, "echo large", body)
    assert result.status is Status.OK
    assert payloads == [b"echo large", body]


async def test_an_empty_body_is_a_body(pool: Pool) -> None:
    result, payloads, _ = await ask(pool, "echo nothing")
    assert (result.status, payloads) == (Status.OK, [b"echo nothing"])


@pytest.mark.parametrize(("deed", "status", "reason"), FATES, ids=[deed for deed, _, _ in FATES])
async def test_what_goes_wrong_in_a_cell_ends_that_request_alone(deed: str, status: Status, reason: str) -> None:
    async with running_pool() as pool:
        bad, good = await asyncio.gather(ask(pool, deed, b"secret"), ask(pool, "echo beside"))
        assert bad[0].status is status
        assert reason in bad[0].reason
        assert "secret" not in bad[0].reason
        assert good[0].status is Status.OK
        await settled(pool)
        assert len(cgroups(pool.cgroup)) % 3 == 0  # the pool's own and two idle cells', in each hierarchy
        again, _, _ = await ask(pool, "echo again")
        assert again.status is Status.OK


async def test_payloads_before_a_crash_are_delivered(pool: Pool) -> None:
    result, payloads, _ = await ask(pool, "half")
    assert payloads == [b"one page"]
    assert result.status is Status.CRASHED


async def test_a_cell_that_spins_is_killed_at_the_deadline(pool: Pool) -> None:
    started = asyncio.get_running_loop().time()
    result, _, _ = await ask(pool, "spin", timeout_s=0.3)
    assert result.status is Status.TIMEOUT
    assert asyncio.get_running_loop().time() - started < 15  # its CPU limit would take longer
    await settled(pool)


async def test_a_cell_that_spins_is_killed_at_its_cpu_limit() -> None:
    async with running_pool(Limits(memory_bytes=96 << 20, cpu_s=1), busy=1, idle=1) as pool:
        result, _, _ = await ask(pool, "spin", timeout_s=30)
    assert result.status is Status.TIMEOUT
    assert "1 s of CPU" in result.reason


async def test_the_deadline_counts_while_no_cell_is_free() -> None:
    async with running_pool(busy=1, idle=1) as pool:
        async with pool.run(b"spin", b"", timeout_s=60):
            result, _, run = await ask(pool, "echo late", timeout_s=0.2)
        assert result.status is Status.TIMEOUT
        assert run.set_up is None
        assert run.waited_s >= 0.19


async def test_leaving_early_kills_the_cell(pool: Pool) -> None:
    async with pool.run(b"flood", b"", timeout_s=30) as run:
        async for _ in run:
            break
    assert run.result is not None
    assert run.result.status is Status.CANCELLED
    await settled(pool)


async def test_a_cancelled_caller_kills_the_cell(pool: Pool) -> None:
    task = asyncio.create_task(ask(pool, "spin"))
    await asyncio.sleep(0.2)
    assert pool.busy_cells == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await settled(pool)


async def test_a_caller_cancelled_while_waiting_takes_no_cell() -> None:
    async with running_pool(busy=1, idle=1) as pool:
        spinning = asyncio.create_task(ask(pool, "spin", timeout_s=0.6))
        await asyncio.sleep(0.1)
        waiting = asyncio.create_task(ask(pool, "echo never"))
        await asyncio.sleep(0.1)
        waiting.cancel()
        await asyncio.gather(waiting, spinning, return_exceptions=True)
        result, _, _ = await ask(pool, "echo after")
        assert result.status is Status.OK


async def test_a_cell_keeps_nothing_for_the_next_request() -> None:
    async with running_pool(busy=1, idle=1) as pool:
        for secret in (b"first", b"second"):
            _, payloads, _ = await ask(pool, "leave", secret)
            assert payloads == [secret]


async def test_what_libraries_print_goes_nowhere(pool: Pool, capfd: pytest.CaptureFixture[str]) -> None:
    result, payloads, _ = await ask(pool, "complain")
    assert (result.status, payloads) == (Status.OK, [b"done"])
    assert "complains" not in "".join(capfd.readouterr())


async def test_an_idle_cell_that_dies_is_replaced(pool: Pool) -> None:
    before = cells()
    os.kill(before[0], signal.SIGKILL)
    async with asyncio.timeout(60):
        while before[0] in cells():
            await asyncio.sleep(0.02)
    await settled(pool)
    result, _, _ = await ask(pool, "echo still")
    assert result.status is Status.OK


def cpu_s(pid: int) -> float:
    """CPU seconds of a process in user mode."""
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()[11]) / os.sysconf("SC_CLK_TCK")


async def test_a_cell_killed_from_outside_says_so(pool: Pool) -> None:
    async with pool.run(b"spin", b"", timeout_s=60) as run:
        # The first that uses as much CPU as no cell's set-up does.
        while not (busy := [pid for pid in cells() if cpu_s(pid) > 0.5]):
            await asyncio.sleep(0.05)
        os.kill(busy[0], signal.SIGKILL)
        assert [payload async for payload in run] == []
    assert run.result is not None
    assert run.result.status is Status.KILLED


async def test_a_lost_zygote_ends_its_requests_and_comes_back(pool: Pool) -> None:
    task = asyncio.create_task(ask(pool, "spin"))
    await asyncio.sleep(0.2)
    lost = zygotes()
    os.kill(lost[0], signal.SIGKILL)
    result, _, _ = await task
    assert result.status is Status.ZYGOTE_LOST
    assert not pool.healthy
    refused, _, _ = await ask(pool, "echo soon")
    assert refused.status is Status.ZYGOTE_LOST
    async with asyncio.timeout(60):
        while pool.idle_cells < 2:
            await asyncio.sleep(0.05)
    assert pool.healthy
    assert zygotes() != lost
    result, _, _ = await ask(pool, "echo again")
    assert result.status is Status.OK


async def test_a_hundred_requests_of_every_kind_leave_nothing_behind() -> None:
    async with running_pool(busy=4, idle=3) as pool:
        await settled(pool, idle=3)
        groups, open_now = len(cgroups(pool.cgroup)), descriptors()
        deeds = [deed for deed, _, _ in FATES] + ["spin", "half", "echo x", "pages 5", "echo y"]
        chosen = random.Random(2).choices(deeds, k=100)
        expected = {deed: status for deed, status, _ in FATES} | {"spin": Status.TIMEOUT, "half": Status.CRASHED}

        async def one(deed: str) -> None:
            result, payloads, _ = await ask(pool, deed, b"body", timeout_s=0.3 if deed == "spin" else 60)
            # A spinning cell may find no free cell before its deadline either: the answer is the same.
            assert result.status is expected.get(deed, Status.OK), (deed, result)
            if deed.startswith("echo"):
                assert payloads == [deed.encode(), b"body"]

        await asyncio.gather(*map(one, chosen))
        await settled(pool, idle=3)
        assert len(cgroups(pool.cgroup)) == groups
        assert len(descriptors()) == len(open_now)


async def test_closing_lets_requests_end_within_the_grace() -> None:
    async with running_pool() as pool:
        task = asyncio.create_task(ask(pool, "pages 3"))
        await asyncio.sleep(0)
        await pool.close(grace_s=10)
        result, payloads, _ = await task
        assert (result.status, len(payloads)) == (Status.OK, 3)


async def test_closing_kills_what_outlasts_the_grace() -> None:
    async with running_pool() as pool:
        task = asyncio.create_task(ask(pool, "spin"))
        await asyncio.sleep(0.1)
        await pool.close(grace_s=0.1)
        result, _, _ = await task
        assert result.status is Status.CANCELLED
        with pytest.raises(PoolClosedError):
            pool.run(b"", b"", timeout_s=1)


async def test_a_job_that_does_not_load_is_told_with_its_traceback() -> None:
    with pytest.raises(LoadError, match="no such model"):
        async with running_pool(fail="load"):
            pass
    assert not cells()


async def test_a_job_that_leaves_a_thread_running_is_refused() -> None:
    with pytest.raises(LoadError, match="helper"):
        async with running_pool(fail="thread"):
            pass


async def test_a_rehearsal_that_raises_is_told() -> None:
    with pytest.raises(RehearsalError, match="no such stage"):
        async with running_pool(fail="rehearse"):
            pass


async def test_a_rehearsal_outside_its_policy_is_told() -> None:
    with pytest.raises(RehearsalError, match="violation"):
        async with running_pool(fail="rehearse_violation"):
            pass


async def test_the_zygote_imports_neither_grpc_nor_asyncio() -> None:
    async with running_pool(fail="grpc", busy=1, idle=1) as pool:
        assert pool.healthy


async def test_a_malformed_policy_stops_the_start(tmp_path: Path) -> None:
    policy = tmp_path / "bad.policy"
    policy.write_text("read: fd == REQUEST  # the request\nwrite: colour == 3  # why not\n")
    pool = Pool(ZygoteSpec(JOB, policy=str(policy)))
    with pytest.raises(PolicyError, match=r"bad\.policy:2: write has no argument 'colour'"):
        await pool.start()


async def test_a_layer_given_up_shows() -> None:
    async with running_pool(layers=Layers(frozenset({Layer.SECCOMP, Layer.NETWORK_NAMESPACE}))) as pool:
        assert pool.layers_off >= {Layer.SECCOMP, Layer.NETWORK_NAMESPACE}
        assert not pool.layers_in_force & {Layer.SECCOMP, Layer.NETWORK_NAMESPACE}
        result, _, _ = await ask(pool, "call 110")  # getppid: with seccomp it kills
        assert result.status is Status.OK


async def test_all_layers_are_in_force_otherwise(pool: Pool) -> None:
    assert pool.layers_in_force | pool.layers_off | {Layer.USER_NAMESPACE} == set(Layer)
    assert pool.layers_off <= {Layer.LANDLOCK}


async def test_a_cgroup_that_is_not_there_stops_the_start() -> None:
    pool = Pool(ZygoteSpec(JOB), LIMITS, layers=Layers(cgroup_parent="/no/such/group"))
    with pytest.raises(SetUpError, match=r"layer cgroups: .*Delegate=yes") as caught:
        await pool.start()
    assert caught.value.layer is Layer.CGROUPS


async def test_groups_of_dead_servers_are_removed_at_the_next_start() -> None:
    async with running_pool(busy=1, idle=1) as pool:
        homes = [group.parent for group in cgroups(pool.cgroup) if group.name == pool.cgroup]
        stale = [home / "cloister-dead" / "7" for home in homes]
        for group in stale:
            group.mkdir(parents=True)
        async with running_pool(busy=1, idle=1) as second:
            assert not any(group.parent.exists() for group in stale)
            assert cgroups(pool.cgroup)
            assert cgroups(second.cgroup)


def test_a_pool_without_cells_is_refused() -> None:
    with pytest.raises(SpecError, match="each must be 1 or more"):
        Pool(ZygoteSpec(JOB), idle=0)


async def test_a_flood_of_frames_leaves_the_event_loop_its_turns(pool: Pool) -> None:
    turns, longest, since, last = 0, 0, 0, 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    try:
        async with pool.run(b"pages 4000", b"", timeout_s=30) as run:
            # All of it is in the pipe then: nothing has to be waited for.
            assert run.ended is not None
            await run.ended
            async for _ in run:
                since = since + 1 if turns == last else 1
                longest, last = max(longest, since), turns
    finally:
        beside.cancel()
    assert run.result is not None
    assert run.result.status is Status.OK
    assert longest <= 16
