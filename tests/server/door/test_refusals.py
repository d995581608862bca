"""Callers who come again at once, over a real channel: how often they are refused, and what their calls hold."""

from __future__ import annotations

import asyncio
import ctypes
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from cloister.v1 import ocr_pb2
from server.async_client import AsyncClient
from server.door.refusals import Refusals
from server.errors import Reason, received
from tests.server.conftest import MIB, Tiny, tiny_server, tiny_settings
from tests.server.jobs import document

_METHOD = "/cloister.v1.OcrService/Recognize"


class _Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class _Info(ctypes.Structure):
    """mallinfo2(3): bytes that are mapped, and bytes in use on the heap, are the fifth and the eighth."""

    _fields_ = [("fields", ctypes.c_size_t * 10)]


def in_use_bytes() -> int:
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = _Info
    found = libc.mallinfo2().fields
    return int(found[4] + found[7])


@asynccontextmanager
async def full(refusals_per_s: float) -> AsyncIterator[tuple[Tiny, grpc.aio.Channel]]:
    """A server without a place that is free, and a channel to it that tries nothing again."""
    limits = {"queue": 0, "refusals_per_s": refusals_per_s, "document_bytes": 8 * MIB}
    options = (("grpc.enable_retries", 0), ("grpc.max_send_message_length", -1))
    async with (
        tiny_server(tiny_settings(limits=limits, cells={"cpu_s": 300})) as tiny,
        AsyncClient(tiny.address) as client,
        grpc.aio.insecure_channel(tiny.address, options) as channel,
    ):
        busy = asyncio.create_task(client.recognize(document("!hang")))
        async with asyncio.timeout(10):
            while tiny.server.hosts[0].admission.free:
                await asyncio.sleep(0.01)
        yield tiny, channel
        busy.cancel()


async def refused(channel: grpc.aio.Channel, request: bytes, timeout_s: float = 30.0) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await channel.unary_unary(_METHOD)(request, timeout=timeout_s)
    return received(error.value.code(), "", error.value.trailing_metadata()).reason


async def sent(channel: grpc.aio.Channel, request: bytes) -> grpc.aio.StreamUnaryCall:
    """A call whose caller keeps nothing of what it has sent."""
    call = channel.stream_unary(_METHOD)(timeout=300.0)
    await call.write(request)
    await call.done_writing()
    return call


async def refusals_of_hammering(refusals_per_s: float) -> int:
    request = ocr_pb2.RecognizeRequest(document=document("x")).SerializeToString()
    async with full(refusals_per_s) as (_, channel):
        until_s, count = time.monotonic() + 1.5, 0

        async def hammer() -> None:
            nonlocal count
            while time.monotonic() < until_s:
                assert await refused(channel, request) == Reason.QUEUE_FULL
                count += 1

        await asyncio.gather(*(hammer() for _ in range(8)))
    return count


async def test_callers_who_come_again_at_once_are_slowed_down() -> None:
    assert await refusals_of_hammering(0) > 60
    # Five at once after a rest, five a second after that, and one each when they are let go.
    assert await refusals_of_hammering(5) <= 5 + 5 * 2.5 + 8


async def test_the_first_refusals_come_at_once_and_all_before_the_deadline() -> None:
    request = ocr_pb2.RecognizeRequest(document=document("x")).SerializeToString()
    async with full(1) as (_, channel):
        started_s = time.monotonic()
        assert [await refused(channel, request) for _ in range(2)] == [Reason.QUEUE_FULL] * 2
        assert time.monotonic() - started_s < 0.5
        assert await refused(channel, request, timeout_s=0.6) == Reason.QUEUE_FULL
        assert time.monotonic() - started_s > 0.25


async def test_a_call_that_is_held_back_holds_no_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.door.refusals._LONGEST_S", 100.0)  # so that no call ends before all is measured
    callers, size = 16, 8 * MIB - 100
    request = ocr_pb2.RecognizeRequest(document=bytes(size)).SerializeToString()
    async with full(0.01) as (tiny, channel):
        assert await refused(channel, request) == Reason.QUEUE_FULL  # the one that is told at once
        before = in_use_bytes()  # of the server and its callers: both are here
        calls = [await sent(channel, request) for _ in range(callers)]
        async with asyncio.timeout(60):
            while sum(line["code"] == "RESOURCE_EXHAUSTED" for line in tiny.requests) <= callers:
                await asyncio.sleep(0.005)
            # What gRPC itself has in hand of the last ones it frees soon; documents would stay as long as calls do.
            while in_use_bytes() - before >= callers // 2 * size / 4:
                await asyncio.sleep(0.005)
        assert not any(call.done() for call in calls)
        assert {line["reason"] for line in tiny.requests} == {Reason.QUEUE_FULL}
        for call in calls:
            call.cancel()


async def test_a_message_that_is_none_is_told_so() -> None:
    async with tiny_server() as tiny, grpc.aio.insecure_channel(tiny.address) as channel:
        assert await refused(channel, b"\xff" * 20) == Reason.INVALID_OPTIONS


def test_each_host_has_its_own_pace_and_its_burst_again_after_a_rest() -> None:
    clock = _Clock()
    refusals = Refusals(4, clock)
    assert [refusals.hold_s("a") for _ in range(8)] == [-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75]
    assert refusals.hold_s("b") == -1.0
    assert [refusals.hold_s("a") for _ in range(3)] == [1.0, 1.0, 1.0]
    clock.now_s += 10
    assert refusals.hold_s("a") == -1.0
