"""More requests than cells, over a real channel: who is served, in which order, and who is told to come back."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Awaitable

import pytest

from cloister.v1 import ocr_pb2
from server.async_client import AsyncClient
from server.errors import CloisterError, OverloadedError, Reason
from tests.server.conftest import Tiny, tiny_server, tiny_settings
from tests.server.jobs import document

BATCH, INTERACTIVE = ocr_pb2.PRIORITY_BATCH, ocr_pb2.PRIORITY_INTERACTIVE


def of(tenant: str, priority: ocr_pb2.Priority.ValueType = INTERACTIVE) -> ocr_pb2.RequestContext:
    return ocr_pb2.RequestContext(tenant=tenant, priority=priority)


async def once(client: AsyncClient, body: bytes, tenant: str = "", **more: object) -> ocr_pb2.RecognizeResponse:
    """One call without the client's own coming back: by a stream, which is sent once."""
    priority = more.pop("priority", INTERACTIVE)
    async with client.stream(body, context=of(tenant, priority), **more) as pages:  # type: ignore[arg-type]
        read = [page async for page in pages]
    assert pages.summary is not None
    return ocr_pb2.RecognizeResponse(pages=read, provenance=pages.summary.provenance)


async def reason(call: Awaitable[object]) -> str:
    try:
        await call
    except CloisterError as error:
        return str(error.reason)
    return "OK"


async def waiting(tiny: Tiny, count: int) -> None:
    async with asyncio.timeout(20):
        while tiny.server.hosts[0].admission.waiting < count:
            await asyncio.sleep(0.01)


async def test_a_deadline_that_cannot_be_met_is_refused_without_a_cell() -> None:
    async with tiny_server(tiny_settings(limits={"queue": 8})) as tiny, AsyncClient(tiny.address) as client:
        await client.recognize(document("!work 0.5", "to know what one takes"))
        queue = [asyncio.create_task(once(client, document("!work 0.5", "x"))) for _ in range(5)]
        await waiting(tiny, 4)
        started = time.monotonic()
        with pytest.raises(OverloadedError) as refused:
            await client.recognize(document("too late"), deadline_s=1.0)
        assert time.monotonic() - started < 0.9
        assert refused.value.reason == Reason.DEADLINE_TOO_SHORT
        assert refused.value.retry_after_s is not None
        assert await asyncio.gather(*map(reason, queue)) == ["OK"] * 5
        (line,) = (line for line in tiny.requests if line.get("reason") == Reason.DEADLINE_TOO_SHORT)
        assert line["code"] == "RESOURCE_EXHAUSTED"
        assert "cell" not in line
        assert "cell_setup" not in line["stages_ms"]  # type: ignore[operator]
        assert (await client.recognize(document("in time"), deadline_s=30.0)).text == "in time"


async def test_two_tenants_share_the_cells_whatever_each_asks() -> None:
    """One keeps twelve requests going, the other two."""
    async with tiny_server(tiny_settings(limits={"queue": 6})) as tiny, AsyncClient(tiny.address) as client:
        served: Counter[str] = Counter()
        until = time.monotonic() + 4

        async def ask(tenant: str) -> None:
            while time.monotonic() < until:
                if await reason(once(client, document("!work 0.05", "x"), tenant)) == "OK":
                    served[tenant] += 1
                else:
                    await asyncio.sleep(0.02)

        await asyncio.gather(*(ask("many") for _ in range(12)), *(ask("few") for _ in range(2)))
    assert served["few"] >= 0.6 * served["many"], served


async def test_interactive_requests_go_before_batches() -> None:
    async with tiny_server(tiny_settings(limits={"queue": 8})) as tiny, AsyncClient(tiny.address) as client:
        first = asyncio.create_task(once(client, document("!work 1", "first")))
        async with asyncio.timeout(10):
            while tiny.server.hosts[0].admission.free:
                await asyncio.sleep(0.01)
        order: list[str] = []

        async def ask(name: str, priority: ocr_pb2.Priority.ValueType) -> None:
            await once(client, document("!work 0.1", name), priority=priority)
            order.append(name)

        batches = [asyncio.create_task(ask("batch", BATCH)) for _ in range(3)]
        await waiting(tiny, 3)
        people = [asyncio.create_task(ask("person", INTERACTIVE)) for _ in range(3)]
        await asyncio.gather(first, *batches, *people)
    assert order == ["person"] * 3 + ["batch"] * 3


async def test_a_tenant_over_its_quota_is_told_when_to_come_back() -> None:
    settings = tiny_settings(quotas={"tenants": {"slow": {"requests_per_s": 0.5, "burst": 1}, "small": {"at_once": 1}}})
    async with tiny_server(settings) as tiny, AsyncClient(tiny.address) as client:
        both = [asyncio.create_task(reason(once(client, document("!work 0.3", "x"), "slow"))) for _ in range(2)]
        assert sorted(await asyncio.gather(*both)) == ["OK", Reason.RATE_LIMITED]
        both = [asyncio.create_task(reason(once(client, document("!work 0.3", "x"), "small"))) for _ in range(2)]
        assert sorted(await asyncio.gather(*both)) == ["OK", Reason.TENANT_AT_LIMIT]
        # The client itself comes back when it is told to.
        both_texts = [client.recognize(document("waited"), context=of("slow")) for _ in range(2)]
        assert [response.text for response in await asyncio.gather(*both_texts)] == ["waited"] * 2
        assert len([line for line in tiny.requests if line.get("reason") == Reason.RATE_LIMITED]) >= 2


async def test_who_is_admitted_under_overload_waits_for_no_more_than_the_queue_is_long() -> None:
    """Offered several times what one cell can do."""
    queue = 4
    async with tiny_server(tiny_settings(limits={"queue": queue})) as tiny, AsyncClient(tiny.address) as client:
        calls = []
        for _ in range(60):
            calls.append(asyncio.create_task(reason(once(client, document("!work 0.1", "x")))))
            await asyncio.sleep(0.03)
        ends = Counter(await asyncio.gather(*calls))
    assert ends.keys() == {"OK", Reason.QUEUE_FULL}
    assert ends[Reason.QUEUE_FULL] >= 10
    served = [stages(line) for line in tiny.requests if line["code"] == "OK"]
    longest_ms = max(times["total"] - times["queue"] for times in served)
    assert max(times["queue"] for times in served) <= (queue + 1) * longest_ms
    # The others are told so before they would have been served.
    refused_ms = statistics.median(stages(line)["total"] for line in tiny.requests if line["code"] != "OK")
    assert refused_ms < statistics.median(times["total"] for times in served)


def stages(line: dict[str, object]) -> dict[str, float]:
    found = line["stages_ms"]
    assert isinstance(found, dict)
    return found
