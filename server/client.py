"""A client for Python programs, in two shapes with the same methods: `Client` blocks, `AsyncClient` awaits.

    with Client("localhost:50051") as client:
        response = client.recognize(Path("scan.png").read_bytes())
        with client.stream(document) as pages:
            for page in pages: ...
        pages.summary.provenance.engine

Errors are those of `server.errors`. A server that can't be reached, is starting or going away is asked again by gRPC
itself, and one whose queue is full by us, where the document is at hand for it (`recognize`): four times at most, when
the server says, within the call's deadline.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
from itertools import count
from types import TracebackType
from typing import Self

import grpc

from cloister.v1 import ocr_pb2, ocr_pb2_grpc
from server.admission import Deadline
from server.errors import CloisterError, Reason, received
from server.renderings import PAGE_BREAK

DEADLINE_S = 60.0
"""Seconds a call may take where nothing else is said."""

_CHUNK_BYTES = 256 * 1024
_ATTEMPTS = 5
# Callers that were turned away together must not come back together.
_JITTER = 0.5
_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{"service": "cloister.v1.OcrService"}],
            "retryPolicy": {
                "maxAttempts": _ATTEMPTS,
                "initialBackoff": "0.2s",
                "maxBackoff": "5s",
                "backoffMultiplier": 2,
                # The server says by push-back which are worth a retry, and when. Not RESOURCE_EXHAUSTED: gRPC's own
                # refusal of a message that is too large has that code too, and would be sent five times.
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
_OPTIONS = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A request larger than this buffer would never be retried; a document may be as large as the server's limit.
    ("grpc.per_rpc_retry_buffer_size", 64 * 1024 * 1024),
)


class Client:
    """Calls the server at ``address``, a gRPC target such as ``localhost:50051`` or ``unix:/run/cloister.sock``.

    ``deadline_s`` holds for calls that name none. ``credentials`` are for a server behind a proxy with TLS.
    """

    def __init__(
        self, address: str, *, deadline_s: float = DEADLINE_S, credentials: grpc.ChannelCredentials | None = None
    ) -> None:
        self._deadline_s = deadline_s
        self._channel = (
            grpc.insecure_channel(address, _OPTIONS)
            if credentials is None
            else grpc.secure_channel(address, credentials, _OPTIONS)
        )
        self._stub = ocr_pb2_grpc.OcrServiceStub(self._channel)

    def recognize(
        self,
        document: bytes,
        *,
        engine: str = "",
        outputs: Sequence[ocr_pb2.Output.ValueType] = (),
        pdf: ocr_pb2.PdfOptions | None = None,
        context: ocr_pb2.RequestContext | None = None,
        deadline_s: float | None = None,
    ) -> ocr_pb2.RecognizeResponse:
        """Have ``document`` read and return all of its pages. Raises `CloisterError`."""
        request = ocr_pb2.RecognizeRequest(document=document, options=_options(engine, outputs, pdf, context))
        deadline = Deadline.after(deadline_s or self._deadline_s)
        for attempt in count(1):
            try:
                return self._stub.Recognize(request, timeout=deadline.remaining_s)
            except grpc.RpcError as error:
                refusal = _cloister_error(error)
                pause_s = _pause_s(refusal, attempt, deadline)
                if pause_s is None:
                    raise refusal from error
            time.sleep(pause_s)
        raise AssertionError("the last attempt returns or raises")

    def stream(
        self,
        document: bytes | Iterable[bytes],
        *,
        engine: str = "",
        outputs: Sequence[ocr_pb2.Output.ValueType] = (),
        pdf: ocr_pb2.PdfOptions | None = None,
        context: ocr_pb2.RequestContext | None = None,
        deadline_s: float | None = None,
    ) -> PageStream:
        """Start reading ``document``, which may be given in parts, and return its pages as they come."""
        requests = _requests(_options(engine, outputs, pdf, context), document)
        return PageStream(self._stub.RecognizeStream(requests, timeout=deadline_s or self._deadline_s))

    def engines(self, *, deadline_s: float | None = None) -> tuple[ocr_pb2.EngineInfo, ...]:
        """The engines of the server. Raises `CloisterError`."""
        try:
            response = self._stub.ListEngines(ocr_pb2.ListEnginesRequest(), timeout=deadline_s or self._deadline_s)
        except grpc.RpcError as error:
            raise _cloister_error(error) from error
        return tuple(response.engines)

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, type_: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient:
    """`Client` for asyncio."""

    def __init__(
        self, address: str, *, deadline_s: float = DEADLINE_S, credentials: grpc.ChannelCredentials | None = None
    ) -> None:
        self._deadline_s = deadline_s
        self._channel = (
            grpc.aio.insecure_channel(address, _OPTIONS)
            if credentials is None
            else grpc.aio.secure_channel(address, credentials, _OPTIONS)
        )
        self._stub = ocr_pb2_grpc.OcrServiceStub(self._channel)

    async def recognize(
        self,
        document: bytes,
        *,
        engine: str = "",
        outputs: Sequence[ocr_pb2.Output.ValueType] = (),
        pdf: ocr_pb2.PdfOptions | None = None,
        context: ocr_pb2.RequestContext | None = None,
        deadline_s: float | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> ocr_pb2.RecognizeResponse:
        """Have ``document`` read and return all of its pages. Raises `CloisterError`.

        ``progress`` is called with how many pages are read, at first none, and how many there are.
        """
        request = ocr_pb2.RecognizeRequest(document=document, options=_options(engine, outputs, pdf, context))
        deadline = Deadline.after(deadline_s or self._deadline_s)
        for attempt in count(1):
            try:
                if progress is not None:
                    return await self._followed(request, deadline, progress)
                return await self._stub.Recognize(request, timeout=deadline.remaining_s)
            except grpc.aio.AioRpcError as error:
                refusal = _cloister_error(error)
                pause_s = _pause_s(refusal, attempt, deadline)
                if pause_s is None:
                    raise refusal from error
            await asyncio.sleep(pause_s)
        raise AssertionError("the last attempt returns or raises")

    async def _followed(
        self, request: ocr_pb2.RecognizeRequest, deadline: Deadline, progress: Callable[[int, int], None]
    ) -> ocr_pb2.RecognizeResponse:
        """What `Recognize` would answer, by way of a stream."""
        requests = _async_requests(request.options, request.document)
        response = ocr_pb2.RecognizeResponse()
        pages = 0
        async for part in self._stub.RecognizeStream(requests, timeout=deadline.remaining_s):
            match part.WhichOneof("part"):
                case "outline":
                    pages = part.outline.pages
                    progress(0, pages)
                case "page":
                    response.pages.append(part.page)
                    progress(len(response.pages), pages)
                case "file_part":
                    if not response.files or response.files[-1].output != part.file_part.output:
                        response.files.add(output=part.file_part.output)
                    response.files[-1].content += part.file_part.content
                case "summary":
                    response.provenance.CopyFrom(part.summary.provenance)
                    response.timings.CopyFrom(part.summary.timings)
        if not request.options.outputs or ocr_pb2.OUTPUT_TEXT in request.options.outputs:
            response.text = PAGE_BREAK.join(page.text for page in response.pages)
        return response

    def stream(
        self,
        document: bytes | AsyncIterable[bytes],
        *,
        engine: str = "",
        outputs: Sequence[ocr_pb2.Output.ValueType] = (),
        pdf: ocr_pb2.PdfOptions | None = None,
        context: ocr_pb2.RequestContext | None = None,
        deadline_s: float | None = None,
    ) -> AsyncPageStream:
        """Start reading ``document``, which may be given in parts, and return its pages as they come."""
        requests = _async_requests(_options(engine, outputs, pdf, context), document)
        return AsyncPageStream(self._stub.RecognizeStream(requests, timeout=deadline_s or self._deadline_s))

    async def engines(self, *, deadline_s: float | None = None) -> tuple[ocr_pb2.EngineInfo, ...]:
        """The engines of the server. Raises `CloisterError`."""
        try:
            response = await self._stub.ListEngines(
                ocr_pb2.ListEnginesRequest(), timeout=deadline_s or self._deadline_s
            )
        except grpc.aio.AioRpcError as error:
            raise _cloister_error(error) from error
        return tuple(response.engines)

    async def close(self) -> None:
        await self._channel.close(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, type_: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


class PageStream:
    """The pages of one document, each as soon as it is read. Leaving its block ends the call and the cell's work.

    Iterating raises `CloisterError`. ``count``, how many pages there are, is known from the first page on; ``files``
    and ``summary`` are there once the loop has ended.
    """

    def __init__(self, call: grpc.CallIterator[ocr_pb2.RecognizeStreamResponse]) -> None:
        self._call = call
        self.count = 0
        self.files: dict[ocr_pb2.Output.ValueType, bytes] = {}
        self.summary: ocr_pb2.Summary | None = None

    def __iter__(self) -> Iterator[ocr_pb2.Page]:
        try:
            for response in self._call:
                match response.WhichOneof("part"):
                    case "outline":
                        self.count = response.outline.pages
                    case "page":
                        yield response.page
                    case "file_part":
                        _collect(self.files, response.file_part)
                    case "summary":
                        self.summary = response.summary
        except grpc.RpcError as error:
            raise _cloister_error(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, type_: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._call.cancel()  # type: ignore[no-untyped-call]


class AsyncPageStream:
    """`PageStream` for asyncio."""

    def __init__(
        self,
        call: grpc.aio.StreamStreamCall[ocr_pb2.RecognizeStreamRequest, ocr_pb2.RecognizeStreamResponse],
    ) -> None:
        self._call = call
        self.count = 0
        self.files: dict[ocr_pb2.Output.ValueType, bytes] = {}
        self.summary: ocr_pb2.Summary | None = None

    async def __aiter__(self) -> AsyncIterator[ocr_pb2.Page]:
        try:
            async for response in self._call:
                match response.WhichOneof("part"):
                    case "outline":
                        self.count = response.outline.pages
                    case "page":
                        yield response.page
                    case "file_part":
                        _collect(self.files, response.file_part)
                    case "summary":
                        self.summary = response.summary
        except grpc.aio.AioRpcError as error:
            raise _cloister_error(error) from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, type_: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._call.cancel()


def _options(
    engine: str,
    outputs: Sequence[ocr_pb2.Output.ValueType],
    pdf: ocr_pb2.PdfOptions | None,
    context: ocr_pb2.RequestContext | None,
) -> ocr_pb2.RecognizeOptions:
    return ocr_pb2.RecognizeOptions(engine=engine, outputs=outputs, pdf=pdf, context=context)


def _collect(files: dict[ocr_pb2.Output.ValueType, bytes], part: ocr_pb2.File) -> None:
    files[part.output] = files.get(part.output, b"") + part.content


def _chunks(document: bytes) -> Iterator[bytes]:
    for start in range(0, len(document), _CHUNK_BYTES):
        yield document[start : start + _CHUNK_BYTES]


def _requests(
    options: ocr_pb2.RecognizeOptions, document: bytes | Iterable[bytes]
) -> Iterator[ocr_pb2.RecognizeStreamRequest]:
    yield ocr_pb2.RecognizeStreamRequest(options=options)
    for chunk in _chunks(document) if isinstance(document, bytes) else document:
        yield ocr_pb2.RecognizeStreamRequest(chunk=chunk)


async def _async_requests(
    options: ocr_pb2.RecognizeOptions, document: bytes | AsyncIterable[bytes]
) -> AsyncIterator[ocr_pb2.RecognizeStreamRequest]:
    yield ocr_pb2.RecognizeStreamRequest(options=options)
    if isinstance(document, bytes):
        for chunk in _chunks(document):
            yield ocr_pb2.RecognizeStreamRequest(chunk=chunk)
    else:
        async for chunk in document:
            yield ocr_pb2.RecognizeStreamRequest(chunk=chunk)


def _pause_s(refusal: CloisterError, attempt: int, deadline: Deadline) -> float | None:
    """Seconds to wait before another attempt; None where none is left, or it would not help or come too late."""
    if refusal.reason != Reason.QUEUE_FULL or refusal.retry_after_s is None or attempt == _ATTEMPTS:
        return None
    pause_s = refusal.retry_after_s * random.uniform(1, 1 + _JITTER)
    return pause_s if pause_s < deadline.remaining_s else None


def _cloister_error(error: grpc.RpcError) -> CloisterError:
    """Both kinds of call raise errors that carry code, details and trailing metadata."""
    return received(error.code(), error.details() or "", error.trailing_metadata() or ())
