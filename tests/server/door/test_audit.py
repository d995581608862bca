"""It is taken down who asked for what: sizes and hashes, never content."""

from __future__ import annotations

import asyncio
import hashlib
import json
import stat
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cloister.v1 import ocr_pb2, ocr_pb2_grpc
from server.access import Access
from server.async_client import AsyncClient
from server.door import keys
from server.errors import CloisterError, Reason
from server.settings import SettingsError
from tests.server.conftest import tiny_server, tiny_settings
from tests.server.jobs import document

SECRET = document("a very secret text", "on two pages")


async def lines(path: Path, count: int) -> list[dict[str, object]]:
    """The lines of the file, once there are so many: they are written when calls are over."""
    async with asyncio.timeout(20):
        while len(found := path.read_text().splitlines()) < count:
            await asyncio.sleep(0.02)
    return [json.loads(line) for line in found]


async def test_a_line_tells_of_each_call_and_nothing_of_a_document(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    key = keys.add(tmp_path / "keys", "acme")
    settings = tiny_settings(authentication={"keys": str(tmp_path / "keys")}, audit={"to": str(path)})
    async with tiny_server(settings) as tiny:
        async with AsyncClient(tiny.address, access=Access(token=key), deadline_s=20) as client:
            request_id = (await client.recognize(SECRET)).provenance.request_id
            async with client.stream(iter_of(SECRET)) as pages:
                assert [page.number async for page in pages] == [1, 2]
            with pytest.raises(CloisterError):
                await client.recognize(document("!crash"))
            await client.engines()
        async with AsyncClient(tiny.address, access=Access(token="none"), deadline_s=20) as client:
            with pytest.raises(CloisterError):
                await client.recognize(SECRET)
        found = await lines(path, 5)
        assert tiny.requests[0]["request_id"] == request_id
    read, streamed, crashed, listed, refused = found
    assert read["request_id"] == request_id
    assert {line["tenant"] for line in found[:4]} == {"acme"}
    assert {line["credential"] for line in found[:4]} == {f"key:{key.split('_')[1]}"}
    assert all(str(line["peer"]).startswith("ipv4:127.0.0.1") for line in found)
    for line in (read, streamed):
        assert line["code"] == "OK"
        assert line["document_bytes"] == len(SECRET)
        assert line["document_sha256"] == hashlib.sha256(SECRET).hexdigest()
        assert int(str(line["request_bytes"])) > len(SECRET)
        assert int(str(line["response_bytes"])) > 100
    assert [line["method"] for line in (read, streamed, listed)] == [
        f"/cloister.v1.OcrService/{name}" for name in ("Recognize", "RecognizeStream", "ListEngines")
    ]
    assert (crashed["code"], crashed["reason"]) == ("INTERNAL", Reason.CELL_CRASHED)
    assert "document_sha256" not in listed
    assert (refused["code"], refused["reason"], refused["tenant"], refused["request_bytes"]) == (
        "UNAUTHENTICATED",
        Reason.INVALID_CREDENTIAL,
        "",
        0,
    )
    text = path.read_text()
    assert "secret" not in text
    assert key.rpartition("_")[2] not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_caller_that_leaves_has_its_line_too(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    async with tiny_server(tiny_settings(audit={"to": str(path)})) as tiny, AsyncClient(tiny.address) as client:
        context = ocr_pb2.RequestContext(tenant="as it says")
        async with client.stream(document("one", "!hang"), context=context) as pages:
            await anext(aiter(pages))
        (line,) = await lines(path, 1)
    assert (line["code"], line["tenant"], line["credential"]) == ("CANCELLED", "as it says", "")


async def test_health_is_not_taken_down_and_the_log_can_hold_the_lines() -> None:
    settings = tiny_settings(audit={"to": "log"})
    async with tiny_server(settings) as tiny, grpc.aio.insecure_channel(tiny.address) as channel:
        await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        await ocr_pb2_grpc.OcrServiceStub(channel).ListEngines(ocr_pb2.ListEnginesRequest())
    assert [line["method"] for line in tiny.lines if line["event"] == "audit"] == [
        "/cloister.v1.OcrService/ListEngines"
    ]


async def test_a_file_that_was_moved_away_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    async with tiny_server(tiny_settings(audit={"to": str(path)})) as tiny, AsyncClient(tiny.address) as client:
        await client.engines()
        await lines(path, 1)
        path.rename(tmp_path / "audit.1")
        await client.engines()
        async with asyncio.timeout(20):
            while not path.exists():
                await asyncio.sleep(0.02)
        assert len(await lines(path, 1)) == 1


async def test_a_server_does_not_start_where_it_cannot_write_its_audit_log(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"audit\.to"):
        async with tiny_server(tiny_settings(audit={"to": str(tmp_path / "no such folder/audit")})):
            pytest.fail("it started")


async def iter_of(content: bytes) -> object:
    for start in range(0, len(content), 7):
        yield content[start : start + 7]
