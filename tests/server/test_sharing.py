"""Pages of one document read by several cells at once: in order, within bounds, and leaving nothing behind."""

import asyncio
import time

import pytest

from cloister.v1 import ocr_pb2
from server.async_client import AsyncClient
from server.errors import CellError, DeadlineError, DocumentError, Reason
from tests.server.conftest import Tiny, tiny_server, tiny_settings
from tests.server.jobs import document, page_of

WORDS = [f"page{number}" for number in range(1, 8)]


def several(cells: int = 3, **more: object) -> dict[str, object]:
    return {"cells": {"busy": cells, "idle": cells, "per_document": cells, **more}}


async def left_as_it_was(tiny: Tiny) -> None:
    pool = tiny.server.hosts[0].pool
    async with asyncio.timeout(60):
        while pool.busy_cells or pool.idle_cells < 3 or tiny.server.hosts[0].admission.inside:
            await asyncio.sleep(0.02)


async def test_pages_come_in_order_whoever_reads_them() -> None:
    # The first cell is slow at its pages, the second quick, the third slowest.
    slow = {1: 0.3, 3: 0.5, 6: 0.4}
    lines = [line for n, word in enumerate(WORDS, 1) for line in ([f"!work {slow[n]}"] if n in slow else []) + [word]]
    async with tiny_server(tiny_settings(**several())) as tiny, AsyncClient(tiny.address) as client:
        async with client.stream(document(*lines)) as pages:
            read = [page async for page in pages]
        assert [page.text for page in read] == WORDS
        assert read == [page_of(number, [word]) for number, word in enumerate(WORDS, 1)]
        assert pages.count == len(WORDS)
        assert pages.summary is not None
        assert pages.summary.pages == len(WORDS)
        # Every page's time counts, whichever cell it took.
        assert pages.summary.timings.recognise.ToMilliseconds() == 2 * len(WORDS)
        assert (await client.recognize(document(*lines))).text.split("\f") == WORDS
        await left_as_it_was(tiny)
        assert [line["pages"] for line in tiny.requests] == [len(WORDS)] * 2


async def test_cells_work_at_the_same_time() -> None:
    lines = [line for word in WORDS[:3] for line in ("!work 0.6", word)]
    async with tiny_server(tiny_settings(**several())) as tiny, AsyncClient(tiny.address) as client:
        busiest = 0
        reading = asyncio.create_task(client.recognize(document(*lines)))
        while not reading.done():
            busiest = max(busiest, tiny.server.hosts[0].pool.busy_cells)
            await asyncio.sleep(0.01)
        assert (await reading).text.split("\f") == WORDS[:3]
    assert busiest == 3


@pytest.mark.parametrize("bound", [1, 2])
async def test_a_document_takes_no_more_cells_than_it_may(bound: int) -> None:
    lines = [line for word in WORDS for line in ("!work 0.1", word)]
    async with tiny_server(tiny_settings(**several(per_document=bound))) as tiny, AsyncClient(tiny.address) as client:
        busiest = 0
        reading = asyncio.create_task(client.recognize(document(*lines)))
        while not reading.done():
            busiest = max(busiest, tiny.server.hosts[0].pool.busy_cells)
            await asyncio.sleep(0.01)
        assert (await reading).text.split("\f") == WORDS
    assert busiest == bound


async def test_documents_that_come_together_are_all_read() -> None:
    async with tiny_server(tiny_settings(**several())) as tiny, AsyncClient(tiny.address) as client:
        bodies = [document(*(f"{name}{number}" for number in range(5))) for name in "abcdef"]
        answers = await asyncio.gather(*(client.recognize(body) for body in bodies))
        assert [answer.text.replace("\f", "\n").encode() for answer in answers] == bodies
        await left_as_it_was(tiny)


async def test_a_pdf_of_shared_pages_is_made_of_what_all_cells_read() -> None:
    async with tiny_server(tiny_settings(**several())) as tiny, AsyncClient(tiny.address) as client:
        outputs = (ocr_pb2.OUTPUT_PDF, ocr_pb2.OUTPUT_TEXT)
        answer = await client.recognize(document(*WORDS), outputs=outputs)
        assert [file.content for file in answer.files] == [b"%PDF-" + "|".join(WORDS).encode()]
        assert not any(page.lines for page in answer.pages)
        (alone,) = (await client.recognize(document("single"), outputs=outputs)).files
        assert alone.content == b"%PDF-"
        await left_as_it_was(tiny)


@pytest.mark.parametrize(
    ("deed", "error", "reason"),
    [
        ("!crash", CellError, Reason.CELL_CRASHED),
        ("!violate", CellError, Reason.CELL_BROKE_POLICY),
        ("!nan", CellError, Reason.MALFORMED_REPLY),
        ("!fail REASON_DAMAGED", DocumentError, Reason.DAMAGED_DOCUMENT),
    ],
)
@pytest.mark.parametrize("place", [3, 4, 5])
async def test_what_one_cell_fails_at_ends_the_request_after_the_pages_before(
    deed: str, error: type[Exception], reason: Reason, place: int
) -> None:
    lines = [*WORDS[:place], deed, *WORDS[place:]]
    async with tiny_server(tiny_settings(**several())) as tiny, AsyncClient(tiny.address) as client:
        read = []
        async with client.stream(document(*lines)) as pages:
            with pytest.raises(error) as raised:
                read += [page.text async for page in pages]
        assert raised.value.reason == reason  # type: ignore[attr-defined]
        assert read == WORDS[: len(read)]
        await left_as_it_was(tiny)
        assert tiny.requests[-1]["reason"] == reason
        if error is CellError and reason is not Reason.MALFORMED_REPLY:
            assert tiny.requests[-1]["cell"]["status"] in ("crashed", "violation")  # type: ignore[index]
        assert (await client.recognize(document("next"))).text == "next"


async def test_a_deadline_ends_all_cells() -> None:
    lines = [line for word in WORDS for line in (word, "!hang")]
    async with tiny_server(tiny_settings(**several())) as tiny, AsyncClient(tiny.address) as client:
        started = time.monotonic()
        with pytest.raises(DeadlineError):
            await client.recognize(document(*lines), deadline_s=1.0)
        assert time.monotonic() - started < 15
        await left_as_it_was(tiny)


async def test_a_caller_that_leaves_takes_all_cells_along() -> None:
    lines = [line for word in WORDS for line in (word, "!hang")]
    async with tiny_server(tiny_settings(**several())) as tiny, AsyncClient(tiny.address) as client:
        async with client.stream(document(*lines)) as pages:
            assert (await anext(aiter(pages))).text == WORDS[0]
        await left_as_it_was(tiny)
        assert tiny.requests[-1]["code"] == "CANCELLED"


async def test_progress_is_told_page_by_page() -> None:
    async with tiny_server(tiny_settings(**several())) as tiny, AsyncClient(tiny.address) as client:
        told: list[tuple[int, int]] = []
        followed = await client.recognize(document(*WORDS), progress=lambda read, there: told.append((read, there)))
        assert told == [(number, len(WORDS)) for number in range(len(WORDS) + 1)]
        plain = await client.recognize(document(*WORDS))
        assert followed.pages == plain.pages
        assert followed.text == plain.text
        assert followed.provenance.engine == plain.provenance.engine
