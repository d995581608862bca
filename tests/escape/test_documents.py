"""Damaged documents through real cells: none hurts the server, and none asks the kernel for what its policy forbids."""

from __future__ import annotations

import asyncio
import os
from collections import Counter

from cloister.cell.v1 import cell_pb2
from cloister.v1 import ocr_pb2
from jail.pool import Pool
from jail.result import Status
from jail.spec import Limits, ZygoteSpec
from tests.escape.mutants import mutants, seeds

COUNT = int(os.environ.get("CLOISTER_FUZZED_DOCUMENTS", "200"))
"""The long target asks for more."""
SEED = int(os.environ.get("CLOISTER_FUZZ_SEED", "1"))
BUSY = 2
TASK = cell_pb2.Task(
    outputs=[ocr_pb2.OUTPUT_WORDS, ocr_pb2.OUTPUT_TEXT, ocr_pb2.OUTPUT_PDF], max_pixels=4_000_000, max_pages=4
).SerializeToString()


async def test_no_damaged_document_hurts_the_server_or_breaks_the_policy() -> None:
    limits = Limits(memory_bytes=256 << 20, cpu_s=20, reply_bytes=16 << 20)
    pool = Pool(ZygoteSpec("tests.escape.decoding:Decoding", policy="scribe"), limits, busy=BUSY, idle=BUSY)
    await pool.start()
    ends: Counter[str] = Counter()
    odd: list[str] = []

    async def read(document: bytes) -> Status:
        async with pool.run(TASK, document, timeout_s=60) as run:
            async for _ in run:
                pass
        assert run.result is not None
        ends[run.result.status] += 1
        if run.result.status is not Status.OK:
            odd.append(run.result.reason)
        return run.result.status

    async def worker() -> None:
        for document in row:
            status = await read(document)
            assert status is not Status.VIOLATION, (odd[-1], document.hex())
            assert pool.healthy

    try:
        for whole in seeds():
            assert await read(whole) is Status.OK
        row = iter(mutants(COUNT, SEED))
        async with asyncio.TaskGroup() as workers:
            for _ in range(BUSY):
                workers.create_task(worker())
        assert await read(seeds()[0]) is Status.OK
    finally:
        await pool.close()
        print(dict(ends), Counter(odd).most_common(20))
    assert ends.total() == COUNT + len(seeds()) + 1
