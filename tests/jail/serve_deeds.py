"""A server of its own, ``python -m tests.jail.serve_deeds [CGROUP_PARENT]``: one request a kind, then it waits."""

from __future__ import annotations

import asyncio
import json
import sys

from jail.pool import Pool
from jail.spec import Layers, Limits, ZygoteSpec
from tests.jail.conftest import settled

DEEDS = ("echo x", "memory", "socket", "crash", "spin")


async def main(cgroup_parent: str | None) -> None:
    limits = Limits(memory_bytes=96 << 20, cpu_s=20, reply_bytes=8 << 20)
    pool = Pool(ZygoteSpec("tests.jail.jobs:Deeds"), limits, layers=Layers(cgroup_parent=cgroup_parent))
    await pool.start()
    statuses = {}
    for deed in DEEDS:
        async with pool.run(deed.encode(), b"", timeout_s=0.5 if deed == "spin" else 20) as run:
            async for _ in run:
                pass
        assert run.result is not None
        statuses[deed] = run.result.status
    await settled(pool)  # a cell just forked still bears its zygote's name
    report = {"statuses": statuses, "layers": sorted(pool.layers_in_force), "cgroup": pool.cgroup}
    print(json.dumps(report), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await pool.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
