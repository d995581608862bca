"""What a cell that was taken over can do to the real server, over a real channel: nothing but fail its own request."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloister.cell.v1 import cell_pb2
from cloister.v1 import ocr_pb2
from jail import wire
from jail.spec import ZygoteSpec
from server.async_client import AsyncClient
from server.errors import CellError, CloisterError, Reason
from tests.escape.puppet import script
from tests.jail.conftest import zygotes
from tests.server.conftest import MIB, Tiny, tiny, tiny_server, tiny_settings
from tests.server.jobs import page_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

LINES = next(field.number for field in ocr_pb2.Page.DESCRIPTOR.fields if field.name == "lines")
FUZZED = int(os.environ.get("CLOISTER_FUZZED_REPLIES", "60"))
"""How many replies are made up; the long target asks for more."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def puppets() -> AsyncIterator[Tiny]:
    entry = dataclasses.replace(tiny("puppet"), zygote=ZygoteSpec("tests.escape.puppet:Puppet"))
    sections = tiny_settings(
        limits={"document_bytes": 32 * MIB},
        cells={"busy": 2, "idle": 2, "reply_bytes": 8 * MIB, "memory_bytes": 256 * MIB},
    )
    async with tiny_server(sections.model_copy(update={"engines": ("puppet",)}), entry) as server:
        yield server


def outline(pages: int = 1) -> bytes:
    return cell_pb2.Reply(outline=cell_pb2.Outline(pages=pages)).SerializeToString()


def page(number: int, *words: str) -> bytes:
    return cell_pb2.Reply(page=page_of(number, list(words))).SerializeToString()


def summary(pages: int) -> bytes:
    return cell_pb2.Reply(summary=cell_pb2.Summary(pages=pages)).SerializeToString()


def field(number: int, content: bytes) -> bytes:
    """A field of bytes, as protobuf encodes it."""
    size, left = b"", len(content)
    while left > 0x7F:
        size, left = size + bytes([left & 0x7F | 0x80]), left >> 7
    return bytes([number << 3 | 2]) + size + bytes([left]) + content


GOOD = script(outline(), page(1, "well"), summary(1))
BOMBS = {
    "lines": field(1, bytes([LINES << 3 | 2, 0]) * (3 << 20)),
    "unknown": field(1, field(99 & 0x0F, b"") * (1 << 20) + b"\xf8\x07\x01" * (1 << 20)),
    "nesting": b"\x0a" * (1 << 20),
    "length": b"\x0a\xff\xff\xff\xff\x7f",
}
FORGERIES = {
    "of nothing": [],
    "of two outlines": [outline(), outline(), page(1, "x"), summary(1)],
    "without an end": [outline(), page(1, "x")],
    "of pages out of order": [outline(2), page(2, "x"), page(1, "x"), summary(2)],
    "of one page twice": [outline(2), page(1, "x"), page(1, "x"), summary(2)],
    "of another request's pages": [outline(), page(7, "x"), summary(1)],
    "of a false count": [outline(), page(1, "x"), summary(5)],
    "that goes on after its end": [outline(), page(1, "x"), summary(1), page(2, "x")],
    "of control characters": [outline(), page(1, "\x1b[2J"), summary(1)],
    **{f"that is a bomb of {name}": [outline(), bomb] for name, bomb in BOMBS.items()},
}


async def answer(tiny: Tiny, document: bytes) -> ocr_pb2.RecognizeResponse | Reason:
    async with AsyncClient(tiny.address, deadline_s=30) as client:
        try:
            return await client.recognize(document)
        except CloisterError as error:
            return error.reason


async def alive(tiny: Tiny) -> bool:
    response = await answer(tiny, GOOD)
    return isinstance(response, ocr_pb2.RecognizeResponse) and response.text == "well"


@pytest.mark.parametrize("payloads", [pytest.param(each, id=name) for name, each in FORGERIES.items()])
async def test_a_reply_that_breaks_the_rules_fails_its_own_request(puppets: Tiny, payloads: list[bytes]) -> None:
    bad, beside = await asyncio.gather(answer(puppets, script(*payloads)), alive(puppets))
    assert bad == Reason.MALFORMED_REPLY
    assert beside
    assert await alive(puppets)


async def test_what_one_request_answers_never_reaches_another(puppets: Tiny) -> None:
    async def own(word: str) -> None:
        response = await answer(puppets, script(outline(), page(1, word), summary(1)))
        assert isinstance(response, ocr_pb2.RecognizeResponse)
        assert response.text == word

    await asyncio.gather(*(own(f"word{number}") for number in range(12)))


async def test_when_a_zygote_dies_its_requests_are_read_by_the_next(puppets: Tiny) -> None:
    """The client tries again, as the server told it to; who called sees a slow answer, and one only."""
    others = set(zygotes())
    async with tiny_server() as server:
        (zygote,) = set(zygotes()) - others
        busy = asyncio.create_task(answer(server, b"!work 1\nread after all"))
        async with asyncio.timeout(60):
            while not server.server.hosts[0].admission.inside:
                await asyncio.sleep(0.02)
        os.kill(zygote, signal.SIGKILL)
        response = await busy
        while response == Reason.NO_CELL:
            # Its attempts have an end, which a busy machine's loading may outlast.
            response = await answer(server, b"read after all")
        assert isinstance(response, ocr_pb2.RecognizeResponse)
        assert response.text == "read after all"
        assert zygote not in zygotes()
    assert await alive(puppets)


replies = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.sampled_from([outline(), outline(2), page(1, "a"), page(2, "b"), summary(1), summary(2), b""]), max_size=5
    ).map(
        lambda parts: (
            b"".join(wire.head(wire.Kind.PAYLOAD, len(part)) + part for part in parts) + wire.head(wire.Kind.END, 0)
        )
    ),
    st.builds(
        lambda kind, length, content: b"CL\x01" + bytes([kind]) + length.to_bytes(4, "big") + content,
        st.integers(0, 255),
        st.integers(0, (1 << 32) - 1),
        st.binary(max_size=64),
    ),
)


async def test_whatever_a_cell_says_the_server_lives(puppets: Tiny) -> None:
    """Made-up replies through the real request path: each ends as an answer or as an error of ours, none as a crash."""
    loop = asyncio.get_running_loop()

    @settings(max_examples=FUZZED, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(replies)
    def one(said: bytes) -> None:
        came = asyncio.run_coroutine_threadsafe(answer(puppets, script(raw=said or b"x")), loop).result(60)
        assert isinstance(came, ocr_pb2.RecognizeResponse) or came in {Reason.MALFORMED_REPLY, Reason.NO_CELL}

    await asyncio.to_thread(one)
    assert await alive(puppets)
    assert "Traceback" not in puppets.log


async def test_a_cells_end_is_never_told_in_the_operators_words(puppets: Tiny) -> None:
    async with AsyncClient(puppets.address) as client:
        with pytest.raises(CellError) as raised:
            await client.recognize(script(raw=b"a secret of the document"))
    assert "secret" not in str(raised.value)
    assert "secret" not in puppets.log
