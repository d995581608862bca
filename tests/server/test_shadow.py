"""A candidate in the shadow of a control: real servers, real cells, candidates that misbehave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path

from cloister.v1 import ocr_pb2
from server import telemetry
from server.app import running
from server.client import AsyncClient
from server.settings import LogFormat
from tests.server.conftest import Tiny, tiny, tiny_settings
from tests.server.jobs import document

FLAGS = {
    "flags": {
        "engine": {"state": "ENABLED", "variants": {"control": "tiny"}, "defaultVariant": "control"},
        "shadow": {"state": "ENABLED", "variants": {"try": "candidate"}, "defaultVariant": "try"},
    },
    "metadata": {"version": "v1"},
}


@asynccontextmanager
async def shadowed(folder: Path, **candidate: float | bool) -> AsyncIterator[Tiny]:
    flags = folder / "flags.json"
    flags.write_text(json.dumps(FLAGS))
    settings = tiny_settings(
        experiments={"flags": str(flags)}, shadow={"engines": ["candidate"], "queue": 2, "deadline_s": 2.0}
    )
    stream = StringIO()
    log = telemetry.logger(LogFormat.JSON, stream)
    async with running(settings, [tiny()], log, [tiny("candidate", **candidate)]) as server:
        made = Tiny(server, stream)
        if not candidate:
            await until(made, "candidate")
        yield made


async def until(tiny: Tiny, event: str, count: int = 1) -> list[dict[str, object]]:
    async with asyncio.timeout(60):
        while len(found := [line for line in tiny.lines if line["event"] == event]) < count:
            await asyncio.sleep(0.05)
    return found


async def test_a_candidate_reads_after_the_answer_and_is_compared(tmp_path: Path) -> None:
    async with shadowed(tmp_path) as tiny, AsyncClient(tiny.address) as client:
        response = await client.recognize(document("some secret words", "on two pages"))
        assert response.provenance.engine == "tiny"
        assert response.provenance.assignment == ocr_pb2.Assignment(
            variant="control", reason="STATIC", flags_version="v1"
        )
        (line,) = await until(tiny, "shadow")
        assert line["request_id"] == response.provenance.request_id
        assert (line["control"], line["candidate"], line["status"], line["flags"]) == ("tiny", "candidate", "OK", "v1")
        assert (line["control_words"], line["same_text"], line["word_agreement"]) == (6, 6, 1.0)
        assert tiny.requests[0]["assignment"] == {"variant": "control", "reason": "STATIC", "shadow": "candidate"}

        async with client.stream(document("streamed words")) as pages:
            assert [page.number async for page in pages] == [1]
        line = (await until(tiny, "shadow", 2))[1]
        assert (line["status"], line["same_text"]) == ("OK", 2)
        assert "secret" not in tiny.log
        assert "streamed" not in tiny.log

        # The kill switch: within seconds, without a restart.
        switched = {
            **FLAGS["flags"],
            "enabled": {"state": "DISABLED", "variants": {"on": True}, "defaultVariant": "on"},
        }
        (tmp_path / "flags.json").write_text(json.dumps({"flags": switched}))
        await asyncio.sleep(0.6)
        response = await client.recognize(document("more words"))
        assert response.provenance.assignment.reason == "DISABLED"
        await asyncio.sleep(0.5)
        assert len(await until(tiny, "shadow", 2)) == 2


async def test_a_candidate_that_cannot_start_is_reported_and_nothing_waits_for_it(tmp_path: Path) -> None:
    async with shadowed(tmp_path, broken=True) as tiny, AsyncClient(tiny.address) as client:
        assert (await client.recognize(document("words"))).text == "words"
        assert (await until(tiny, "no candidate"))[0]["engine"] == "candidate"
        assert (await client.recognize(document("words"))).text == "words"
