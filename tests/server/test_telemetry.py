"""What the operator sees, and what nobody does."""

from __future__ import annotations

import io
import json

import grpc
import pytest

from server import telemetry
from server.async_client import AsyncClient
from server.errors import CellError, CloisterError
from server.sections import LogFormat
from tests.server.conftest import tiny_server
from tests.server.jobs import document


async def test_a_request_is_one_line_with_its_figures() -> None:
    async with tiny_server() as server:
        async with AsyncClient(server.address) as client:
            await client.recognize(document("three small words", "and more"))
        (line,) = server.requests
    assert line["level"] == "info"
    assert (line["rpc"], line["engine"], line["code"]) == ("Recognize", "tiny", "OK")
    assert (line["bytes"], line["pages"], line["words"]) == (26, 2, 5)
    assert line["cell"] == {"status": "ok", "reason": ""}
    assert set(line["stages_ms"]) == {"queue", "cell_setup", "decode", "recognise", "total"}
    assert line["stages_ms"]["recognise"] == 4.0
    assert line["peer"].startswith("ipv4:127.0.0.1")
    assert "reason" not in line


async def test_no_log_line_holds_a_word_of_any_document() -> None:
    secret = "Xylophonium"
    documents = [
        document(f"{secret} is read"),
        document(secret, "!crash"),
        document(secret, "!escape"),
        document(secret, "!fail REASON_DAMAGED"),
        document(secret, "!violate"),
        document(f"{secret}", f"!{secret}"),
    ]
    async with tiny_server() as server, AsyncClient(server.address) as client:
        for body in documents:
            try:
                await client.recognize(body)
            except CloisterError:
                continue
        assert len(server.requests) == len(documents)
    assert secret not in server.log
    assert "secret" not in server.log


async def test_a_breach_of_the_reply_rules_is_named_to_the_operator() -> None:
    async with tiny_server() as server, AsyncClient(server.address) as client:
        with pytest.raises(CellError) as raised:
            await client.recognize(document("!nan\nnever read"))
        (line,) = server.requests
    assert "confidence" not in raised.value.message
    assert line["level"] == "error"
    assert line["breach"] == "a word's confidence out of 0..1"


def test_a_mistake_is_told_by_type_and_place_without_its_text() -> None:
    try:
        raise ValueError("the text of a document")
    except ValueError as error:
        told = telemetry.describe(error)
    assert told["error"] == "ValueError"
    assert "test_telemetry.py" in json.dumps(told)
    assert "the text" not in json.dumps(told)


def test_a_quiet_logger_tells_what_went_wrong_alone() -> None:
    stream = io.StringIO()
    log = telemetry.logger(LogFormat.JSON, stream, quiet=True)
    record = telemetry.RequestRecord(request_id="1", rpc="Recognize", peer="unix:")
    record.log(log)
    assert not stream.getvalue()
    record.code = grpc.StatusCode.INTERNAL
    record.log(log)
    assert json.loads(stream.getvalue())["level"] == "error"
