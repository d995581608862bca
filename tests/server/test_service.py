"""What callers get from the RPCs, over a real channel, from real cells."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from cloister.v1 import ocr_pb2, ocr_pb2_grpc
from server.async_client import AsyncClient
from server.errors import CellError, CloisterError, DeadlineError, DocumentError, OptionsError, Reason
from tests.server.conftest import MIB, Tiny, tiny, tiny_server, tiny_settings
from tests.server.jobs import document, page_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def refused(tiny: Tiny, body: bytes, **options: object) -> CloisterError:
    async with AsyncClient(tiny.address) as client:
        with pytest.raises(CloisterError) as raised:
            await client.recognize(body, **options)
    return raised.value


async def test_a_document_comes_back_as_pages_of_words(shared: Tiny) -> None:
    async with AsyncClient(shared.address) as client:
        response = await client.recognize(document("a first page", "a second"))
    assert [page.text for page in response.pages] == ["a first page", "a second"]
    assert [word.text for word in response.pages[0].lines[0].words] == ["a", "first", "page"]
    assert response.text == "a first page\fa second"


async def test_the_reply_says_who_read_it_and_where_the_time_went(shared: Tiny) -> None:
    async with AsyncClient(shared.address) as client:
        response = await client.recognize(document("one", "two"))
    provenance = response.provenance
    assert (provenance.engine, provenance.engine_version, provenance.model_version) == ("tiny", "1.0", "tiny-1")
    assert "seccomp" in provenance.jail_layers
    assert provenance.request_id == shared.requests[-1]["request_id"]
    timings = response.timings
    assert timings.decode.ToMilliseconds() == 2
    assert timings.recognise.ToMilliseconds() == 4
    assert timings.HasField("queue")
    assert timings.cell_setup.ToMicroseconds() > 0
    assert timings.total.ToNanoseconds() > timings.queue.ToNanoseconds()
    assert not timings.HasField("orient")


@pytest.mark.parametrize(
    ("outputs", "words", "text"),
    [([ocr_pb2.OUTPUT_WORDS], True, False), ([ocr_pb2.OUTPUT_TEXT], False, True), ([], True, True)],
)
async def test_only_what_was_asked_for_comes_back(
    shared: Tiny, outputs: list[ocr_pb2.Output.ValueType], words: bool, text: bool
) -> None:
    async with AsyncClient(shared.address) as client:
        response = await client.recognize(document("some words"), outputs=outputs)
    assert bool(response.pages[0].lines) is words
    assert bool(response.text) is text
    assert shared.requests[-1]["words"] == 2


@pytest.mark.parametrize(
    ("body", "type_", "reason"),
    [
        (b"", DocumentError, Reason.EMPTY_DOCUMENT),
        (b"x" * (MIB + 1), DocumentError, Reason.DOCUMENT_TOO_LARGE),
        (b"x" * (3 * MIB), DocumentError, Reason.DOCUMENT_TOO_LARGE),
        (document("!fail REASON_NOT_AN_IMAGE"), DocumentError, Reason.NOT_AN_IMAGE),
        (document("!fail REASON_DAMAGED"), DocumentError, Reason.DAMAGED_DOCUMENT),
        (document("!fail REASON_UNSUPPORTED"), DocumentError, Reason.UNSUPPORTED_DOCUMENT),
        (document("!fail REASON_TOO_MANY_PIXELS"), DocumentError, Reason.TOO_MANY_PIXELS),
        (document("one", "!fail REASON_TOO_MANY_PAGES"), DocumentError, Reason.TOO_MANY_PAGES),
        (document("one", "!crash"), CellError, Reason.CELL_CRASHED),
        (document("!abort"), CellError, Reason.CELL_BROKE_POLICY),
        (document("!violate"), CellError, Reason.CELL_BROKE_POLICY),
        (document("!hog"), CellError, Reason.CELL_OUT_OF_MEMORY),
        (document("!garbage", "one"), CellError, Reason.MALFORMED_REPLY),
        (document("!order"), CellError, Reason.MALFORMED_REPLY),
        (document("!outside"), CellError, Reason.MALFORMED_REPLY),
        (document("!nan\nnever read"), CellError, Reason.MALFORMED_REPLY),
        (document("!escape"), CellError, Reason.MALFORMED_REPLY),
        (document("one", "!unended"), CellError, Reason.MALFORMED_REPLY),
        (document(*["page"] * 11), CellError, Reason.MALFORMED_REPLY),
    ],
)
async def test_each_failure_has_its_type_and_reason(
    shared: Tiny, body: bytes, type_: type[CloisterError], reason: Reason
) -> None:
    error = await refused(shared, body)
    assert type(error) is type_
    assert error.reason == reason
    assert error.retry_after_s is None


async def test_after_any_failure_the_next_document_is_read(shared: Tiny) -> None:
    for deed in ("crash", "violate", "garbage", "hog"):
        await refused(shared, document(f"!{deed}"))
        async with AsyncClient(shared.address) as client:
            assert (await client.recognize(document("fine"))).text == "fine"


async def test_the_caller_of_a_violation_learns_no_system_call_and_the_operator_does(shared: Tiny) -> None:
    error = await refused(shared, document("!violate"))
    assert "open" not in error.message
    assert not error.metadata
    logged = shared.requests[-1]
    assert logged["cell"]["status"] == "violation"
    assert (logged["violation"]["call"], logged["violation"]["phase"]) == ("openat", "work")
    assert len(logged["violation"]["arguments"]) == 6


async def test_an_unknown_engine_is_refused_with_those_there_are(shared: Tiny) -> None:
    error = await refused(shared, document("x"), engine="other")
    assert isinstance(error, OptionsError)
    assert (error.reason, error.code, error.metadata) == (
        Reason.UNKNOWN_ENGINE,
        grpc.StatusCode.NOT_FOUND,
        {"engines": "tiny"},
    )


@pytest.mark.parametrize("output", [ocr_pb2.OUTPUT_UNSPECIFIED, 77])
async def test_an_unknown_output_is_refused(shared: Tiny, output: int) -> None:
    assert (await refused(shared, document("x"), outputs=[output])).reason == Reason.INVALID_OPTIONS


async def test_an_unknown_priority_is_refused(shared: Tiny) -> None:
    context = ocr_pb2.RequestContext(priority=77)  # type: ignore[arg-type]
    assert (await refused(shared, document("x"), context=context)).reason == Reason.INVALID_OPTIONS


async def test_engines_are_listed(shared: Tiny) -> None:
    async with AsyncClient(shared.address) as client:
        (engine,) = await client.engines()
    assert (engine.name, engine.version, engine.is_default, list(engine.languages)) == ("tiny", "1.0", True, ["en"])


async def test_a_page_arrives_while_the_next_is_being_read(shared: Tiny) -> None:
    async with AsyncClient(shared.address) as client, client.stream(document("one", "!hang")) as pages:
        async with asyncio.timeout(60):
            assert await anext(aiter(pages)) == page_of(1, ["one"])


async def test_a_stream_gives_pages_in_order_and_then_a_summary(shared: Tiny) -> None:
    async with AsyncClient(shared.address) as client, client.stream(document("one", "two", "three")) as pages:
        assert [page.text async for page in pages] == ["one", "two", "three"]
    assert pages.summary is not None
    assert pages.summary.pages == 3
    assert pages.summary.provenance.engine == "tiny"
    assert pages.summary.timings.recognise.ToMilliseconds() == 6


async def test_a_failure_in_mid_stream_ends_it_with_its_reason(shared: Tiny) -> None:
    read = []
    async with AsyncClient(shared.address) as client, client.stream(document("one", "!crash")) as pages:
        with pytest.raises(CellError) as raised:
            read += [page.text async for page in pages]
    assert raised.value.reason == Reason.CELL_CRASHED


async def test_a_stream_that_grows_past_the_limit_is_refused_before_its_end(shared: Tiny) -> None:
    async with AsyncClient(shared.address) as client, client.stream(b"x" * (8 * MIB)) as pages:
        with pytest.raises(DocumentError) as raised:
            await anext(aiter(pages))
    assert raised.value.reason == Reason.DOCUMENT_TOO_LARGE
    assert shared.requests[-1]["bytes"] < 2 * MIB


@pytest.mark.parametrize(
    "requests",
    [
        [],
        [ocr_pb2.RecognizeStreamRequest(chunk=b"x")],
        [ocr_pb2.RecognizeStreamRequest()],
        [ocr_pb2.RecognizeStreamRequest(options=ocr_pb2.RecognizeOptions())] * 2,
    ],
)
async def test_a_stream_out_of_order_is_refused(shared: Tiny, requests: list[ocr_pb2.RecognizeStreamRequest]) -> None:
    async with grpc.aio.insecure_channel(shared.address) as channel:
        call = ocr_pb2_grpc.OcrServiceStub(channel).RecognizeStream(iter(requests))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call.read()
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "options" in raised.value.details()


async def test_a_cell_that_hangs_ends_at_the_callers_deadline(shared: Tiny) -> None:
    error = await refused(shared, document("!hang"), deadline_s=0.5)
    assert isinstance(error, DeadlineError)
    await nothing_runs(shared)


async def test_a_caller_that_leaves_takes_its_cell_along(shared: Tiny) -> None:
    async with AsyncClient(shared.address) as client, client.stream(document("one", "!hang")) as pages:
        await anext(aiter(pages))
        assert shared.server.hosts[0].pool.busy_cells == 1
    await nothing_runs(shared)
    assert shared.requests[-1]["code"] == "CANCELLED"


async def nothing_runs(tiny: Tiny) -> None:
    """Waits until no cell is busy and one is ready again."""
    pool = tiny.server.hosts[0].pool
    async with asyncio.timeout(60):
        while pool.busy_cells or not pool.idle_cells or tiny.server.hosts[0].admission.inside:
            await asyncio.sleep(0.02)


async def test_the_servers_own_deadlines_hold_for_callers_without_and_with_longer_ones() -> None:
    settings = tiny_settings(limits={"deadline_s": 1.5, "deadline_cap_s": 2.0}, cells={"cpu_s": 60})
    async with tiny_server(settings) as tiny, grpc.aio.insecure_channel(tiny.address) as channel:
        stub = ocr_pb2_grpc.OcrServiceStub(channel)
        for timeout in (None, 60):
            await nothing_runs(tiny)
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await stub.Recognize(ocr_pb2.RecognizeRequest(document=document("!hang")), timeout=timeout)
            assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert "reading the document" in raised.value.details()
        call = stub.RecognizeStream()
        await call.write(ocr_pb2.RecognizeStreamRequest(options=ocr_pb2.RecognizeOptions()))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call.read()
        assert "receiving the document" in raised.value.details()


async def test_past_the_queue_a_caller_is_told_when_to_come_back_and_in_it_waits_to_its_deadline() -> None:
    async with (
        tiny_server(tiny_settings(limits={"queue": 1}, cells={"cpu_s": 60})) as tiny,
        AsyncClient(tiny.address) as client,
        client.stream(document("one", "!hang")) as busy,
    ):
        await anext(aiter(busy))
        waiting = asyncio.create_task(client.recognize(document("two"), deadline_s=4.0))
        while tiny.server.hosts[0].admission.inside < 2:
            await asyncio.sleep(0.02)
        stub = ocr_pb2_grpc.OcrServiceStub(grpc.aio.insecure_channel(tiny.address))
        with pytest.raises(grpc.aio.AioRpcError) as full:
            await stub.Recognize(ocr_pb2.RecognizeRequest(document=document("three")))
        assert full.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        with pytest.raises(DeadlineError):
            await waiting
        assert {line["reason"] for line in tiny.requests if "reason" in line} >= {Reason.QUEUE_FULL}


async def test_a_client_that_is_told_to_come_back_does_and_is_served() -> None:
    async with (
        tiny_server(tiny_settings(limits={"queue": 0}, cells={"cpu_s": 60})) as tiny,
        AsyncClient(tiny.address) as client,
    ):
        async with client.stream(document("one", "!hang")) as busy:
            await anext(aiter(busy))
            turned_away = asyncio.create_task(client.recognize(document("two")))
            while Reason.QUEUE_FULL not in {line.get("reason") for line in tiny.requests}:
                await asyncio.sleep(0.02)
        assert (await turned_away).text == "two"


async def test_a_cell_out_of_cpu_time_is_stopped() -> None:
    async with tiny_server(tiny_settings(cells={"cpu_s": 1})) as tiny:
        error = await refused(tiny, document("!hang"))
    assert error.reason == Reason.CELL_OUT_OF_TIME


async def test_each_engine_answers_by_its_name() -> None:
    settings = tiny_settings().model_copy(update={"engines": ("tiny", "other"), "default_engine": "other"})
    async with tiny_server(settings, tiny(), tiny("other")) as server, AsyncClient(server.address) as client:
        assert (await client.recognize(document("x"))).provenance.engine == "other"
        assert (await client.recognize(document("x"), engine="tiny")).provenance.engine == "tiny"
