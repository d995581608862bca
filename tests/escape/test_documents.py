"""Damaged documents through real cells: none hurts the server, and none asks the kernel for what its policy forbids.

What a cell answers must be what the server takes: pages, or a refusal of the document.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter

from cloister.cell.v1 import cell_pb2
from cloister.v1 import ocr_pb2
from jail.pool import Pool
from jail.result import Status
from jail.spec import Limits, ZygoteSpec
from server.errors import CellError, DocumentError, Reason
from server.replies import ReplyChecker
from tests.escape.mutants import mutants, seeds

COUNT = int(os.environ.get("CLOISTER_FUZZED_DOCUMENTS", "200"))
"""The long target asks for more."""
SEED = int(os.environ.get("CLOISTER_FUZZ_SEED", "1"))
BUSY = 2 * len(os.sched_getaffinity(0))
"""Cells at a time. Making one waits for the kernel as much as it works: with one for each core, cores stood idle."""
TASK = cell_pb2.Task(
    outputs=[ocr_pb2.OUTPUT_WORDS, ocr_pb2.OUTPUT_TEXT, ocr_pb2.OUTPUT_PDF], max_pixels=4_000_000, max_pages=4
)
READ = "read"


async def test_no_damaged_document_hurts_the_server_or_breaks_the_policy() -> None:
    limits = Limits(memory_bytes=256 << 20, cpu_s=20, reply_bytes=16 << 20)
    pool = Pool(ZygoteSpec("tests.escape.decoding:Decoding", policy="scribe"), limits, busy=BUSY, idle=BUSY)
    await pool.start()
    ends: Counter[str] = Counter()
    odd: list[str] = []

    async def read(document: bytes) -> str:
        """How it ended: read, the document's fault by its reason, or the cell's status where that is not OK."""
        checker, end = ReplyChecker(TASK), READ
        async with pool.run(TASK.SerializeToString(), document, timeout_s=60) as run:
            try:
                async for part in run:
                    checker.take(part)
                checker.finish()
            except DocumentError as error:
                end = error.reason
            except CellError as error:
                end = error.reason
        assert run.result is not None
        if run.result.status is not Status.OK:
            end = run.result.status
            odd.append(run.result.reason)
        ends[end] += 1
        return end

    async def worker() -> None:
        for number, document in row:
            status = await read(document)
            assert status not in {Status.VIOLATION, Reason.MALFORMED_REPLY}, (
                f"{status} {odd[-1:]}: python -m tests.escape.mutants {SEED} {number}"
            )
            assert pool.healthy

    try:
        for whole in seeds():
            assert await read(whole) is READ
        row = enumerate(mutants(COUNT, SEED))
        started = time.perf_counter()
        async with asyncio.TaskGroup() as workers:
            for _ in range(BUSY):
                workers.create_task(worker())
        print(f"{COUNT} mutants of seed {SEED}, {COUNT / (time.perf_counter() - started):.0f} a second")
        assert await read(seeds()[0]) is READ
    finally:
        await pool.close()
        print(dict(ends), Counter(odd).most_common(20))
    assert ends.total() == COUNT + len(seeds()) + 1
    assert len(ends) > 2, "they are damaged too little, or too much"


def test_a_mutant_is_made_anew_from_its_seed_and_number() -> None:
    fourth = list(mutants(4, SEED))[3]
    command = [sys.executable, "-m", "tests.escape.mutants", str(SEED), "3"]
    assert subprocess.run(command, check=True, capture_output=True).stdout == fourth
