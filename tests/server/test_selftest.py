"""Health by engine, and the page that each reads now and then."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import grpc
from grpc_health.v1 import health_pb2

from server.async_client import AsyncClient
from server.hosts import EngineHost, Label
from server.pools import pool
from server.watching.scrape import scrape
from tests.server.candidates import candidate
from tests.server.conftest import Tiny, tiny, tiny_server, tiny_settings
from tests.server.jobs import document
from tests.server.test_lifecycle import NOT_SERVING, SERVING, health

ENGINE = "cloister.engine.tiny"


async def becomes(server: Tiny, service: str, wanted: health_pb2.HealthCheckResponse.ServingStatus) -> None:
    """A name is not known before the first look at what it stands for."""
    async with asyncio.timeout(30):
        while True:
            with suppress(grpc.aio.AioRpcError):
                if await health(server.address, service) == wanted:
                    return
            await asyncio.sleep(0.05)


async def well(server: Tiny) -> EngineHost:
    """Another version of the server's engine, with nothing wrong with it."""
    (host,) = server.server.hosts
    made = replace(host, entry=tiny(), pool=pool(tiny_settings(), tiny()))
    await made.pool.start()
    return made


async def test_each_engine_has_a_name_of_its_own_in_health() -> None:
    settings = tiny_settings().model_copy(update={"engines": ("tiny", "other")})
    async with tiny_server(settings, tiny(), tiny("other")) as server:
        await becomes(server, ENGINE, SERVING)
        await becomes(server, "cloister.engine.other", SERVING)
        await server.server.hosts[1].pool.close()
        await becomes(server, "cloister.engine.other", NOT_SERVING)
        await becomes(server, "", NOT_SERVING)
        assert await health(server.address, ENGINE) == SERVING


async def test_an_engine_that_fails_its_self_test_does_not_serve_until_it_passes() -> None:
    # The page of the self-test is no text: this candidate can't make anything of it.
    settings = tiny_settings(health={"self_test_s": 0.1})
    async with tiny_server(settings, candidate("tiny")) as server, AsyncClient(server.address) as client:
        await becomes(server, ENGINE, NOT_SERVING)
        await becomes(server, "", NOT_SERVING)
        (line,) = [line for line in server.lines if line["event"] == "self-test"]
        assert line["failure"] == "CELL_CRASHED"
        # Whoever asks all the same is answered.
        assert (await client.recognize(document("x"))).text == "x"
        server.server.lineup.take(await well(server))
        await becomes(server, ENGINE, SERVING)
        await becomes(server, "", SERVING)


async def test_a_self_test_that_passes_is_counted_and_costs_no_request() -> None:
    settings = tiny_settings(health={"self_test_s": 0.1}, metrics={"address": "127.0.0.1:0"})
    async with tiny_server(settings) as server, AsyncClient(server.address) as client:
        async with asyncio.timeout(30):
            while True:
                seen = await asyncio.to_thread(scrape, server.server.metrics_url)
                if seen.sum("cloister_self_tests_total", outcome="passed") >= 2:
                    break
                await asyncio.sleep(0.05)
        assert not seen.sum("cloister_requests_total")
        assert (await client.recognize(document("x"))).text == "x"
        assert await health(server.address, ENGINE) == SERVING


async def test_a_canary_that_is_ill_leaves_the_server_well() -> None:
    async with tiny_server() as server:
        canary = replace(await well(server), label=Label.CANARY)
        server.server.lineup.take(canary)
        await becomes(server, f"{ENGINE}@canary", SERVING)
        await canary.pool.close()
        await becomes(server, f"{ENGINE}@canary", NOT_SERVING)
        assert await health(server.address, "") == SERVING
