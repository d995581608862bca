"""A client for jobs.

    with JobClient("localhost:50051") as jobs:
        job = jobs.submit(Path("scan.pdf").read_bytes(), display_name="scan.pdf")
        for job in jobs.watch(job.name): ...
        response = jobs.result(job.name, wait_s=60)

Errors are those of `server.errors`. A server that can't be reached, is starting or going away is asked again by gRPC
itself, but for `JobClient.watch`; what is handed in twice by that is one job.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self, TypeVar

import grpc

from cloister.v1 import jobs_pb2, jobs_pb2_grpc, ocr_pb2
from server.access import Access
from server.calls import (
    DEADLINE_S,
    channel_options,
    channel_to,
    cloister_error,
    options_of,
    target_of,
    without_retries,
)
from server.errors import CloisterError, DeadlineError, Reason, made, unpacked

_MARGIN_S = 10.0
_Q = TypeVar("_Q")
_A = TypeVar("_A")


class JobClient:
    """Calls the server at ``address``, as `server.client.Client` does."""

    def __init__(
        self, address: str | Sequence[str], *, deadline_s: float = DEADLINE_S, access: Access | None = None
    ) -> None:
        self._deadline_s = deadline_s
        self._access = access = Access.from_environment() if access is None else access
        target = target_of(address)
        credentials, options = access.credentials(target), (*channel_options(target), *access.options)
        self._channel = channel_to(target, credentials, options)
        self._stub = jobs_pb2_grpc.JobServiceStub(self._channel)
        # It connects with its first call, as the other does.
        self._streaming = channel_to(target, credentials, without_retries(options))
        self._streams = jobs_pb2_grpc.JobServiceStub(self._streaming)

    def submit(
        self,
        document: bytes,
        *,
        engine: str = "",
        outputs: Sequence[ocr_pb2.Output.ValueType] = (),
        pdf: ocr_pb2.PdfOptions | None = None,
        context: ocr_pb2.RequestContext | None = None,
        display_name: str = "",
        request_id: str = "",
    ) -> jobs_pb2.Job:
        """Hand in ``document``; once this returns, it is not lost. Raises `CloisterError`."""
        request = jobs_pb2.SubmitDocumentRequest(
            document=document,
            options=options_of(engine, outputs, pdf, context),
            display_name=display_name,
            request_id=request_id or str(uuid.uuid4()),
        )
        return self._called(self._stub.SubmitDocument, request)

    def job(self, name: str, *, wait_s: float = 0.0) -> jobs_pb2.Job:
        """The job as it is, or as it is once it is done, if that takes ``wait_s`` seconds at most."""
        request = jobs_pb2.GetJobRequest(name=name)
        request.wait.FromMilliseconds(round(wait_s * 1000))
        return self._called(self._stub.GetJob, request, wait_s + _MARGIN_S)

    def result(self, name: str, *, wait_s: float = 0.0) -> ocr_pb2.RecognizeResponse:
        """What was read. Raises what the job ended with, and `DeadlineError` where it has not ended."""
        job = self.job(name, wait_s=wait_s)
        if not job.done:
            raise DeadlineError(Reason.DEADLINE_EXCEEDED, f"{name} is not done after {wait_s:g} s; come back later")
        if job.HasField("error"):
            raise failure(job)
        return job.response

    def watch(self, *names: str, tenant: str = "", deadline_s: float | None = None) -> Iterator[jobs_pb2.Job]:
        """Jobs as they change, until those named are done; all of them, for ever, where none are named.

        Ends with its server: whoever calls again is told first how each job is. After ``deadline_s``, `DeadlineError`.
        """
        request = jobs_pb2.WatchJobsRequest(names=names, tenant=tenant)
        call = self._streams.WatchJobs(request, timeout=deadline_s, metadata=self._access.metadata())
        try:
            yield from call
        except grpc.RpcError as error:
            raise cloister_error(error) from error
        finally:
            call.cancel()  # type: ignore[no-untyped-call]

    def jobs(self, *, tenant: str = "", states: Sequence[jobs_pb2.JobState.ValueType] = ()) -> Iterator[jobs_pb2.Job]:
        """All jobs, the newest first, without their responses."""
        token = ""
        while True:
            request = jobs_pb2.ListJobsRequest(page_size=1000, page_token=token, tenant=tenant, states=states)
            page = self._called(self._stub.ListJobs, request)
            yield from page.jobs
            token = page.next_page_token
            if not token:
                return

    def cancel(self, name: str) -> jobs_pb2.Job:
        return self._called(self._stub.CancelJob, jobs_pb2.CancelJobRequest(name=name))

    def close(self) -> None:
        self._channel.close()
        self._streaming.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, type_: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _called(self, call: grpc.UnaryUnaryMultiCallable[_Q, _A], request: _Q, deadline_s: float = 0.0) -> _A:
        try:
            return call(request, timeout=deadline_s or self._deadline_s, metadata=self._access.metadata())
        except grpc.RpcError as error:
            raise cloister_error(error) from error


def failure(job: jobs_pb2.Job) -> CloisterError:
    """What a job ended with that has an error."""
    code = next((code for code in grpc.StatusCode if code.value[0] == job.error.code), grpc.StatusCode.UNKNOWN)
    return unpacked(code, job.error) or made("", job.error.message)
