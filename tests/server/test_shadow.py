"""A candidate in the shadow of a control: real servers, real cells, candidates that misbehave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path

import pytest

from cloister.v1 import ocr_pb2
from server import telemetry
from server.app import running
from server.async_client import AsyncClient
from server.records.store import RecordsError, Store
from server.records.vault import Vault
from server.sections import LogFormat
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
async def shadowed(
    folder: Path, keys: Path | None = None, database: str = "", cells: int = 1, **candidate: float | bool
) -> AsyncIterator[Tiny]:
    flags = folder / "flags.json"
    flags.write_text(json.dumps(FLAGS))
    settings = tiny_settings(
        cells={"busy": cells, "idle": cells, "per_document": cells},
        experiments={"flags": str(flags)},
        shadow={
            "engines": ["candidate"],
            "queue": 2,
            "deadline_s": 20.0,
            "database": database or f"sqlite:///{folder}/records.db",
            "keep_keys": None if keys is None else str(keys),
        },
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


async def test_a_document_with_a_shadow_is_shared_out_over_cells_like_any(tmp_path: Path) -> None:
    async with shadowed(tmp_path, cells=3) as tiny, AsyncClient(tiny.address) as client:
        reading = asyncio.create_task(client.recognize(document(*(f"!work 0.6\nword{n}" for n in range(3)))))
        busiest = 0
        while not reading.done():
            busiest = max(busiest, tiny.server.hosts[0].pool.busy_cells)
            await asyncio.sleep(0.01)
        assert busiest == 3
        assert (await reading).text.split("\f") == ["word0", "word1", "word2"]
        (line,) = await until(tiny, "shadow")
        assert (line["status"], line["same_text"]) == ("OK", 3)


async def test_comparisons_are_recorded_and_documents_only_with_consent_and_a_key(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
    keys.chmod(0o600)
    async with shadowed(tmp_path, keys) as tiny, AsyncClient(tiny.address) as client:
        consenting = ocr_pb2.RequestContext(document_kind="receipt", may_be_kept=True)
        first = await client.recognize(document("some secret words", "on two pages"), context=consenting)
        await until(tiny, "shadow", 1)
        second = await client.recognize(document("other words"), context=ocr_pb2.RequestContext(document_kind="bill"))
        await until(tiny, "shadow", 2)
    store = Store(f"sqlite:///{tmp_path}/records.db", Vault.load(keys))
    one, two = store.comparisons("tiny", "candidate")
    assert (one.id, one.document_kind, one.pages, one.status) == (first.provenance.request_id, "receipt", 2, "OK")
    assert (two.id, two.document_kind) == (second.provenance.request_id, "bill")
    assert one.agreement is not None
    assert one.agreement.same_text == 6
    for spent in (one.control_spent, one.candidate_spent):
        assert 0 < spent.seconds < 60
        assert spent.cpu_s is not None
        assert 0 < spent.cpu_s < 5
        assert spent.memory_bytes is not None
        assert 1e5 < spent.memory_bytes < 2e8
    kept = store.open_kept(one.id, "test", "")
    assert kept.document == document("some secret words", "on two pages")
    assert [word.text for word in kept.candidate[0].lines[0].words] == ["some", "secret", "words"]
    with pytest.raises(RecordsError, match="not kept"):
        store.open_kept(two.id, "test", "")
    store.close()
    assert b"secret" not in (tmp_path / "records.db").read_bytes()


async def test_a_lost_database_changes_nothing_for_callers_and_is_said(tmp_path: Path) -> None:
    nowhere = f"postgresql://cloister@/none?host={tmp_path}"
    async with shadowed(tmp_path, database=nowhere) as tiny, AsyncClient(tiny.address) as client:
        for number in range(3):
            assert (await client.recognize(document(f"words {number}"))).text == f"words {number}"
            await until(tiny, "shadow", number + 1)
        await until(tiny, "records not written")
    (end,) = [line for line in tiny.lines if line["event"] == "records"]
    assert (end["written"], end["lost"]) == (0, 3)


async def test_a_candidate_that_cannot_start_is_reported_and_nothing_waits_for_it(tmp_path: Path) -> None:
    async with shadowed(tmp_path, broken=True) as tiny, AsyncClient(tiny.address) as client:
        assert (await client.recognize(document("words"))).text == "words"
        assert (await until(tiny, "no candidate"))[0]["engine"] == "candidate"
        assert (await client.recognize(document("words"))).text == "words"
