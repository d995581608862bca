"""A client for Python programs; `server.async_client` has one with the same methods for asyncio.

    with Client("localhost:50051") as client:
        response = client.recognize(Path("scan.png").read_bytes())
        with client.stream(document) as pages:
            for page in pages: ...
        pages.summary.provenance.engine

    Client(["10.0.0.1:50051", "10.0.0.2:50051"])    # calls are spread over both, and go to the other where one is lost
    Client("dns:///ocr.example:50051")              # the same with all addresses of a name

Errors are those of `server.errors`. A server that can't be reached, is starting or going away is asked again by gRPC
itself, for streams by us; and one whose queue is full by us, where the document is at hand for it (`recognize`): four
times at most, when the server says, within the call's deadline.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from threading import Event, Lock
from types import TracebackType
from typing import Self

import grpc

from cloister.v1 import ocr_pb2, ocr_pb2_grpc
from server.access import Access
from server.admission import Deadline
from server.calls import (
    DEADLINE_S,
    RETRY_BYTES,
    again_s,
    channel_options,
    channel_to,
    chunks,
    cloister_error,
    collect,
    options_of,
    pause_s,
    target_of,
    without_retries,
)
from server.errors import CloisterError
from server.propagation import ClientCall


class Client:
    """Calls the server at ``address``, a gRPC target such as ``localhost:50051`` or ``unix:/run/cloister.sock``.

    ``address`` may be several, IP addresses with ports in a list or with commas between, or ``dns:///name:port``: calls
    then go in turns to those that serve, and a call whose server goes away before its answer goes to another. It is
    read there again, and answered once. A stream that has begun to answer ends with its server.
    ``deadline_s`` holds for calls that name none. ``access`` is what the servers want to see, by default
    as the environment says. Raises `AccessError` where that can't be used. Without ``retries`` a server that is away
    is not asked again.
    """

    def __init__(
        self,
        address: str | Sequence[str],
        *,
        deadline_s: float = DEADLINE_S,
        access: Access | None = None,
        retries: bool = True,
    ) -> None:
        self._deadline_s = deadline_s
        self._access = access = Access.from_environment() if access is None else access
        target = target_of(address)
        credentials = access.credentials(target)
        options = (*channel_options(target), *access.options)
        self._retries = retries
        self._channel = channel_to(target, credentials, options if retries else without_retries(options))
        self._stub = ocr_pb2_grpc.OcrServiceStub(self._channel)
        # It connects with its first call, as the other does.
        self._streaming = channel_to(target, credentials, without_retries(options))
        self._streams = ocr_pb2_grpc.OcrServiceStub(self._streaming)

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
        request = ocr_pb2.RecognizeRequest(document=document, options=options_of(engine, outputs, pdf, context))
        deadline = Deadline.after(deadline_s or self._deadline_s)
        for attempt in count(1):
            try:
                with ClientCall("Recognize", self._access.metadata()) as call:
                    return self._stub.Recognize(request, timeout=deadline.remaining_s, metadata=call.metadata)
            except grpc.RpcError as error:
                refusal = cloister_error(error)
                wait_s = pause_s(refusal, attempt, deadline)
                if wait_s is None:
                    raise refusal from error
            time.sleep(wait_s)
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
        options = options_of(engine, outputs, pdf, context)
        deadline = Deadline.after(deadline_s or self._deadline_s)
        traced = ClientCall("RecognizeStream", self._access.metadata())
        upload = Upload(document, keeps=self._retries)

        def start() -> grpc.CallIterator[ocr_pb2.RecognizeStreamResponse]:
            requests = _requests(options, upload.parts())
            return self._streams.RecognizeStream(requests, timeout=deadline.remaining_s, metadata=traced.metadata)

        return PageStream(start, upload, deadline, traced)

    def engines(self, *, deadline_s: float | None = None) -> tuple[ocr_pb2.EngineInfo, ...]:
        """The engines of the server. Raises `CloisterError`."""
        try:
            response = self._stub.ListEngines(
                ocr_pb2.ListEnginesRequest(),
                timeout=deadline_s or self._deadline_s,
                metadata=self._access.metadata(),
            )
        except grpc.RpcError as error:
            raise cloister_error(error) from error
        return tuple(response.engines)

    def close(self) -> None:
        self._channel.close()
        self._streaming.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, type_: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class PageStream:
    """The pages of one document, each as soon as it is read. Leaving its block ends the call and the cell's work.

    Iterating raises `CloisterError`. ``count``, how many pages there are, is known from the first page on; ``files``
    and ``summary`` are there once the loop has ended.

    ``start`` makes a call; another, where a server went away before it had answered anything and ``upload`` can be sent
    anew.
    """

    def __init__(
        self,
        start: Callable[[], grpc.CallIterator[ocr_pb2.RecognizeStreamResponse]],
        upload: Upload,
        deadline: Deadline,
        traced: ClientCall,
    ) -> None:
        self._start = start
        self._upload = upload
        self._deadline = deadline
        self._traced = traced
        self._lock = Lock()
        self._cancelled = Event()
        self._call = start()
        self.count = 0
        self.files: dict[ocr_pb2.Output.ValueType, bytes] = {}
        self.summary: ocr_pb2.Summary | None = None

    def __iter__(self) -> Iterator[ocr_pb2.Page]:
        try:
            for response in self._responses():
                match response.WhichOneof("part"):
                    case "outline":
                        self.count = response.outline.pages
                    case "page":
                        yield response.page
                    case "file_part":
                        collect(self.files, response.file_part)
                    case "summary":
                        self.summary = response.summary
        except CloisterError as error:
            self._traced.end(error)
            raise
        self._traced.end()

    def _responses(self) -> Iterator[ocr_pb2.RecognizeStreamResponse]:
        """Of the first call that answers. Raises `CloisterError`."""
        for attempt in count(1):
            try:
                for response in self._call:
                    self._upload.forget()
                    yield response
            except grpc.RpcError as error:
                failure = cloister_error(error)
                wait_s = again_s(failure, attempt, self._deadline) if self._upload.is_kept else None
                if wait_s is None or not self._called_again(wait_s):
                    raise failure from error
            else:
                return

    def _called_again(self, wait_s: float) -> bool:
        if self._cancelled.wait(wait_s):
            return False
        with self._lock:
            if not self._cancelled.is_set():
                self._call = self._start()
        return not self._cancelled.is_set()

    def cancel(self) -> None:
        """End the call and the cell's work; iterating then raises. Any thread may."""
        self._cancelled.set()
        with self._lock:
            self._call.cancel()  # type: ignore[no-untyped-call]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, type_: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.cancel()
        self._traced.end(error)


class Upload:
    """A document on its way to a server: in parts, kept while it may have to be sent anew, to `RETRY_BYTES`.

    Without ``keeps`` it is sent once.
    """

    def __init__(self, document: bytes | Iterable[bytes], *, keeps: bool) -> None:
        self._source = iter(chunks(document) if isinstance(document, bytes) else document)
        self._kept: list[bytes] | None = [] if keeps else None
        self._kept_bytes = 0
        self._lock = Lock()

    @property
    def is_kept(self) -> bool:
        """Whether `parts` gives the document from its beginning."""
        return self._kept is not None

    def forget(self) -> None:
        """Keep nothing any more: a server has begun to answer."""
        self._kept = None

    def parts(self) -> Iterator[bytes]:
        """All parts. gRPC asks for them in a thread of its own, and one more time after a call has ended."""
        for place in count():
            part = self._part(place)
            if part is None:
                return
            yield part

    def _part(self, place: int) -> bytes | None:
        with self._lock:
            kept = self._kept
            if kept is not None and place < len(kept):
                return kept[place]
            part = next(self._source, None)
            if kept is not None and part is not None:
                kept.append(part)
                self._kept_bytes += len(part)
                if self._kept_bytes > RETRY_BYTES:
                    self._kept = None
            return part


def _requests(options: ocr_pb2.RecognizeOptions, parts: Iterable[bytes]) -> Iterator[ocr_pb2.RecognizeStreamRequest]:
    yield ocr_pb2.RecognizeStreamRequest(options=options)
    for chunk in parts:
        yield ocr_pb2.RecognizeStreamRequest(chunk=chunk)
