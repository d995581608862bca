"""A server whose cells execute a program, ``python -m tests.jail.serve_program [CGROUP_PARENT]``: a few scripts."""

from __future__ import annotations

import asyncio
import json
import os
import sys

from jail.pool import Pool
from jail.spec import Layers, Limits, Program, ZygoteSpec
from tests.jail.program_jobs import SHELL

LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64")
SCRIPTS = (
    "echo works > /tmp/note; read text < /tmp/note; echo $text",
    "read text < /etc/passwd",
    "echo x > /x",
    f"exec {SHELL} -c 'exec /usr/bin/env'",
)


async def main(cgroup_parent: str | None) -> None:
    program = Program(SHELL, tuple(folder for folder in LIBRARIES if os.path.isdir(folder)), scratch_bytes=4 << 20)
    spec = ZygoteSpec("tests.jail.program_jobs:Shell", policy="program", program=program)
    limits = Limits(memory_bytes=128 << 20, pids=8, cpu_s=20)
    pool = Pool(spec, limits, busy=1, idle=1, layers=Layers(cgroup_parent=cgroup_parent))
    await pool.start()
    said = []
    for script in SCRIPTS:
        async with pool.run(b"script", script.encode(), timeout_s=20) as run:
            said.append("".join([payload.decode() async for payload in run]))
    print(json.dumps({"said": said, "layers": sorted(pool.layers_in_force)}), flush=True)
    await pool.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
