"""What the operator is told of cells that were stopped, beside each request's own line."""

from __future__ import annotations

import asyncio
import io
import json
from contextlib import suppress

import pytest

from server import telemetry, violations
from server.async_client import AsyncClient
from server.errors import CellError
from server.sections import LogFormat
from tests.server.conftest import tiny_server
from tests.server.jobs import document


async def test_violations_are_counted_by_call_and_phase() -> None:
    async with tiny_server() as tiny, AsyncClient(tiny.address) as client:
        for _ in range(2):
            with pytest.raises(CellError):
                await client.recognize(document("!violate"))
        assert tiny.server.hosts[0].pool.violations == {("openat", "work"): 2}
        stream = io.StringIO()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                log = telemetry.logger(LogFormat.JSON, stream)
                await violations.watch(tiny.server.hosts, log, period_s=0.05)
    (told,) = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert told["event"] == "violations"
    assert {"engine": "tiny", "call": "openat", "phase": "work", "new": 2, "total": 2}.items() <= told.items()
