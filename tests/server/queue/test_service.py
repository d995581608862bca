"""JobService: a real server, a real channel, and a worker where one is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2

from cloister.v1 import jobs_pb2, jobs_pb2_grpc, ocr_pb2
from server.access import Access
from server.async_client import AsyncClient
from server.calls import cloister_error
from server.door import keys
from server.errors import (
    CellError,
    CredentialError,
    DeadlineError,
    DocumentError,
    JobError,
    OptionsError,
    OverloadedError,
    Reason,
)
from server.queue.client import JobClient
from tests.server.conftest import Tiny, tiny_server, tiny_settings
from tests.server.queue.fleet import fleet
from tests.server.test_lifecycle import health

pytestmark = pytest.mark.timeout(600)


@asynccontextmanager
async def taking(folder: Path, **queue: object) -> AsyncIterator[tuple[Tiny, JobClient]]:
    async with tiny_server(tiny_settings(queue={"serve": True, "folder": folder, **queue})) as server:
        with JobClient(server.address) as client:
            yield server, client


async def test_documents_are_handed_in_watched_and_their_results_fetched(folder: Path) -> None:
    async with taking(folder) as (server, client):

        def use() -> None:
            good = client.submit(b"one two\nthree", display_name="a.png")
            bad = client.submit(b"!crash", outputs=[ocr_pb2.OUTPUT_TEXT])
            assert good.name.startswith("jobs/")
            assert not good.done
            assert good.metadata.state == jobs_pb2.JOB_STATE_WAITING
            assert (good.metadata.display_name, good.metadata.document_bytes) == ("a.png", 13)
            with pytest.raises(DeadlineError):
                client.result(good.name)
            with fleet(folder, server.address):
                changes = list(client.watch(good.name, bad.name))
            last = {job.name: job for job in changes}
            assert all(job.done for job in last.values())
            states = [job.metadata.state for job in changes if job.name == good.name]
            assert states[0] == jobs_pb2.JOB_STATE_WAITING
            assert states[-1] == jobs_pb2.JOB_STATE_SUCCEEDED
            assert len(set(states)) == len(states)
            response = client.result(good.name)
            assert response.text == "one two\fthree"
            assert response.pages[0].lines[0].words[1].text == "two"
            assert response.provenance.engine == "tiny"
            with pytest.raises(CellError) as raised:
                client.result(bad.name)
            assert raised.value.reason == Reason.CELL_CRASHED
            assert last[bad.name].metadata.failed_attempts == 3

        await asyncio.to_thread(use)


async def test_a_submission_that_is_tried_again_is_one_job(folder: Path) -> None:
    async with taking(folder) as (_, client):

        def use() -> None:
            first = client.submit(b"x", request_id="r")
            assert client.submit(b"x", request_id="r").name == first.name
            assert client.submit(b"x").name != first.name
            other = ocr_pb2.RequestContext(tenant="other")
            assert client.submit(b"x", request_id="r", context=other).name != first.name
            assert len(list(client.jobs())) == 3
            assert [job.metadata.tenant for job in client.jobs(tenant="other")] == ["other"]

        await asyncio.to_thread(use)


async def test_jobs_are_listed_in_pages_and_cancelled(folder: Path) -> None:
    async with taking(folder) as (_, client):

        def use() -> None:
            made = [client.submit(str(number).encode()).name for number in range(5)]
            pages = []
            request = jobs_pb2.ListJobsRequest(page_size=2)
            while True:
                page = client._stub.ListJobs(request)
                pages.append([job.name for job in page.jobs])
                request.page_token = page.next_page_token
                if not page.next_page_token:
                    break
            assert [len(page) for page in pages] == [2, 2, 1]
            assert [name for page in pages for name in page] == made[::-1]
            cancelled = client.cancel(made[0])
            assert cancelled.done
            assert cancelled.metadata.state == jobs_pb2.JOB_STATE_CANCELLED
            assert [job.name for job in client.jobs(states=[jobs_pb2.JOB_STATE_CANCELLED])] == [made[0]]
            with pytest.raises(JobError) as raised:
                client.result(made[0])
            assert raised.value.reason == Reason.JOB_CANCELLED

        await asyncio.to_thread(use)


async def test_what_can_not_be_taken_is_refused_with_the_reason(folder: Path) -> None:
    async with taking(folder, open=1) as (_, client):

        def use() -> None:
            for document, engine, type_, reason in (
                (b"", "", DocumentError, Reason.EMPTY_DOCUMENT),
                (b"x" * (1 << 20) + b"y", "", DocumentError, Reason.DOCUMENT_TOO_LARGE),
                (b"x", "nosuch", OptionsError, Reason.UNKNOWN_ENGINE),
            ):
                with pytest.raises(type_) as raised:
                    client.submit(document, engine=engine)
                assert raised.value.reason == reason
            client.submit(b"first")
            with pytest.raises(OverloadedError) as full:
                client.submit(b"second")
            assert (full.value.reason, bool(full.value.retry_after_s)) == (Reason.QUEUE_FULL, True)
            for name in ("jobs/none", "none"):
                with pytest.raises(JobError) as unknown:
                    client.job(name)
                assert unknown.value.reason == Reason.UNKNOWN_JOB

        await asyncio.to_thread(use)
    stored = list((folder / "store/documents").iterdir())
    assert len(stored) == 1  # of what was refused nothing stays


async def test_a_queue_that_can_not_be_used_does_not_keep_documents_from_being_read(folder: Path) -> None:
    folder.mkdir()
    (folder / "jobs.db").write_bytes(b"no database" * 1000)
    async with taking(folder) as (server, _):
        async with AsyncClient(server.address) as ocr:
            assert (await ocr.recognize(b"still")).text == "still"
        # Without the client's own retries.
        async with grpc.aio.insecure_channel(server.address) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await jobs_pb2_grpc.JobServiceStub(channel).ListJobs(jobs_pb2.ListJobsRequest())
        refusal = cloister_error(raised.value)
        assert isinstance(refusal, OverloadedError)
        assert (refusal.reason, bool(refusal.retry_after_s)) == (Reason.QUEUE_UNREACHABLE, True)
        assert "no database" not in server.log


async def test_watchers_are_sent_elsewhere_when_the_server_drains(folder: Path) -> None:
    async with taking(folder) as (server, client):
        watcher = JobClient(server.address)
        seen: list[str] = []

        def watch() -> None:
            for job in watcher.watch():
                seen.append(job.name)

        job = await asyncio.to_thread(client.submit, b"x")
        watching = asyncio.create_task(asyncio.to_thread(watch))
        async with asyncio.timeout(60):
            while job.name not in seen:
                await asyncio.sleep(0.05)
    with pytest.raises(OverloadedError) as raised:
        await watching
    assert raised.value.reason == Reason.SHUTTING_DOWN
    watcher.close()


async def test_a_tenant_s_jobs_are_its_own(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    acme, globex, anyone = (keys.add(path, tenant) for tenant in ("acme", "globex", "*"))
    settings = tiny_settings(queue={"serve": True, "folder": folder}, authentication={"keys": str(path)})
    async with tiny_server(settings) as server:

        def use() -> None:
            clients = [JobClient(server.address, access=Access(token=key)) for key in (acme, globex, anyone)]
            mine, theirs, all_ = clients
            job = mine.submit(b"x")
            assert job.metadata.tenant == "acme"
            # The same bytes of another are another reading: nobody learns what others have.
            assert theirs.submit(b"x").metadata.tenant == "globex"
            for call in (theirs.job, theirs.cancel, lambda name: list(theirs.watch(name))):
                with pytest.raises(JobError) as raised:
                    call(job.name)
                assert raised.value.reason == Reason.UNKNOWN_JOB
            assert [job.name for job in mine.jobs()] == [job.name]
            with pytest.raises(CredentialError):
                list(theirs.jobs(tenant="acme"))
            assert {job.metadata.tenant for job in all_.jobs()} == {"acme", "globex"}
            assert all_.job(job.name).name == job.name
            with JobClient(server.address, access=Access()) as nobody, pytest.raises(CredentialError):
                nobody.submit(b"x")
            for client in clients:
                client.close()

        await asyncio.to_thread(use)


async def test_it_is_served_only_where_the_settings_say_so(folder: Path) -> None:
    async with tiny_server() as server:
        with JobClient(server.address) as client, pytest.raises(Exception, match="UNIMPLEMENTED"):
            await asyncio.to_thread(lambda: list(client.jobs()))
    async with taking(folder) as (server, _):
        async with asyncio.timeout(60):
            while await health(server.address, "cloister.v1.JobService") != health_pb2.HealthCheckResponse.SERVING:
                await asyncio.sleep(0.05)
