"""The RPCs of `cloister.v1.OcrService`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, aclosing
from dataclasses import dataclass
from time import perf_counter

from structlog.typing import FilteringBoundLogger

from cloister.cell.v1 import cell_pb2
from cloister.v1 import ocr_pb2, ocr_pb2_grpc
from server import files, reading, uploads
from server.admission import Place
from server.door import caller
from server.errors import DocumentError, OptionsError, Reason
from server.experiments import Experiments
from server.fairness import Priority
from server.hosts import EngineHost
from server.inflight import Call, Calls, Context
from server.lineup import Lineup
from server.metrics import Metrics
from server.renderings import PAGE_BREAK
from server.settings import Settings
from server.shadow import Control, Shadow
from server.sharing import Reading
from server.tracing import Tracer

NAME = ocr_pb2.DESCRIPTOR.services_by_name["OcrService"].full_name

_DEFAULT_OUTPUTS = (ocr_pb2.OUTPUT_WORDS, ocr_pb2.OUTPUT_TEXT)
_KNOWN_OUTPUTS = (*_DEFAULT_OUTPUTS, ocr_pb2.OUTPUT_TRACE, *files.OUTPUTS)
_KNOWN_EXISTING_TEXT = frozenset(ocr_pb2.ExistingText.values())
_PRIORITIES: Mapping[ocr_pb2.Priority.ValueType, Priority] = {
    ocr_pb2.PRIORITY_UNSPECIFIED: Priority.INTERACTIVE,
    ocr_pb2.PRIORITY_INTERACTIVE: Priority.INTERACTIVE,
    ocr_pb2.PRIORITY_BATCH: Priority.BATCH,
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """What an answered request had asked for."""

    context: ocr_pb2.RequestContext
    task: cell_pb2.Task
    document: bytes


class OcrService(ocr_pb2_grpc.OcrServiceServicer):
    """Answers the RPCs. `serve` hands over the engines once they are ready; until then calls are told to come back."""

    def __init__(
        self,
        settings: Settings,
        log: FilteringBoundLogger,
        metrics: Metrics | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._settings = settings
        self._calls = Calls(log, metrics or Metrics(), tracer or Tracer())
        self._lineup = Lineup()
        self._experiments: Experiments | None = None
        self._shadow: Shadow | None = None

    def serve(self, lineup: Lineup, experiments: Experiments | None = None, shadow: Shadow | None = None) -> None:
        """Answer from now on with ``lineup``; ``experiments`` choose from it, ``shadow`` reads after it."""
        self._lineup = lineup
        self._experiments = experiments
        self._shadow = shadow
        self._calls.serve()

    def apply(self, settings: Settings) -> None:
        """Go by these from the next call on."""
        self._settings = settings

    async def drain(self, limit_s: float, force: asyncio.Event) -> None:
        """Refuse new calls and wait for those in flight; end what is left after ``limit_s`` or at ``force``."""
        await self._calls.drain(limit_s, force)

    async def Recognize(  # noqa: N802  (the names are the API's)
        self, request: ocr_pb2.RecognizeRequest, context: Context
    ) -> ocr_pb2.RecognizeResponse:
        async with self._call("Recognize", context) as call:
            host, task = self._chosen(request.options, call)
            self._check_size(call, len(request.document))
            outputs = request.options.outputs or _DEFAULT_OUTPUTS
            response = ocr_pb2.RecognizeResponse()
            read: list[ocr_pb2.Page] = []
            with self._place(host, request.options, call) as place:
                _check_not_empty(request.document)
                document = self._reading(host, request.document, task, call, place)
                async with aclosing(document.parts()) as parts:
                    async for part in parts:
                        if isinstance(part, ocr_pb2.Page):
                            read.append(part)
            response.pages.extend(files.shown(page, outputs) for page in read)
            if ocr_pb2.OUTPUT_TEXT in outputs:
                response.text = PAGE_BREAK.join(page.text for page in read)
            response.provenance.CopyFrom(_provenance(host, call))
            response.files.extend(await files.made(outputs, read, bytes(document.pdf), response.provenance))
            call.stop_clock()
            response.timings.CopyFrom(reading.timings(call.record))
            self._cast_shadow(context, call, _Asked(request.options.context, task, request.document), read)
        return response

    async def RecognizeStream(  # type: ignore[override]  # noqa: N802
        self, request_iterator: AsyncIterator[ocr_pb2.RecognizeStreamRequest], context: Context
    ) -> None:
        requests = aiter(request_iterator)
        async with self._call("RecognizeStream", context) as call, uploads.lingering(requests, context):
            options = await uploads.options(requests)
            host, task = self._chosen(options, call)
            outputs = options.outputs or _DEFAULT_OUTPUTS
            keeps = self._is_shadowed(call, task) or not set(outputs).isdisjoint(files.OUTPUTS)
            read: list[ocr_pb2.Page] = []
            # The place is taken before the bytes are: what is being received is bounded with what waits.
            with self._place(host, options, call) as place:
                received = await self._received(requests, call)
                document = self._reading(host, received, task, call, place)
                async with aclosing(document.parts()) as parts:
                    async for part in parts:
                        if isinstance(part, ocr_pb2.Outline):
                            await context.write(ocr_pb2.RecognizeStreamResponse(outline=part))
                            continue
                        if keeps:
                            read.append(part)
                        await context.write(ocr_pb2.RecognizeStreamResponse(page=files.shown(part, outputs)))
            provenance = _provenance(host, call)
            for file in files.parts(await files.made(outputs, read, bytes(document.pdf), provenance)):
                await context.write(ocr_pb2.RecognizeStreamResponse(file_part=file))
            call.stop_clock()
            summary = ocr_pb2.Summary(
                pages=call.record.pages, provenance=provenance, timings=reading.timings(call.record)
            )
            await context.write(ocr_pb2.RecognizeStreamResponse(summary=summary))
            self._cast_shadow(context, call, _Asked(options.context, task, received), read)

    async def ListEngines(  # noqa: N802
        self, request: ocr_pb2.ListEnginesRequest, context: Context
    ) -> ocr_pb2.ListEnginesResponse:
        return ocr_pb2.ListEnginesResponse(
            engines=[
                ocr_pb2.EngineInfo(
                    name=host.name,
                    version=host.entry.version,
                    model_version=host.entry.model_version,
                    is_default=host.name == self._settings.default,
                    idle_cells=host.pool.idle_cells,
                    busy_cells=host.pool.busy_cells,
                    languages=host.entry.languages,
                )
                for host in self._lineup
            ]
        )

    def _call(self, rpc: str, context: Context) -> AbstractAsyncContextManager[Call]:
        return self._calls.surround(rpc, context, self._settings.limits)

    async def _received(self, requests: AsyncIterator[ocr_pb2.RecognizeStreamRequest], call: Call) -> bytes:
        document = bytearray()
        async for request in requests:
            if request.WhichOneof("part") != "chunk":
                raise OptionsError(Reason.INVALID_OPTIONS, "only chunks of the document may follow the options")
            self._check_size(call, len(document) + len(request.chunk))
            document += request.chunk
        _check_not_empty(document)
        return bytes(document)

    def _check_size(self, call: Call, size: int) -> None:
        call.record.document_bytes = size
        limit = self._settings.limits.document_bytes
        if size > limit:
            raise DocumentError(
                Reason.DOCUMENT_TOO_LARGE,
                f"the document is larger than the {limit} bytes that are taken; send it smaller or in parts",
                {"limit": str(limit)},
            )

    @staticmethod
    def _place(host: EngineHost, options: ocr_pb2.RecognizeOptions, call: Call) -> AbstractContextManager[Place]:
        """Of the request that asks with ``options``, once they have been checked."""
        return host.admission.place(call.deadline, options.context.tenant, _PRIORITIES[options.context.priority])

    def _reading(self, host: EngineHost, document: bytes, task: cell_pb2.Task, call: Call, place: Place) -> Reading:
        """``document`` on its way through the cells that are free: at least one, for which it may have to wait.

        One alone where others wait for cells. Whether a shadow follows makes no difference to the caller.
        """
        cells = self._settings.cells
        most = max(1, min(cells.per_document, host.admission.free))
        return Reading(host, document, task, call.deadline, call.record, most, place)

    def _is_shadowed(self, call: Call, task: cell_pb2.Task) -> bool:
        """Whether a candidate is to read the document too. Only words can be compared."""
        assignment = call.record.assignment
        wanted = assignment is not None and bool(assignment.candidate) and ocr_pb2.OUTPUT_WORDS in task.outputs
        return wanted and self._shadow is not None

    def _cast_shadow(self, context: Context, call: Call, asked: _Asked, pages: Sequence[ocr_pb2.Page]) -> None:
        """Have a candidate read the document too, once the answer has left."""
        shadow, assignment = self._shadow, call.record.assignment
        if shadow is None or assignment is None or not self._is_shadowed(call, asked.task):
            return
        control = Control(
            request_id=call.record.request_id,
            assignment=assignment,
            version=call.host.entry.version if call.host is not None else "",
            context=asked.context,
            document=asked.document,
            task=asked.task,
            pages=pages,
            seconds=perf_counter() - call.started_s,
            ended=call.record.ended,
        )

        # Its stub is a class where any callable will do.
        context.add_done_callback(lambda _: shadow.offer(control))  # type: ignore[arg-type]

    def _chosen(self, options: ocr_pb2.RecognizeOptions, call: Call) -> tuple[EngineHost, cell_pb2.Task]:
        """The engine that ``options`` ask for or flags choose, and what its cell is told.

        From here on their context names the tenant that the caller's credential is for.
        """
        self._calls.check_serving()
        options.context.tenant = caller.current().tenant(options.context.tenant)
        if options.context.priority not in _PRIORITIES:
            raise OptionsError(Reason.INVALID_OPTIONS, "context.priority has a value that is not known here")
        host = self._lineup.named(options.engine or self._settings.default)
        if self._experiments is not None and host is not None:
            call.record.assignment = self._experiments.assign(options.engine, options.context, call.record.request_id)
            if not options.engine:
                host = self._lineup.chosen(call.record.assignment.engine)
        if host is None:
            known = ", ".join(self._lineup.names)
            raise OptionsError(
                Reason.UNKNOWN_ENGINE, f"there is no engine of that name here; there are: {known}", {"engines": known}
            )
        call.use(host, self._lineup)
        for output in options.outputs:
            if output not in _KNOWN_OUTPUTS:
                raise OptionsError(Reason.INVALID_OPTIONS, f"there is no output {output}", {"output": str(output)})
        if options.pdf.existing_text not in _KNOWN_EXISTING_TEXT:
            raise OptionsError(Reason.INVALID_OPTIONS, "pdf.existing_text has a value that is not known here")
        outputs = files.asked_of_cell(options.outputs or _DEFAULT_OUTPUTS)
        limits = self._settings.limits
        return host, cell_pb2.Task(outputs=outputs, max_pixels=limits.pixels, max_pages=limits.pages, pdf=options.pdf)


def _check_not_empty(document: bytes | bytearray) -> None:
    if not document:
        raise DocumentError(Reason.EMPTY_DOCUMENT, "the document has no bytes; send a whole file")


def _provenance(host: EngineHost, call: Call) -> ocr_pb2.Provenance:
    return ocr_pb2.Provenance(
        engine=host.entry.name,
        engine_version=host.entry.version,
        model_version=host.entry.model_version,
        jail_layers=sorted(host.pool.layers_in_force),
        jail_layers_off=sorted(host.pool.layers_off),
        request_id=call.record.request_id,
        assignment=call.record.assignment.message() if call.record.assignment is not None else None,
    )
