"""When cells are made, and whom their making must give way to."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace

import pytest

from jail.result import Status
from tests.jail.conftest import LIMITS, ask, cells, running_pool, settled, zygotes


async def test_cells_in_the_background_and_what_makes_them_give_way() -> None:
    async with running_pool(replace(LIMITS, background=True), busy=1, idle=1) as pool:
        (zygote,) = zygotes()
        for pid in (zygote, *cells()):
            assert os.sched_getscheduler(pid) == os.SCHED_IDLE
        assert (await ask(pool, "echo something"))[0].status is Status.OK
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


async def test_no_cell_is_made_beside_a_request_while_whoever_comes_next_finds_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jail.pool._UNHURRIED_S", 1e6)
    async with running_pool(busy=1, idle=2) as pool:
        async with pool.run(b"spin", b"", timeout_s=30):
            await asyncio.sleep(0.1)
            assert (pool.idle_cells, pool.starting_cells) == (1, 0)
        await settled(pool)
    async with running_pool(busy=2, idle=1) as pool, pool.run(b"spin", b"", timeout_s=30):
        async with asyncio.timeout(30):
            while not pool.idle_cells:
                await asyncio.sleep(0.02)
