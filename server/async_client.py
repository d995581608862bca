"""`server.client` for asyncio: the same calls, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from itertools import count
from types import TracebackType
from typing import Self

import grpc

from cloister.v1 import ocr_pb2, ocr_pb2_grpc
from server.access import Access
from server.admission import Deadline
from server.calls import DEADLINE_S, channel_options, chunks, cloister_error, collect, options_of, pause_s, target_of
from server.propagation import ClientCall
from server.renderings import PAGE_BREAK


class AsyncClient:
    """`server.client.Client` for asyncio."""

    def __init__(
        self, address: str | Sequence[str], *, deadline_s: float = DEADLINE_S, access: Access | None = None
    ) -> None:
        self._deadline_s = deadline_s
        self._access = access = Access.from_environment() if access is None else access
        target = target_of(address)
        credentials, options = access.credentials(target), (*channel_options(target), *access.options)
        self._channel = (
            grpc.aio.insecure_channel(target, options)
            if credentials is None
            else grpc.aio.secure_channel(target, credentials, options)
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
        request = ocr_pb2.RecognizeRequest(document=document, options=options_of(engine, outputs, pdf, context))
        deadline = Deadline.after(deadline_s or self._deadline_s)
        for attempt in count(1):
            try:
                if progress is not None:
                    return await self._followed(request, deadline, progress)
                with ClientCall("Recognize", self._access.metadata()) as call:
                    return await self._stub.Recognize(request, timeout=deadline.remaining_s, metadata=call.metadata)
            except grpc.aio.AioRpcError as error:
                refusal = cloister_error(error)
                wait_s = pause_s(refusal, attempt, deadline)
                if wait_s is None:
                    raise refusal from error
            await asyncio.sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")

    async def _followed(
        self, request: ocr_pb2.RecognizeRequest, deadline: Deadline, progress: Callable[[int, int], None]
    ) -> ocr_pb2.RecognizeResponse:
        """What `Recognize` would answer, by way of a stream; by itself where the server goes away in the middle.

        What has begun to be answered gRPC does not send to another server; a plain call it does.
        """
        response = ocr_pb2.RecognizeResponse()
        try:
            await self._follow(request, deadline, progress, response)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE or not response.pages:
                raise
            with ClientCall("Recognize", self._access.metadata()) as call:
                response = await self._stub.Recognize(request, timeout=deadline.remaining_s, metadata=call.metadata)
            progress(len(response.pages), len(response.pages))
        return response

    async def _follow(
        self,
        request: ocr_pb2.RecognizeRequest,
        deadline: Deadline,
        progress: Callable[[int, int], None],
        response: ocr_pb2.RecognizeResponse,
    ) -> None:
        """Fill ``response`` from a stream."""
        requests = _requests(request.options, request.document)
        files: dict[ocr_pb2.Output.ValueType, bytes] = {}
        pages = 0
        with ClientCall("RecognizeStream", self._access.metadata()) as call:
            async for part in self._stub.RecognizeStream(
                requests, timeout=deadline.remaining_s, metadata=call.metadata
            ):
                match part.WhichOneof("part"):
                    case "outline":
                        pages = part.outline.pages
                        progress(0, pages)
                    case "page":
                        response.pages.append(part.page)
                        progress(len(response.pages), pages)
                    case "file_part":
                        collect(files, part.file_part)
                    case "summary":
                        response.provenance.CopyFrom(part.summary.provenance)
                        response.timings.CopyFrom(part.summary.timings)
        response.files.extend(ocr_pb2.File(output=output, content=content) for output, content in files.items())
        if not request.options.outputs or ocr_pb2.OUTPUT_TEXT in request.options.outputs:
            response.text = PAGE_BREAK.join(page.text for page in response.pages)

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
        requests = _requests(options_of(engine, outputs, pdf, context), document)
        call = ClientCall("RecognizeStream", self._access.metadata())
        timeout_s = deadline_s or self._deadline_s
        return AsyncPageStream(self._stub.RecognizeStream(requests, timeout=timeout_s, metadata=call.metadata), call)

    async def engines(self, *, deadline_s: float | None = None) -> tuple[ocr_pb2.EngineInfo, ...]:
        """The engines of the server. Raises `CloisterError`."""
        try:
            response = await self._stub.ListEngines(
                ocr_pb2.ListEnginesRequest(),
                timeout=deadline_s or self._deadline_s,
                metadata=self._access.metadata(),
            )
        except grpc.aio.AioRpcError as error:
            raise cloister_error(error) from error
        return tuple(response.engines)

    async def close(self) -> None:
        await self._channel.close(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, type_: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


class AsyncPageStream:
    """`server.client.PageStream` for asyncio."""

    def __init__(
        self,
        call: grpc.aio.StreamStreamCall[ocr_pb2.RecognizeStreamRequest, ocr_pb2.RecognizeStreamResponse],
        traced: ClientCall,
    ) -> None:
        self._call = call
        self._traced = traced
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
                        collect(self.files, response.file_part)
                    case "summary":
                        self.summary = response.summary
        except grpc.aio.AioRpcError as error:
            self._traced.end(error)
            raise cloister_error(error) from error
        self._traced.end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, type_: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._call.cancel()
        self._traced.end(error)


async def _requests(
    options: ocr_pb2.RecognizeOptions, document: bytes | AsyncIterable[bytes]
) -> AsyncIterator[ocr_pb2.RecognizeStreamRequest]:
    yield ocr_pb2.RecognizeStreamRequest(options=options)
    if isinstance(document, bytes):
        for chunk in chunks(document):
            yield ocr_pb2.RecognizeStreamRequest(chunk=chunk)
    else:
        async for chunk in document:
            yield ocr_pb2.RecognizeStreamRequest(chunk=chunk)
