"""New versions of engines, taken in and taken back while requests go on: none of them is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path

import pytest

from jail.memory import proportional_bytes
from server import telemetry
from server.app import running
from server.async_client import AsyncClient
from server.catalogue import EngineEntry
from server.errors import CellError, OptionsError, Reason
from server.hosts import Label
from server.reload import ReloadError, Sources, merged
from server.sections import LogFormat
from server.settings import Settings, SettingsError
from tests.server.conftest import Tiny, tiny, tiny_settings
from tests.server.jobs import document


def version(number: str, **kwargs: float | bool) -> EngineEntry:
    return replace(tiny(**kwargs), version=number)


@dataclass
class Offer:
    """What the next reload finds."""

    settings: Settings = field(default_factory=tiny_settings)
    stable: EngineEntry = field(default_factory=lambda: version("1.0"))
    canary: EngineEntry | None = None

    def sources(self) -> Sources:
        """Engines belong to the settings that they were found with, as those of a file do."""
        stables: dict[int, EngineEntry] = {}

        def settings() -> Settings:
            return self.settings.model_copy(update={"canary": {} if self.canary is None else {"tiny": {}}})

        def engines(of: Settings) -> tuple[EngineEntry, ...]:
            return (stables.setdefault(id(of), self.stable),)

        def canaries(of: Settings) -> tuple[EngineEntry, ...]:
            return (self.canary,) if self.canary is not None and of.canary else ()

        return Sources(settings, engines, canaries)


@asynccontextmanager
async def serving(offer: Offer) -> AsyncIterator[Tiny]:
    stream = StringIO()
    log = telemetry.logger(LogFormat.JSON, stream)
    sources = offer.sources()
    async with running(sources.settings(), log=log, sources=sources) as server:
        yield Tiny(server, stream)


async def version_of(client: AsyncClient, engine: str = "") -> str:
    return (await client.recognize(document("x"), engine=engine)).provenance.engine_version


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.05)


async def test_a_reload_under_load_loses_no_request_and_changes_the_version() -> None:
    offer = Offer(tiny_settings(limits={"queue": 32}))
    async with serving(offer) as server, AsyncClient(server.address) as client:
        seen: list[list[str]] = [[] for _ in range(4)]
        over = asyncio.Event()

        async def ask(versions: list[str]) -> None:
            while not over.is_set():
                response = await client.recognize(document("!work 0.05", "read"))
                assert response.text == "read"
                versions.append(response.provenance.engine_version)

        async with asyncio.TaskGroup() as askers:
            for versions in seen:
                askers.create_task(ask(versions))
            await until(lambda: all(seen))
            offer.stable = version("2.0")
            await server.server.reloader.reload()
            await until(lambda: all("2.0" in versions for versions in seen))
            over.set()
        for versions in seen:
            assert set(versions) == {"1.0", "2.0"}
            assert versions == sorted(versions), "who had the new version got the old one again"
        assert all(line["code"] == "OK" for line in server.requests)


async def test_what_an_old_version_reads_it_reads_to_the_end_and_is_gone_then() -> None:
    offer = Offer()
    async with serving(offer) as server, AsyncClient(server.address) as client:
        (old,) = server.server.hosts
        keeper = old.pool.processes.keeper
        slow = asyncio.create_task(client.recognize(document("!work 2", "done")))
        await until(lambda: old.pool.busy_cells > 0)
        offer.stable = version("2.0")
        await server.server.reloader.reload()
        assert await version_of(client) == "2.0"
        assert old in server.server.lineup.all
        assert (await slow).provenance.engine_version == "1.0"
        await server.server.lineup.retired()
        assert server.server.lineup.all == server.server.hosts
        assert keeper is not None
        assert proportional_bytes(keeper) is None


async def test_a_version_that_does_not_load_changes_nothing() -> None:
    offer = Offer()
    async with serving(offer) as server, AsyncClient(server.address) as client:
        before = server.server.hosts
        offer.stable = version("2.0", broken=True)
        with pytest.raises(ReloadError, match="the tiny engine is broken"):
            await server.server.reloader.reload()
        assert server.server.hosts == before
        assert await version_of(client) == "1.0"
        assert any(line["event"] == "not reloaded" for line in server.lines)


async def test_settings_that_are_wrong_change_nothing() -> None:
    def broken() -> Settings:
        raise SettingsError("limits.pages: mend it")

    offer = Offer()
    sources = replace(offer.sources(), settings=broken)
    async with running(offer.settings, sources=sources, log=telemetry.logger(quiet=True)) as server:
        before = server.hosts
        with pytest.raises(ReloadError, match=r"limits\.pages"):
            await server.reloader.reload()
        assert server.hosts == before


async def test_limits_change_and_what_takes_a_restart_is_named() -> None:
    offer = Offer()
    async with serving(offer) as server, AsyncClient(server.address) as client:
        await client.recognize(document("one", "two"))
        offer.settings = tiny_settings(limits={"pages": 1, "queue": 9}, listen={"address": "127.0.0.1:1"})
        await server.server.reloader.reload()
        (warned,) = [line for line in server.lines if line["event"] == "takes a restart"]
        assert warned["settings"] == ["listen.address", "limits.queue"]
        # The tiny job reads them all; the server holds it to its limit.
        with pytest.raises(CellError):
            await client.recognize(document("one", "two"))
        assert server.server.hosts[0].admission.capacity == 5


async def test_a_roll_back_brings_the_version_before_and_another_undoes_it() -> None:
    offer = Offer()
    async with serving(offer) as server, AsyncClient(server.address) as client:
        with pytest.raises(ReloadError, match="nothing to go back to"):
            await server.server.reloader.roll_back()
        offer.stable = version("2.0")
        await server.server.reloader.reload()
        assert await version_of(client) == "2.0"
        await server.server.reloader.roll_back()
        assert await version_of(client) == "1.0"
        await server.server.reloader.roll_back()
        assert await version_of(client) == "2.0"


async def test_a_canary_reads_for_those_who_ask_for_it_until_it_is_rolled_back() -> None:
    offer = Offer(canary=version("2.0"))
    async with serving(offer) as server, AsyncClient(server.address) as client:
        assert await version_of(client) == "1.0"
        assert await version_of(client, "tiny") == "1.0"
        assert await version_of(client, "tiny@stable") == "1.0"
        assert await version_of(client, "tiny@canary") == "2.0"
        assert [engine.name for engine in await client.engines()] == ["tiny", "tiny@canary"]
        assert [line.get("label") for line in server.requests if line["rpc"] == "Recognize"][-1] == "canary"
        await server.server.reloader.roll_back()
        with pytest.raises(OptionsError) as raised:
            await version_of(client, "tiny@canary")
        assert raised.value.reason == Reason.UNKNOWN_ENGINE
        assert await version_of(client) == "1.0"


async def test_flags_give_a_canary_its_share_and_the_stable_version_stands_in_for_it(tmp_path: Path) -> None:
    flags = tmp_path / "flags.json"
    flag = {
        "state": "ENABLED",
        "variants": {"stable": "tiny", "canary": "tiny@canary"},
        "defaultVariant": "stable",
        "targeting": {"fractional": [{"var": "requestId"}, ["stable", 50], ["canary", 50]]},
    }
    flags.write_text(json.dumps({"flags": {"engine": flag}}))
    offer = Offer(tiny_settings(experiments={"flags": str(flags)}), canary=version("2.0"))
    async with serving(offer) as server, AsyncClient(server.address) as client:
        versions = [await version_of(client) for _ in range(24)]
        assert set(versions) == {"1.0", "2.0"}
        (canary,) = [host for host in server.server.hosts if host.label is Label.CANARY]
        await canary.pool.close()
        assert {await version_of(client) for _ in range(12)} == {"1.0"}


def test_a_reload_takes_what_it_can_and_keeps_the_rest() -> None:
    running_ = tiny_settings()
    wanted = tiny_settings(
        limits={"pages": 3, "queue": 1}, cells={"idle": 2, "busy": 7}, engine={"tiny": {"upright": False}}
    )
    found, kept = merged(running_, wanted)
    assert (found.limits.pages, found.limits.queue) == (3, 4)
    assert (found.cells.idle, found.cells.busy) == (2, 1)
    assert found.engine == {"tiny": {"upright": False}}
    assert set(kept) == {"limits.queue", "cells.busy"}


def test_a_canary_of_an_engine_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="canaries of other"):
        tiny_settings(canary={"other": {}})
