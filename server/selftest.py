"""Has each engine read a small page of our own now and then, in a cell like any other: does it still?

A pool that makes cells may still make cells that can't read. A test runs only while nobody waits for a cell and one is
ready. An engine has failed when two tests one after the other have, and is well again with the next that passes.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from weakref import WeakKeyDictionary

from structlog.typing import FilteringBoundLogger

from cloister.cell.v1 import cell_pb2
from cloister.v1 import ocr_pb2
from server import reading
from server.admission import Deadline
from server.errors import CloisterError
from server.hosts import EngineHost
from server.lineup import Lineup
from server.metrics import Metrics
from server.telemetry import RequestRecord

_SPECIMEN = Path(__file__).with_name("selftest.png")
"""Some words in black on white."""
_DEADLINE_S = 30.0
_AGAIN_S = 1.0
_FAILURES = 2


class SelfTests:
    """Tests the engines of ``lineup`` every ``period_s``, sooner where one has just failed."""

    def __init__(self, lineup: Lineup, period_s: float, metrics: Metrics, log: FilteringBoundLogger) -> None:
        self._lineup = lineup
        self._period_s = period_s
        self._metrics = metrics
        self._log = log
        self._document = _SPECIMEN.read_bytes()
        self._failed: WeakKeyDictionary[EngineHost, list[str]] = WeakKeyDictionary()

    def why(self, host: EngineHost) -> str:
        """Why its self-test fails; "" where it passes, or none has been run."""
        failures = self._failed.get(host, [])
        return failures[-1] if len(failures) >= _FAILURES else ""

    async def run(self) -> None:
        """For ever; at once over where the period is 0."""
        if not self._period_s:
            return
        again_s = min(_AGAIN_S, self._period_s)
        while True:
            suspected = any(self._failed.get(host) for host in self._lineup)
            await asyncio.sleep(again_s if suspected else self._period_s)
            for host in self._lineup:
                if host.pool.idle_cells and not host.admission.waiting:
                    await self._test(host)

    async def _test(self, host: EngineHost) -> None:
        self._lineup.use(host)
        try:
            failure = await self._failure(host)
        finally:
            self._lineup.leave(host)
        self._metrics.self_test(host.entry.name, host.label, passed=not failure)
        before = self.why(host)
        if not failure:
            self._failed.pop(host, None)
        else:
            self._failed[host] = [*self._failed.get(host, []), failure][-_FAILURES:]
        if bool(before) != bool(self.why(host)):
            (self._log.error if failure else self._log.info)("self-test", engine=host.name, failure=failure)

    async def _failure(self, host: EngineHost) -> str:
        """What is wrong with what it reads; "" where nothing is."""
        task = cell_pb2.Task(outputs=[ocr_pb2.OUTPUT_WORDS, ocr_pb2.OUTPUT_TEXT], max_pixels=1_000_000, max_pages=1)
        record = RequestRecord("", "self-test", "")
        try:
            deadline = Deadline.after(_DEADLINE_S)
            async with aclosing(reading.replies(host, self._document, task, deadline, record)) as replies:
                async for _ in replies:
                    pass
        except CloisterError as error:
            return str(error.reason)
        return "" if record.words else "it reads no word of a page that has some"
