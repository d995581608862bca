"""The blocking client, in a thread of its own as its users have it."""

from __future__ import annotations

import asyncio
from itertools import repeat
from pathlib import Path

import pytest

from server.calls import RETRY_BYTES
from server.client import Client, Upload
from server.errors import CellError, DeadlineError, DocumentError, Reason, TransportError
from tests.server.conftest import Tiny
from tests.server.jobs import document

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_it_reads_lists_and_streams(shared: Tiny) -> None:
    def calls() -> None:
        with Client(shared.address) as client:
            assert client.recognize(document("one")).text == "one"
            assert [engine.name for engine in client.engines()] == ["tiny"]
            with client.stream(document("one", "two")) as pages:
                assert [page.text for page in pages] == ["one", "two"]
            assert pages.summary is not None
            assert pages.summary.pages == 2

    await asyncio.to_thread(calls)


async def test_a_document_may_come_in_parts(shared: Tiny) -> None:
    def call() -> list[str]:
        with Client(shared.address) as client, client.stream(iter([b"one t", b"wo\nthr", b"ee"])) as pages:
            return [page.text for page in pages]

    assert await asyncio.to_thread(call) == ["one two", "three"]


async def test_its_errors_are_those_of_the_server(shared: Tiny) -> None:
    def calls() -> None:
        with Client(shared.address) as client:
            with pytest.raises(CellError) as crashed:
                client.recognize(document("!crash"))
            assert crashed.value.reason == Reason.CELL_CRASHED
            with client.stream(document("one", "!crash")) as pages, pytest.raises(CellError):
                list(pages)
            with pytest.raises(DeadlineError):
                client.recognize(document("!hang"), deadline_s=0.3)

    await asyncio.to_thread(calls)


async def test_leaving_a_stream_ends_the_work(shared: Tiny) -> None:
    def call() -> None:
        with Client(shared.address) as client, client.stream(document("one", "!hang")) as pages:
            next(iter(pages))

    await asyncio.to_thread(call)
    async with asyncio.timeout(60):
        while shared.server.hosts[0].admission.inside:
            await asyncio.sleep(0.02)
    assert shared.requests[-1]["code"] == "CANCELLED"


async def test_a_server_that_is_not_there_is_told_from_one_that_refuses(tmp_path: Path) -> None:
    def call() -> None:
        with Client(f"unix:{tmp_path}/nobody") as client, pytest.raises(TransportError):
            client.recognize(document("x"))

    await asyncio.to_thread(call)


async def test_a_stream_without_end_is_refused(shared: Tiny) -> None:
    def call() -> None:
        with Client(shared.address) as client, client.stream(repeat(b"x" * 65536)) as pages:
            with pytest.raises(DocumentError) as raised:
                next(iter(pages))
            assert raised.value.reason == Reason.DOCUMENT_TOO_LARGE

    await asyncio.to_thread(call)


async def test_a_document_in_parts_is_there_again_until_it_is_answered() -> None:
    upload = Upload(iter([b"a", b"b", b"c"]), keeps=True)
    first = upload.parts()
    assert [next(first), next(first)] == [b"a", b"b"]
    # The server went away; the rest is drawn from where it was.
    assert list(upload.parts()) == [b"a", b"b", b"c"]
    assert upload.is_kept
    upload.forget()
    assert not upload.is_kept
    assert not Upload(b"x", keeps=False).is_kept


async def test_a_document_that_is_too_large_to_be_kept_is_sent_once_and_whole() -> None:
    part = b"x" * (RETRY_BYTES // 2)
    upload = Upload(repeat(part, 3), keeps=True)
    assert sum(len(sent) for sent in upload.parts()) == 3 * len(part)
    assert not upload.is_kept
