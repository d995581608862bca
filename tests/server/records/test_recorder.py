"""Records are written beside the event loop, whatever becomes of the database."""

from __future__ import annotations

import asyncio
import io
import json
import time
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from server import telemetry
from server.records.comparison import Entry
from server.records.recorder import Recorder
from server.records.store import Store
from server.records.vault import Vault
from server.sections import LogFormat
from tests.server.records.samples import comparison, kept


class Log:
    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.logger = telemetry.logger(LogFormat.JSON, self.stream)

    def events(self, name: str) -> list[dict[str, object]]:
        lines = map(json.loads, self.stream.getvalue().splitlines())
        return [line for line in lines if line["event"] == name]


async def until(tally: object, field: str, count: int) -> None:
    async with asyncio.timeout(30):
        while getattr(tally, field) < count:
            await asyncio.sleep(0.02)


async def said(log: Log, event: str) -> None:
    async with asyncio.timeout(30):
        while not log.events(event):
            await asyncio.sleep(0.02)


async def test_records_are_written_beside_the_loop_and_at_the_end(database: str) -> None:
    log = Log()
    recorder = Recorder(Store(database), log.logger)
    async with recorder.running():
        for number in range(250):
            recorder.put(Entry(comparison(str(number))))
        await until(recorder.tally, "written", 250)
        recorder.put(Entry(comparison("last")))
    assert recorder.tally.written == 251
    (end,) = log.events("records")
    assert (end["written"], end["lost"]) == (251, 0)
    again = Store(database)
    assert len(again.comparisons()) == 251
    again.close()


async def test_a_database_that_hangs_keeps_neither_the_loop_nor_the_end_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.records.recorder._CLOSE_S", 0.2)
    monkeypatch.setattr(Store, "add", lambda *_: time.sleep(5))
    log = Log()
    recorder = Recorder(Store(f"sqlite:///{tmp_path}/records.db"), log.logger)
    longest = 0.0
    started = time.perf_counter()
    async with recorder.running():
        for number in range(3000):
            before = time.perf_counter()
            recorder.put(Entry(comparison(str(number))))
            longest = max(longest, time.perf_counter() - before)
        await asyncio.sleep(0.3)
    assert longest < 2
    assert time.perf_counter() - started < 4
    assert recorder.tally.lost == 3000
    (end,) = log.events("records")
    assert (end["level"], end["lost"]) == ("error", 3000)


async def test_a_lost_database_is_said_once_and_caught_up_with_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = True
    add = Store.add

    def flaky(store: Store, entries: list[Entry]) -> None:
        if lost:
            raise OperationalError("INSERT the secret", {}, ConnectionError("refused"))
        add(store, entries)

    monkeypatch.setattr(Store, "add", flaky)
    monkeypatch.setattr("server.records.recorder._FIRST_PAUSE_S", 0.05)
    log = Log()
    url = f"sqlite:///{tmp_path}/records.db"
    recorder = Recorder(Store(url), log.logger)
    async with recorder.running():
        for number in range(10):
            recorder.put(Entry(comparison(str(number))))
        await said(log, "records not written")
        await asyncio.sleep(0.6)
        (told,) = log.events("records not written")
        assert (told["why"], told["waiting"]) == ("ConnectionError", 10)
        lost = False
        await until(recorder.tally, "written", 10)
    assert log.events("records again")
    assert recorder.tally.lost == 0
    assert "secret" not in log.stream.getvalue()
    store = Store(url)
    assert len(store.comparisons()) == 10
    store.close()


async def test_a_server_with_no_database_to_reach_counts_what_it_lost(tmp_path: Path) -> None:
    log = Log()
    recorder = Recorder(Store(f"postgresql://cloister@/none?host={tmp_path}"), log.logger)
    async with recorder.running():
        recorder.put(Entry(comparison()))
        await said(log, "records not written")
    assert recorder.tally.lost == 1
    assert log.events("records not written")


async def test_documents_wait_only_as_far_as_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.records.recorder._MOST_KEPT_BYTES", kept().size)
    store = Store(f"sqlite:///{tmp_path}/records.db", Vault([bytes(32)]))
    recorder = Recorder(store, Log().logger)
    for number in range(3):
        recorder.put(Entry(comparison(str(number)), kept()))
    async with recorder.running():
        await until(recorder.tally, "written", 3)
    assert recorder.tally.unkept == 2
    again = Store(f"sqlite:///{tmp_path}/records.db", Vault([bytes(32)]))
    assert again.open_kept("0", "test", "") == kept()
    again.close()
