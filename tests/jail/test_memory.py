"""What the processes of a pool hold."""

from __future__ import annotations

import os
import subprocess
import sys

from jail.memory import Processes, held_bytes, proportional_bytes
from tests.jail.conftest import LIMITS, cells, running_pool, zygotes


async def test_a_pool_knows_its_processes_and_cells_share_what_the_zygote_loaded() -> None:
    async with running_pool(LIMITS, busy=1, idle=2) as pool:
        found = pool.processes
        assert set(found.cells) == set(cells())
        assert set(zygotes()) <= set(found.zygote)
        zygote, own = held_bytes(found.zygote), held_bytes(found.cells)
        assert zygote is not None
        assert own is not None
        # Each page that three processes share counts a third for each: a cell of its own would hold as much as it.
        resident = sum(_resident(pid) for pid in found.cells)
        assert 0 < own < resident
    assert pool.processes == Processes(None, ())


def _resident(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as fields:
        return int(fields.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_process_that_is_gone_holds_nothing_that_can_be_told() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert (proportional_bytes(process.pid) or 0) > 0
    finally:
        process.communicate(b"\n")
    assert proportional_bytes(process.pid) is None
    assert held_bytes((process.pid,)) is None
    assert Processes(process.pid, ()).zygote == ()
