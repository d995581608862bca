"""Files that are written of pages."""

from __future__ import annotations

import asyncio

from cloister.v1 import ocr_pb2
from server import files
from tests.server.jobs import page_of


async def test_the_event_loop_goes_on_while_files_are_made() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    pages = [page_of(1, ["word"] * 20_000)]
    beside = asyncio.create_task(others())
    try:
        made = await files.made([ocr_pb2.OUTPUT_ALTO], pages, b"", ocr_pb2.Provenance())
    finally:
        beside.cancel()
    assert made == files.make([ocr_pb2.OUTPUT_ALTO], pages, b"", ocr_pb2.Provenance())
    assert turns
