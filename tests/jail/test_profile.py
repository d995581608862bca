"""What a profile of a policy sees: all that cells call, allowed or not, and nothing stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from jail import profile
from jail.layers import Layer
from jail.policy import Phase
from jail.pool import Pool
from jail.profile import Profile
from jail.result import Status
from jail.spec import Layers, ZygoteSpec
from tests.jail.conftest import LIMITS, ask

POLICY = ZygoteSpec("no:Job").policy_path
GETPPID, GETPRIORITY = 110, 140


async def profiled(folder: Path, *deeds: str) -> tuple[Profile, list[Status], Pool]:
    out = folder / "record.json"
    layers = Layers(dangerously_record=str(out))
    pool = Pool(ZygoteSpec("tests.jail.jobs:Deeds"), LIMITS, busy=1, idle=1, layers=layers)
    await pool.start()
    try:
        ends = [(await ask(pool, deed))[0].status for deed in deeds]
    finally:
        await pool.close()
    return profile.read(POLICY, [out]), ends, pool


async def test_what_is_not_allowed_passes_and_is_told_with_its_arguments(tmp_path: Path) -> None:
    found, ends, _ = await profiled(tmp_path, f"call {GETPRIORITY}", f"call {GETPRIORITY}", f"call {GETPPID}")
    assert ends == [Status.OK] * 3
    told = {use.call: use for use in found.forbidden}
    assert set(told) == {"getpriority", "getppid"}
    assert (told["getpriority"].count, told["getpriority"].phase) == (2, Phase.WORK)
    assert told["getpriority"].arguments[0] == {0}
    assert str(told["getppid"]).startswith("getppid(0x0, ")


async def test_what_is_allowed_is_counted_by_rule_and_phase(tmp_path: Path) -> None:
    found, _, _ = await profiled(tmp_path, "echo", "allocation", "complain")
    used = {(use.phase, use.call, use.rule[0] if use.rule else None) for use in found.uses}
    assert {
        (Phase.SET_UP, "seccomp", "every-set-up.policy"),
        (Phase.WORK, "read", "base.policy"),
        (Phase.WORK, "write", "base.policy"),
        (Phase.WORK, "brk", "base.policy"),
        (Phase.WORK, "mmap", "base.policy"),
    } <= used
    assert not found.forbidden
    unused = {row.call for row in found.unused}
    assert "mremap" in unused
    assert not unused & {"read", "brk", "mmap", "exit_group", "seccomp"}


async def test_a_call_that_is_answered_with_an_error_still_is(tmp_path: Path) -> None:
    found, ends, _ = await profiled(tmp_path, "complain")
    assert ends == [Status.OK]
    quiet = [use for use in found.uses if use.call == "write" and use.arguments[0] == {2}]
    assert [use.rule is not None for use in quiet] == [True]


async def test_a_pool_that_records_says_that_the_filter_is_off(tmp_path: Path) -> None:
    _, _, pool = await profiled(tmp_path, "echo")
    assert Layer.SECCOMP in pool.layers_off


@pytest.mark.parametrize("count", [3, 40])
def test_many_values_of_an_argument_are_told_as_many(count: int) -> None:
    use = profile.Use(Phase.WORK, "getpriority", None)
    for value in range(count):
        use.add((value, 7, 0, 0, 0, 0))
    assert str(use).startswith("getpriority(0x0|0x1|0x2, 0x7" if count == 3 else "getpriority(*, 0x7")
