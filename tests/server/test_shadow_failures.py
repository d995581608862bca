"""A candidate that fails in every way there is: its callers' answers stay right, all of them, and soon."""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path
from statistics import median, quantiles

import pytest

from server import telemetry
from server.app import running
from server.async_client import AsyncClient
from server.records.store import Store
from server.sections import LogFormat
from tests.server.candidates import EVERY_MISDEED, candidate
from tests.server.conftest import Tiny, tiny, tiny_settings
from tests.server.jobs import document

DEEDS = ("read", *EVERY_MISDEED)
ENDS = {
    "read": {"OK"},
    "crash": {"CELL_CRASHED"},
    "abort": {"CELL_BROKE_POLICY"},  # no cell may send signals
    "hang": {"DEADLINE_EXCEEDED", "CELL_OUT_OF_TIME"},
    "spin": {"DEADLINE_EXCEEDED", "CELL_OUT_OF_TIME"},
    "violate": {"CELL_BROKE_POLICY"},
    "hog": {"CELL_OUT_OF_MEMORY"},
    "unended": {"MALFORMED_REPLY"},
}
"""What is recorded of each; of the others, which answer nonsense, MALFORMED_REPLY."""


def flags(shadowed: bool) -> str:
    candidate_flag = {"state": "ENABLED", "variants": {"try": "failing"}, "defaultVariant": "try"}
    enabled = {
        "state": "ENABLED",
        "variants": {"on": True, "off": False},
        "defaultVariant": "on" if shadowed else "off",
    }
    return json.dumps({"flags": {"shadow": candidate_flag, "enabled": enabled}})


@asynccontextmanager
async def failing(folder: Path, queue: int, deadline_s: float = 1.5) -> AsyncIterator[Tiny]:
    (folder / "flags.json").write_text(flags(shadowed=True))
    settings = tiny_settings(
        cells={"memory_bytes": 64 << 20},
        experiments={"flags": str(folder / "flags.json")},
        shadow={
            "engines": ["failing"],
            "queue": queue,
            "deadline_s": deadline_s,
            "database": f"sqlite:///{folder}/records.db",
        },
    )
    stream = StringIO()
    log = telemetry.logger(LogFormat.JSON, stream)
    async with running(settings, [tiny()], log, [candidate("failing", deeds=list(DEEDS))]) as server:
        made = Tiny(server, stream)
        await ended(made, "candidate", 1)
        yield made


async def ended(server: Tiny, event: str, count: int) -> None:
    async with asyncio.timeout(240):
        while server.log.count(f'"event": "{event}"') < count:
            await asyncio.sleep(0.02)


def documents() -> dict[str, bytes]:
    """One for each deed, which the candidate picks by its document."""
    found: dict[str, bytes] = {}
    number = 0
    while len(found) < len(DEEDS):
        body = document(f"words {number}", "on two pages")
        found.setdefault(DEEDS[zlib.crc32(body) % len(DEEDS)], body)
        number += 1
    return found


async def test_no_way_to_fail_reaches_a_caller_and_each_is_recorded(tmp_path: Path) -> None:
    sent: dict[str, str] = {}
    async with failing(tmp_path, queue=2, deadline_s=60.0) as server, AsyncClient(server.address) as client:
        # To spin ends as to hang does, when time is up, and that takes its time.
        those = {deed: body for deed, body in documents().items() if deed != "spin"}
        for number, (deed, body) in enumerate(those.items(), start=1):
            response = await client.recognize(body)
            assert response.text == body.decode().replace("\n", "\f")
            sent[response.provenance.request_id] = deed
            await ended(server, "shadow", number)
    store = Store(f"sqlite:///{tmp_path}/records.db")
    recorded = {one.id: one.status for one in store.comparisons()}
    store.close()
    assert recorded.keys() == sent.keys()
    for id_, deed in sent.items():
        assert recorded[id_] in ENDS.get(deed, {"MALFORMED_REPLY"}), deed


async def test_callers_wait_no_longer_beside_a_candidate_that_fails(tmp_path: Path) -> None:
    bodies = list(documents().values())
    times: dict[bool, list[float]] = {False: [], True: []}
    async with failing(tmp_path, queue=2) as server, AsyncClient(server.address) as client:
        for round_ in range(4):
            shadowed = bool(round_ % 2)
            (tmp_path / "flags.json").write_text(flags(shadowed))
            await asyncio.sleep(0.6)
            for body in bodies:
                started = time.perf_counter()
                await client.recognize(body)
                times[shadowed].append(time.perf_counter() - started)
    # On a machine with other work this is noisy, the slow ones most; who waits for the candidate always does.
    quick = {shadowed: quantiles(those, n=4)[0] for shadowed, those in times.items()}
    assert quick[True] < 2 * quick[False] + 0.05


async def test_the_kill_switch_ends_a_candidate_at_work(tmp_path: Path) -> None:
    async with failing(tmp_path, queue=2, deadline_s=100.0) as server, AsyncClient(server.address) as client:
        those = documents()
        await client.recognize(those["hang"])
        await asyncio.sleep(1)
        for shadowed in (False, True):
            (tmp_path / "flags.json").write_text(flags(shadowed))
            async with asyncio.timeout(60):
                while ("DISABLED" in str((await client.recognize(those["read"])).provenance.assignment)) == shadowed:
                    await asyncio.sleep(0.1)
            await asyncio.sleep(1)
        # There is one place, which the first would still hold.
        await ended(server, "shadow", 1)
    (end,) = [line for line in server.lines if line["event"] == "shadows"]
    assert end["dropped"]["switched off"] >= 1  # type: ignore[index]
    assert end["failed"] == 0


@pytest.mark.slow
async def test_five_thousand_requests_beside_a_candidate_that_fails_in_every_way_are_answered(tmp_path: Path) -> None:
    await answered(5000, tmp_path)


async def answered(requests: int, tmp_path: Path) -> None:
    times: list[float] = []
    async with failing(tmp_path, queue=4, deadline_s=3.0) as server, AsyncClient(server.address) as client:
        for number in range(requests):
            body = document(f"request {number}", "on two pages")
            started = time.perf_counter()
            response = await client.recognize(body)
            times.append(time.perf_counter() - started)
            assert response.text == body.decode().replace("\n", "\f")
    (end,) = [line for line in server.lines if line["event"] == "shadows"]
    assert Counter(line["code"] for line in server.requests) == {"OK": requests}
    store = Store(f"sqlite:///{tmp_path}/records.db")
    seen = Counter(one.status for one in store.comparisons())
    store.close()
    assert set(seen) >= {"OK", "CELL_CRASHED", "CELL_BROKE_POLICY", "CELL_OUT_OF_MEMORY", "MALFORMED_REPLY"}
    # One may have been under way at the end.
    assert 0 <= end["compared"] + end["failed"] - seen.total() <= 1  # type: ignore[operator]
    print(f"p50 {median(times):.3f} s, p99 {quantiles(times, n=100)[98]:.3f} s; {dict(seen)}, {end}")
