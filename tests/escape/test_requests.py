"""What a caller can send to the real server, over a real channel: whatever it is, it ends as an answer or a refusal."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import grpc
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cloister.v1 import ocr_pb2
from server.async_client import AsyncClient
from tests.server.conftest import Tiny, tiny_server, tiny_settings
from tests.server.jobs import document

pytestmark = pytest.mark.asyncio(loop_scope="module")

FUZZED = int(os.environ.get("CLOISTER_FUZZED_REQUESTS", "40"))
"""How many requests are made up for each test; the long target asks for more."""
PLANNED = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
}
"""What a request can end with: its own fault, the server's bounds, or what became of its cell."""
NONE = b"\xff\xff"
"""What is no protobuf."""
RPCS = ("Recognize", "RecognizeStream", "ListEngines")

texts = st.text(max_size=20)
options = st.builds(
    ocr_pb2.RecognizeOptions,
    engine=st.one_of(st.just(""), st.just("tiny"), texts),
    outputs=st.lists(st.integers(-1, 9), max_size=4),
    context=st.one_of(
        st.none(), st.builds(ocr_pb2.RequestContext, tenant=texts, document_kind=texts, may_be_kept=st.booleans())
    ),
)
documents = st.one_of(st.binary(max_size=64), st.just(document("a page", "another")))
requests = st.builds(ocr_pb2.RecognizeRequest, document=documents, options=options)
parts = st.lists(
    st.one_of(
        st.builds(ocr_pb2.RecognizeStreamRequest, options=options),
        st.builds(ocr_pb2.RecognizeStreamRequest, chunk=documents),
        st.just(ocr_pb2.RecognizeStreamRequest()),
    ),
    max_size=5,
)
fuzzed = settings(max_examples=FUZZED, deadline=None, suppress_health_check=list(HealthCheck), database=None)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Tiny]:
    async with tiny_server(tiny_settings(cells={"busy": 2, "idle": 2})) as made:
        yield made


async def sent(server: Tiny, rpc: str, messages: Sequence[bytes]) -> grpc.StatusCode:
    """How a call ended whose messages are these bytes, whether they are protobuf or not."""
    async with grpc.aio.insecure_channel(server.address) as channel:
        path = f"/cloister.v1.OcrService/{rpc}"
        try:
            if rpc == "RecognizeStream":
                stream = channel.stream_stream(path)(iter(messages), timeout=60)
                async for _ in stream:
                    pass
            else:
                await channel.unary_unary(path)(b"".join(messages), timeout=60)
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK


async def check(server: Tiny) -> None:
    """It still reads, and no line of its log says that it made a mistake."""
    async with AsyncClient(server.address) as client:
        assert (await client.recognize(document("well"))).text == "well"
    assert not [line for line in server.lines if line["event"] == "mistake"]
    assert server.server.hosts[0].admission.inside == 0


async def test_any_request_ends_as_planned(server: Tiny) -> None:
    loop = asyncio.get_running_loop()

    @fuzzed
    @given(requests)
    @example(ocr_pb2.RecognizeRequest(document=document("a page"), options=ocr_pb2.RecognizeOptions(engine="\0")))
    def one(request: ocr_pb2.RecognizeRequest) -> None:
        ended = asyncio.run_coroutine_threadsafe(sent(server, "Recognize", [request.SerializeToString()]), loop)
        assert ended.result(90) in PLANNED | {grpc.StatusCode.OK}

    await asyncio.to_thread(one)
    await check(server)


async def test_any_stream_ends_as_planned(server: Tiny) -> None:
    loop = asyncio.get_running_loop()

    @fuzzed
    @given(parts)
    def one(row: list[ocr_pb2.RecognizeStreamRequest]) -> None:
        messages = [part.SerializeToString() for part in row]
        ended = asyncio.run_coroutine_threadsafe(sent(server, "RecognizeStream", messages), loop)
        assert ended.result(90) in PLANNED | {grpc.StatusCode.OK}

    await asyncio.to_thread(one)
    await check(server)


async def test_a_stream_of_what_is_no_protobuf_is_its_callers_mistake(server: Tiny) -> None:
    start = ocr_pb2.RecognizeStreamRequest(options=ocr_pb2.RecognizeOptions()).SerializeToString()
    for messages in ([NONE], [start, NONE]):
        assert await sent(server, "RecognizeStream", messages) is grpc.StatusCode.INVALID_ARGUMENT
    await check(server)


async def test_who_goes_on_sending_after_a_message_that_is_none_is_told_of_it(server: Tiny) -> None:
    """A caller that is cut off in mid-send would see that instead, more often than not."""
    start = ocr_pb2.RecognizeStreamRequest(options=ocr_pb2.RecognizeOptions()).SerializeToString()
    unknown = ocr_pb2.RecognizeStreamRequest(options=ocr_pb2.RecognizeOptions(engine="none")).SerializeToString()
    for _ in range(20):
        for messages in ([NONE, b"", NONE, b""], [start, NONE, b"", b""]):
            assert await said(server, messages) is grpc.StatusCode.INVALID_ARGUMENT
        assert await said(server, [unknown, NONE, b"", NONE, b""]) is grpc.StatusCode.NOT_FOUND
    await check(server)


async def said(server: Tiny, messages: Sequence[bytes]) -> grpc.StatusCode:
    """How a stream ended whose caller says all that it has to say, whatever it hears meanwhile."""
    async with grpc.aio.insecure_channel(server.address) as channel:
        stream = channel.stream_stream("/cloister.v1.OcrService/RecognizeStream")(timeout=60)
        with suppress(grpc.aio.AioRpcError, grpc.aio.InternalError, asyncio.InvalidStateError):
            for message in messages:
                await stream.write(message)
            await stream.done_writing()
        return await stream.code()


async def test_what_is_no_protobuf_is_refused(server: Tiny) -> None:
    """Of a message alone gRPC says so itself, as an UNKNOWN; of a stream the server does."""
    loop = asyncio.get_running_loop()

    @fuzzed
    @given(st.sampled_from(RPCS), st.lists(st.binary(max_size=80), min_size=1, max_size=3))
    def one(rpc: str, messages: list[bytes]) -> None:
        ended = asyncio.run_coroutine_threadsafe(sent(server, rpc, messages), loop)
        assert ended.result(90) in PLANNED | {grpc.StatusCode.OK, grpc.StatusCode.UNKNOWN}

    await asyncio.to_thread(one)
    await check(server)
