"""Metrics: what was done is counted once, where it belongs, and nothing of a document is in them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from jail.layers import Layer
from server.async_client import AsyncClient
from server.errors import CloisterError
from server.settings import Settings, SettingsError
from server.watching.scrape import Scrape, ScrapeError, scrape
from tests.server.conftest import Tiny, tiny, tiny_server, tiny_settings
from tests.server.jobs import document

TINY = {"engine": "tiny", "label": "stable"}


def measured(**sections: dict[str, object]) -> Settings:
    return tiny_settings(metrics={"address": "127.0.0.1:0"}, **sections)


@asynccontextmanager
async def measured_server(**sections: dict[str, object]) -> AsyncIterator[Tiny]:
    async with tiny_server(measured(**sections)) as server:
        yield server


async def look(server: Tiny) -> Scrape:
    return await asyncio.to_thread(scrape, server.server.metrics_url)


async def look_until(server: Tiny, name: str, wanted: float, **labels: str) -> Scrape:
    """Cells are reaped a little after their request is answered."""
    async with asyncio.timeout(20):
        while (seen := await look(server)).sum(name, **labels) != wanted:
            await asyncio.sleep(0.05)
    return seen


async def test_a_request_is_counted_with_its_stages_words_and_cell() -> None:
    async with measured_server() as server, AsyncClient(server.address) as client:
        await client.recognize(document("three small words", "and two"))
        seen = await look_until(server, "cloister_cell_cpu_seconds_count", 1, **TINY)
    assert seen.sum("cloister_requests_total", rpc="Recognize", code="OK", reason="", **TINY) == 1
    assert seen.sum("cloister_pages_total", **TINY) == 2
    assert seen.sum("cloister_words_total", **TINY) == 5
    assert seen.sum("cloister_document_bytes_total", **TINY) == 25
    assert seen.sum("cloister_request_seconds_count", **TINY) == 1
    assert seen.sum("cloister_queue_seconds_count", **TINY) == 1
    assert seen.sum("cloister_cell_setup_seconds_count", **TINY) == 1
    # The job says 1 ms and 2 ms for each page.
    assert seen.sum("cloister_stage_seconds_sum", stage="decode", **TINY) == pytest.approx(0.002)
    assert seen.sum("cloister_stage_seconds_sum", stage="recognise", **TINY) == pytest.approx(0.004)
    assert seen.sum("cloister_page_confidence_count", **TINY) == 2
    assert seen.sum("cloister_page_confidence_sum", **TINY) == pytest.approx(1.0)
    assert seen.sum("cloister_cells_ended_total", status="ok", **TINY) == 1
    assert seen.sum("cloister_cell_memory_peak_bytes_sum", **TINY) > 0


@pytest.mark.parametrize(
    ("deed", "status", "reason"),
    [
        ("!crash", "crashed", "CELL_CRASHED"),
        ("!violate", "violation", "CELL_BROKE_POLICY"),
        ("!fail REASON_DAMAGED", "ok", "DAMAGED_DOCUMENT"),
        ("!nan", "cancelled", "MALFORMED_REPLY"),
    ],
)
async def test_what_ends_badly_is_counted_by_its_reason(deed: str, status: str, reason: str) -> None:
    async with measured_server() as server, AsyncClient(server.address) as client:
        with pytest.raises(CloisterError):
            await client.recognize(document("one", deed))
        seen = await look(server)
    assert seen.sum("cloister_requests_total", reason=reason, **TINY) == 1
    assert seen.sum("cloister_cells_ended_total", status=status, **TINY) == 1
    assert seen.sum("cloister_cells_ended_total", **TINY) == 1
    assert seen.sum("cloister_violations_total", phase="work", **TINY) == (deed == "!violate")
    assert not seen.sum("cloister_request_seconds_count", **TINY)


async def test_pages_that_several_cells_share_are_counted_once() -> None:
    cells: dict[str, object] = {"busy": 3, "idle": 3, "per_document": 3}
    async with measured_server(cells=cells) as server, AsyncClient(server.address) as client:
        await client.recognize(document("one word", "two words", "and three words"))
        seen = await look_until(server, "cloister_cell_cpu_seconds_count", 3, **TINY)
    assert seen.sum("cloister_pages_total", **TINY) == 3
    assert seen.sum("cloister_words_total", **TINY) == 7
    assert seen.sum("cloister_page_confidence_count", **TINY) == 3
    assert seen.sum("cloister_cells_ended_total", status="ok", **TINY) == 3


async def test_gauges_tell_of_the_queue_the_pool_and_its_memory() -> None:
    async with measured_server() as server, AsyncClient(server.address) as client:
        calls = [asyncio.create_task(client.recognize(document("!work 3", str(n)))) for n in range(3)]
        seen = await look_until(server, "cloister_queue_length", 2, engine="tiny")
        assert seen.sum("cloister_requests_inside", engine="tiny") == 3
        assert seen.sum("cloister_requests_limit", engine="tiny") == 5
        assert seen.value("cloister_cells", state="busy", **TINY) == 1
        assert seen.value("cloister_cells_limit", **TINY) == 1
        assert seen.value("cloister_memory_proportional_bytes", process="zygote", **TINY) > 1 << 20
        assert seen.value("cloister_memory_proportional_bytes", process="cells", **TINY) > 1 << 18
        for call in calls:
            call.cancel()
            with suppress(asyncio.CancelledError):
                await call
        await look_until(server, "cloister_queue_length", 0, engine="tiny")


async def test_layers_given_up_are_shown_and_those_in_force() -> None:
    async with measured_server(jail={"dangerously_without": {"uts_namespace"}}) as server:
        seen = await look_until(server, "cloister_serving", 1)
    by_layer = {found["layer"]: value for found, value in seen.series("cloister_jail_layer_off")}
    assert by_layer.keys() == set(Layer)
    assert by_layer["uts_namespace"] == 1
    assert by_layer["seccomp"] == 0


async def test_labels_stay_few_and_hold_nothing_that_callers_send() -> None:
    secret = "Xylophonium"
    async with measured_server() as server, AsyncClient(server.address) as client:
        sizes = []
        for turn in range(2):
            for body in (f"{secret}{turn}", "!crash", "!escape", f"!{secret}{turn}"):
                with suppress(CloisterError):
                    await client.recognize(document(f"{secret} {turn}", body))
            with suppress(CloisterError):
                await client.recognize(document("x"), engine=f"{secret}{turn}")
            seen = await look_until(server, "cloister_cell_cpu_seconds_count", 4 * (turn + 1), **TINY)
            sizes.append(len(seen.values))
    assert not any(secret in str(key) for key in seen.values)
    assert sizes[0] == sizes[1]


async def test_nothing_listens_unless_asked() -> None:
    async with tiny_server() as server:
        assert server.server.metrics_url == ""


async def test_an_address_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SettingsError, match=r"metrics\.address"):
            async with tiny_server(tiny_settings(metrics={"address": address})):
                pytest.fail("it listens where another does")


@pytest.mark.parametrize("address", ["0.0.0.0:9464", "9464", "localhost", "localhost:http"])
def test_other_hosts_are_let_in_only_on_demand(address: str) -> None:
    with pytest.raises(ValueError, match=r"(?s)metrics.*(beyond_loopback|address)"):
        tiny_settings(metrics={"address": address})
    if address.startswith("0"):
        assert tiny_settings(metrics={"address": address, "beyond_loopback": True}).metrics.address == address


async def test_the_metrics_go_with_the_server() -> None:
    async with tiny_server(measured(), tiny()) as server:
        url = server.server.metrics_url
        await look(server)
    with pytest.raises(ScrapeError, match=r"start the server"):
        await asyncio.to_thread(scrape, url)
