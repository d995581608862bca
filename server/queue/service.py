"""The RPCs of `cloister.v1.JobService`. They write to ledger and store alone: there workers find what is to be done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import ParamSpec, TypeVar

import grpc
from sqlalchemy.exc import SQLAlchemyError
from structlog.typing import FilteringBoundLogger

from cloister.v1 import jobs_pb2, jobs_pb2_grpc, ocr_pb2
from server.catalogue import EngineEntry
from server.database import DatabaseError
from server.door import caller
from server.errors import CloisterError, DocumentError, InternalError, OptionsError, OverloadedError, Reason, trailers
from server.inflight import Context, shutting_down
from server.queue.job import Job, State, engines_of
from server.queue.ledger import unknown
from server.queue.messages import id_for, id_of, message, place, states_of, token
from server.queue.opening import Queue
from server.telemetry import describe

NAME = jobs_pb2.DESCRIPTOR.services_by_name["JobService"].full_name

_THREADS = 8
_POLL_S = 0.5
_RETRY_S = 5.0
_PAGE = 100
_MOST = 1000
_MOST_CHANGES = 10_000
_WATCHERS = 64
# What was written by a clock a little behind ours, or by a transaction that took its time, is seen all the same.
_OVERLAP_S = 10.0

_P = ParamSpec("_P")
_T = TypeVar("_T")


class JobService(jobs_pb2_grpc.JobServiceServicer):
    """``entries`` gives the engines that documents may name; ``document_bytes`` is the most that one may have."""

    def __init__(
        self, queue: Queue, entries: Callable[[], Iterable[EngineEntry]], document_bytes: int, log: FilteringBoundLogger
    ) -> None:
        self._queue = queue
        self._entries = entries
        self._document_bytes = document_bytes
        self._log = log
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="jobs")
        self._draining = asyncio.Event()
        self._calls = 0
        self._watchers = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def drain(self, limit_s: float) -> None:
        """Refuse new calls, send watchers elsewhere, and wait ``limit_s`` seconds at most for what is being written."""
        self._draining.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._idle.wait()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._queue.close()

    async def SubmitDocument(  # noqa: N802  (the names are the API's)
        self, request: jobs_pb2.SubmitDocumentRequest, context: Context
    ) -> jobs_pb2.Job:
        async with self._call("SubmitDocument", context):
            limit = self._document_bytes
            if len(request.document) > limit:
                raise DocumentError(
                    Reason.DOCUMENT_TOO_LARGE,
                    f"the document is larger than the {limit} bytes that are taken; send it smaller or in parts",
                    {"limit": str(limit)},
                )
            there = {(entry.name, entry.version, entry.model_version) for entry in self._entries()}
            engines = engines_of(request.options.engine, there)
            if not engines:
                known = ", ".join(sorted({name for name, _, _ in there}))
                why = f"there is no engine of that name here; there are: {known}"
                raise OptionsError(Reason.UNKNOWN_ENGINE, why, {"engines": known})
            options = ocr_pb2.RecognizeOptions()
            options.CopyFrom(request.options)
            options.context.tenant = caller.current().tenant(options.context.tenant)
            job = await self._off(
                self._queue.submit,
                request.document,
                options,
                engines=engines,
                name=request.display_name,
                job=id_for(options.context.tenant, request.request_id),
            )
            self._log.info("job", job=job.id, bytes=job.size, state=job.state)
            return message(job)
        raise AssertionError("a call that fails is aborted")

    async def GetJob(self, request: jobs_pb2.GetJobRequest, context: Context) -> jobs_pb2.Job:  # noqa: N802
        async with self._call("GetJob", context):
            id_ = id_of(request.name)
            until_s = asyncio.get_running_loop().time() + request.wait.ToMilliseconds() / 1000
            job = await self._own(id_)
            while not job.state.ended and (left_s := until_s - asyncio.get_running_loop().time()) > 0:
                await self._pause(min(_POLL_S, left_s))
                job = await self._off(self._queue.ledger.job, id_)
            answer = message(job)
            if job.state is State.SUCCEEDED:
                answer.response.CopyFrom(await self._off(self._queue.result, job))
            return answer
        raise AssertionError("a call that fails is aborted")

    async def WatchJobs(  # type: ignore[override]  # noqa: N802
        self, request: jobs_pb2.WatchJobsRequest, context: Context
    ) -> None:
        async with self._call("WatchJobs", context), self._watching():
            ids = sorted({id_of(name) for name in request.names})
            if len(ids) > _MOST:
                raise OptionsError(Reason.INVALID_OPTIONS, f"at most {_MOST} names are watched by one call")
            changes = self._named(ids) if ids else self._all(caller.current().tenant(request.tenant) or None)
            async for job in changes:
                await context.write(message(job))

    async def ListJobs(  # noqa: N802
        self, request: jobs_pb2.ListJobsRequest, context: Context
    ) -> jobs_pb2.ListJobsResponse:
        async with self._call("ListJobs", context):
            size = min(max(request.page_size, 0) or _PAGE, _MOST)
            tenant = caller.current().tenant(request.tenant) or None
            found = await self._off(
                self._queue.ledger.jobs,
                states=states_of(request.states),
                tenant=tenant,
                before=place(request.page_token),
                limit=size + 1,
            )
            more = token(found[size - 1]) if len(found) > size else ""
            return jobs_pb2.ListJobsResponse(jobs=[message(job) for job in found[:size]], next_page_token=more)
        raise AssertionError("a call that fails is aborted")

    async def CancelJob(self, request: jobs_pb2.CancelJobRequest, context: Context) -> jobs_pb2.Job:  # noqa: N802
        async with self._call("CancelJob", context):
            job = await self._own(id_of(request.name))
            job = await self._off(self._queue.ledger.cancel, job.id)
            self._log.info("job", job=job.id, state=job.state)
            return message(job)
        raise AssertionError("a call that fails is aborted")

    async def _own(self, id_: str) -> Job:
        """A job of the caller's tenant. Another's is as unknown as one that is not there: `JobError` (UNKNOWN_JOB)."""
        job = await self._off(self._queue.ledger.job, id_)
        credential = caller.current().credential
        if credential.tenant not in (caller.ANY_TENANT, job.tenant):
            raise unknown(id_)
        caller.current().tenant(job.tenant)  # for the audit log
        return job

    async def _named(self, ids: list[str]) -> AsyncIterator[Job]:
        """Each of ``ids``, and again whenever it has changed, until all have ended."""
        told: dict[str, Job] = {}
        for id_ in ids:
            told[id_] = await self._own(id_)
            yield told[id_]
        while open_ := [id_ for id_, job in told.items() if not job.state.ended]:
            await self._pause(_POLL_S)
            for job in await self._off(self._queue.ledger.jobs, ids=open_, limit=_MOST):
                if _differ(told.get(job.id), job):
                    told[job.id] = job
                    yield job

    async def _all(self, tenant: str | None) -> AsyncIterator[Job]:
        """Open jobs, and then whatever changes, for ever."""
        open_ = (State.WAITING, State.RUNNING)
        found = await self._off(self._queue.ledger.jobs, states=open_, tenant=tenant, limit=_MOST_CHANGES)
        told: dict[str, Job] = {}
        seen_s = max((job.changed_s for job in found), default=0.0)
        while True:
            for job in reversed(found):
                if _differ(told.get(job.id), job):
                    yield job
            told = {job.id: job for job in found}
            seen_s = max([seen_s, *(job.changed_s for job in found)])
            await self._pause(_POLL_S)
            since_s = max(seen_s - _OVERLAP_S, 0.001)
            found = await self._off(
                self._queue.ledger.jobs, tenant=tenant, changed_since_s=since_s, limit=_MOST_CHANGES
            )

    @asynccontextmanager
    async def _call(self, rpc: str, context: Context) -> AsyncIterator[None]:
        """What surrounds a call: its error as a status, and the count of those in flight."""
        self._calls += 1
        self._idle.clear()
        error: CloisterError | None = None
        try:
            if self._draining.is_set():
                raise shutting_down()
            yield
        except CloisterError as raised:
            error = raised
        except (SQLAlchemyError, DatabaseError, OSError) as raised:
            self._log.error("queue unreachable", rpc=rpc, **describe(raised))
            why = "the server's queue can't be reached; try again"
            error = OverloadedError(Reason.QUEUE_UNREACHABLE, why, retry_after_s=_RETRY_S)
        except grpc.aio.InternalError:
            raise  # its caller is gone
        except Exception as raised:
            self._log.error("mistake", rpc=rpc, **describe(raised))
            error = InternalError(Reason.INTERNAL, "the server made a mistake; see its log")
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()
        if error is not None:
            await context.abort(error.code, error.message, trailers(error))

    @asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        if self._watchers >= _WATCHERS:
            raise OverloadedError(Reason.QUEUE_FULL, f"{_WATCHERS} callers watch already", retry_after_s=_RETRY_S)
        self._watchers += 1
        try:
            yield
        finally:
            self._watchers -= 1

    async def _pause(self, seconds: float) -> None:
        """Raises `OverloadedError` (SHUTTING_DOWN) once the server drains."""
        try:
            async with asyncio.timeout(seconds):
                await self._draining.wait()
        except TimeoutError:
            return
        raise shutting_down()

    async def _off(self, work: Callable[_P, _T], *arguments: _P.args, **options: _P.kwargs) -> _T:
        """``work`` off the event loop, which it would block."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(*arguments, **options))


def _differ(before: Job | None, now: Job) -> bool:
    return before is None or (before.state, before.attempts, before.reason) != (now.state, now.attempts, now.reason)
