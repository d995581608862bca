"""Health, reflection, and an end without loss."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from cloister.v1 import ocr_pb2, ocr_pb2_grpc
from jail import proving
from jail.errors import LoadError, SetUpError
from jail.layers import Layer
from jail.spec import Layers
from server import app
from server.async_client import AsyncClient
from server.client import Client
from server.errors import OverloadedError, Reason
from server.settings import Settings, SettingsError
from tests.server.conftest import Tiny, tiny, tiny_server, tiny_settings
from tests.server.jobs import document

ROOT = Path(__file__).parents[2]
SERVICES = ("", "cloister.v1.OcrService")
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def health(address: str, service: str) -> health_pb2.HealthCheckResponse.ServingStatus:
    async with grpc.aio.insecure_channel(address) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
    return answer.status


async def becomes(address: str, wanted: health_pb2.HealthCheckResponse.ServingStatus) -> None:
    async with asyncio.timeout(60):
        for service in SERVICES:
            while await health(address, service) != wanted:
                await asyncio.sleep(0.05)


async def test_health_follows_the_pool() -> None:
    async with tiny_server() as server:
        await becomes(server.address, SERVING)
        await server.server.hosts[0].pool.close()
        await becomes(server.address, NOT_SERVING)


async def test_health_tells_that_a_layer_of_the_jail_is_off() -> None:
    async with tiny_server() as whole:
        await becomes(whole.address, SERVING)
        assert await health(whole.address, "cloister.jail") == SERVING
    settings = tiny_settings(jail={"dangerously_without": {"uts_namespace"}})
    async with tiny_server(settings) as lacking, AsyncClient(lacking.address) as client:
        await becomes(lacking.address, SERVING)
        assert await health(lacking.address, "cloister.jail") == NOT_SERVING
        provenance = (await client.recognize(document("x"))).provenance
        assert list(provenance.jail_layers_off) == ["uts_namespace"]
        assert "uts_namespace" not in provenance.jail_layers
        assert any(line.get("layers_off") == ["uts_namespace"] for line in lacking.lines)


async def test_reflection_lists_the_service() -> None:
    async with tiny_server() as server, grpc.aio.insecure_channel(server.address) as channel:
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([request]))
        answer = await call.read()
    names = {service.name for service in answer.list_services_response.service}
    assert names >= {"cloister.v1.OcrService", "grpc.health.v1.Health"}


async def test_while_engines_load_it_listens_but_does_not_serve(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/socket"
    settings = tiny_settings(listen={"address": address})
    go = tmp_path / "go"
    starting = asyncio.create_task(run_until_cancelled(settings, load_until=str(go)))
    async with grpc.aio.insecure_channel(address) as channel:
        await channel.channel_ready()
        assert await health(address, "") == NOT_SERVING
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await ocr_pb2_grpc.OcrServiceStub(channel).Recognize(ocr_pb2.RecognizeRequest(document=b"x"))
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "loaded" in raised.value.details()
    async with AsyncClient(address) as client:
        # The client comes back by itself, until it is served.
        early = asyncio.create_task(client.recognize(document("x")))
        await asyncio.sleep(0.1)
        assert not early.done()
        go.touch()
        while isinstance(end := (await asyncio.gather(early, return_exceptions=True))[0], OverloadedError):
            # Its attempts have an end, which a busy machine's loading may outlast.
            assert end.reason == Reason.STARTING
            early = asyncio.create_task(client.recognize(document("x")))
        assert isinstance(end, ocr_pb2.RecognizeResponse)
        assert end.text == "x"
    starting.cancel()
    with suppress(asyncio.CancelledError):
        await starting


async def run_until_cancelled(settings: Settings, load_until: str = "") -> None:
    async with tiny_server(settings, tiny(load_until=load_until)):
        await asyncio.Event().wait()


async def test_an_engine_that_does_not_load_keeps_the_server_from_starting() -> None:
    with pytest.raises(LoadError, match="the tiny engine is broken"):
        async with tiny_server(None, tiny(broken=True)):
            pytest.fail("it served")


async def test_an_address_that_is_taken_is_named() -> None:
    async with tiny_server() as first:
        with pytest.raises(SettingsError, match=r"listen\.address"):
            async with tiny_server(tiny_settings(listen={"address": first.address})):
                pytest.fail("two servers share one port")


async def test_draining_lets_requests_end_and_refuses_new_ones() -> None:
    settings = tiny_settings(limits={"drain_s": 60.0})
    async with in_the_background(settings) as (server, leave), grpc.aio.insecure_channel(server.address) as channel:
        stub = ocr_pb2_grpc.OcrServiceStub(channel)
        slow = stub.RecognizeStream()  # as slow as its caller
        await slow.write(ocr_pb2.RecognizeStreamRequest(options=ocr_pb2.RecognizeOptions()))
        await slow.write(ocr_pb2.RecognizeStreamRequest(chunk=document("done")))
        await admitted(server, 1)
        leave.set()
        await becomes(server.address, NOT_SERVING)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Recognize(ocr_pb2.RecognizeRequest(document=document("late")))
        assert "shutting down" in refused.value.details()
        await slow.done_writing()
        assert [part.page.text async for part in slow if part.HasField("page")] == ["done"]


async def test_what_does_not_end_in_time_is_ended_and_told_why() -> None:
    settings = tiny_settings(limits={"drain_s": 0.3})
    async with in_the_background(settings) as (server, leave), AsyncClient(server.address) as client:
        hanging = client.stream(document("one", "!hang"))
        pages = aiter(hanging)
        await anext(pages)
        leave.set()
        with pytest.raises(OverloadedError) as raised:
            await anext(pages)
    assert raised.value.reason == Reason.SHUTTING_DOWN
    assert raised.value.retry_after_s is not None
    assert server.requests[-1]["reason"] == Reason.SHUTTING_DOWN


@asynccontextmanager
async def in_the_background(settings: Settings | None = None) -> AsyncIterator[tuple[Tiny, asyncio.Event]]:
    """A server in a task of its own, and an event that makes it leave its block, and so drain."""
    leave = asyncio.Event()
    started: asyncio.Future[Tiny] = asyncio.get_running_loop().create_future()

    async def serve() -> None:
        async with tiny_server(settings) as server:
            started.set_result(server)
            await leave.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(serve())
        yield await started, leave
        leave.set()


async def admitted(server: Tiny, count: int) -> None:
    async with asyncio.timeout(60):
        while server.server.hosts[0].admission.inside < count:
            await asyncio.sleep(0.02)


@contextmanager
def process(folder: Path, load_s: float = 0.0, drain_s: float = 10.0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server with the tiny job as a process of its own, once it listens."""
    address = f"unix:{folder}/socket"
    settings = {"ENGINES": '["tiny"]', "LISTEN__ADDRESS": address, "LIMITS__DRAIN_S": str(drain_s)}
    settings |= {"CELLS__BUSY": "1", "CELLS__IDLE": "1"}
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"}
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.server.serve_tiny", str(load_s)],
        cwd=ROOT,
        env=environment | {f"CLOISTER_{name}": value for name, value in settings.items()},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(timeout=110)
        yield server, address
    finally:
        server.kill()
        server.communicate()


def children(pid: int) -> set[int]:
    """All that descend from a process."""
    found: set[int] = set()
    with suppress(FileNotFoundError, ProcessLookupError):  # it, or a thread of it, has ended meanwhile
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found |= {child} | children(child)
    return found


def test_sigterm_ends_the_process_once_its_request_is_answered(tmp_path: Path) -> None:
    with process(tmp_path) as (server, address), Client(address) as client, ThreadPoolExecutor() as threads:
        client.recognize(document("awake"))
        slow = threads.submit(client.recognize, document("!work 2", "done"))
        while not any(engine.busy_cells for engine in client.engines()):
            time.sleep(0.02)
        below = children(server.pid)
        server.send_signal(signal.SIGTERM)
        assert slow.result(timeout=60).text == "done"
        assert server.wait(timeout=60) == 0
        assert below
        assert not [pid for pid in below if Path(f"/proc/{pid}").exists()]


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    with process(tmp_path, drain_s=60) as (server, address), Client(address) as client:
        with client.stream(document("one", "!hang")) as pages:
            read = iter(pages)
            next(read)
            server.send_signal(signal.SIGINT)
            # A signal that comes before the first is dealt with is one with it.
            with grpc.insecure_channel(address) as channel:
                check = health_pb2_grpc.HealthStub(channel).Check
                while check(health_pb2.HealthCheckRequest()).status != NOT_SERVING:
                    time.sleep(0.05)
            assert server.poll() is None
            server.send_signal(signal.SIGINT)
            with pytest.raises(OverloadedError):
                next(read)
        assert server.wait(timeout=60) == 0


def test_sigterm_while_loading_ends_the_process(tmp_path: Path) -> None:
    with process(tmp_path, load_s=3) as (server, _):
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=60) == 0


async def test_health_is_not_serving_until_real_cells_have_tried_the_jail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = asyncio.Event()

    async def slow(layers: Layers) -> proving.Proof:
        await tried.wait()
        return proving.Proof((), named=True)

    monkeypatch.setattr(app, "_proven", set())
    monkeypatch.setattr(proving, "prove", slow)
    settings = tiny_settings(listen={"address": f"unix:{tmp_path}/socket"})
    starting = asyncio.create_task(run_until_cancelled(settings))
    async with grpc.aio.insecure_channel(settings.listen.address) as channel:
        await channel.channel_ready()
        await asyncio.sleep(1.5)  # the engine has long been loaded
        assert await health(settings.listen.address, "") == NOT_SERVING
    tried.set()
    await becomes(settings.listen.address, SERVING)
    starting.cancel()
    with suppress(asyncio.CancelledError):
        await starting


async def test_a_jail_that_does_not_hold_is_not_served_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(layers: Layers) -> proving.Proof:
        return proving.Proof(((Layer.MOUNTS, "the cell sees /etc"),), named=True)

    monkeypatch.setattr(app, "_proven", set())
    monkeypatch.setattr(proving, "prove", broken)
    with pytest.raises(SetUpError, match="the cell sees /etc"):
        async with tiny_server():
            pass
