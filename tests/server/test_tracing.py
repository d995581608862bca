"""Traces from the client through the server and its cells, over a real channel, by OpenTelemetry's own SDK."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent import futures
from contextlib import asynccontextmanager, contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from cloister.v1 import ocr_pb2, ocr_pb2_grpc
from server import telemetry
from server.app import running
from server.async_client import AsyncClient
from server.errors import CloisterError
from server.sections import LogFormat
from server.settings import Settings
from server.tracing import Tracer
from tests.server.conftest import Tiny, tiny, tiny_server, tiny_settings
from tests.server.jobs import document

ROOT = Path(__file__).parents[2]
SERVER = "cloister.v1.OcrService/Recognize"
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@asynccontextmanager
async def traced(settings: Settings | None = None) -> AsyncIterator[tuple[Tiny, InMemorySpanExporter]]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    stream = StringIO()
    log = telemetry.logger(LogFormat.JSON, stream)
    async with running(settings or tiny_settings(), [tiny()], log, tracer=Tracer(provider)) as server:
        yield Tiny(server, stream), exporter


@contextmanager
def traced_clients() -> Iterator[InMemorySpanExporter]:
    """What a program does that traces: it sets the global provider. OpenTelemetry itself lets nobody undo it."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    before, trace._TRACER_PROVIDER = trace._TRACER_PROVIDER, provider
    try:
        yield exporter
    finally:
        trace._TRACER_PROVIDER = before


def named(spans: tuple[ReadableSpan, ...], name: str) -> ReadableSpan:
    (found,) = [span for span in spans if span.name == name]
    return found


def parent(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


async def test_a_trace_goes_from_the_client_to_the_stages_of_each_page() -> None:
    with traced_clients() as clients:
        async with traced() as (server, exporter), AsyncClient(server.address) as client:
            await client.recognize(document("some words", "on two pages"))
        (calling,) = clients.get_finished_spans()
    spans = exporter.get_finished_spans()
    assert len({span.context.trace_id for span in (*spans, calling)}) == 1
    call, cell = named(spans, SERVER), named(spans, "cell")
    assert calling.kind is trace.SpanKind.CLIENT
    assert parent(call) == calling.context.span_id
    assert call.kind is trace.SpanKind.SERVER
    assert parent(named(spans, "queue")) == parent(cell) == call.context.span_id
    assert cell.attributes["cloister.cell.status"] == "ok"
    assert cell.attributes["cloister.cell.set_up_s"] > 0
    pages = [span for span in spans if span.name == "page"]
    assert [page.attributes["cloister.page"] for page in pages] == [1, 2]
    assert {parent(page) for page in pages} == {cell.context.span_id}
    for page in pages:
        decode, recognise = (span for span in spans if parent(span) == page.context.span_id)
        assert (decode.name, recognise.name) == ("decode", "recognise") or (recognise.name, decode.name) == (
            "decode",
            "recognise",
        )
    for span in spans:
        above = [other for other in spans if other.context.span_id == parent(span)]
        assert all(other.start_time <= span.start_time <= span.end_time <= other.end_time for other in above)
    assert call.attributes["cloister.words"] == 5
    assert call.attributes["cloister.engine"] == "tiny"


async def test_a_stream_is_traced_until_its_last_page() -> None:
    with traced_clients() as clients:
        async with (
            traced() as (server, exporter),
            AsyncClient(server.address) as client,
            client.stream(document("one", "two")) as pages,
        ):
            async for _ in pages:
                assert not clients.get_finished_spans()
        (calling,) = clients.get_finished_spans()
    call = named(exporter.get_finished_spans(), "cloister.v1.OcrService/RecognizeStream")
    assert parent(call) == calling.context.span_id


async def test_cells_that_share_a_document_have_a_span_each() -> None:
    settings = tiny_settings(cells={"busy": 3, "idle": 3, "per_document": 3})
    async with traced(settings) as (server, exporter), AsyncClient(server.address) as client:
        await client.recognize(document("one", "two", "three"))
    spans = exporter.get_finished_spans()
    cells = [span for span in spans if span.name == "cell"]
    assert {parent(cell) for cell in cells} == {named(spans, SERVER).context.span_id}
    assert len(cells) == 3
    assert sorted(span.attributes["cloister.page"] for span in spans if span.name == "page") == [1, 2, 3]


async def test_a_failure_shows_in_the_spans_and_no_word_of_the_document_does() -> None:
    secret = "Xylophonium"
    async with traced() as (server, exporter), AsyncClient(server.address) as client:
        with pytest.raises(CloisterError):
            await client.recognize(
                document(secret, "!crash"), context=ocr_pb2.RequestContext(tenant=secret, client=secret)
            )
    spans = exporter.get_finished_spans()
    call = named(spans, SERVER)
    assert call.status.status_code is trace.StatusCode.ERROR
    assert call.attributes["error.type"] == "CELL_CRASHED"
    assert named(spans, "cell").attributes["cloister.cell.status"] == "crashed"
    assert secret not in "".join(span.to_json() for span in spans)


async def test_a_line_of_the_log_names_its_trace() -> None:
    async with traced() as (server, exporter), AsyncClient(server.address) as client:
        await client.recognize(document("x"))
        (line,) = server.requests
    context = named(exporter.get_finished_spans(), SERVER).context
    assert line["trace_id"] == trace.format_trace_id(context.trace_id)
    assert line["span_id"] == trace.format_span_id(context.span_id)


@pytest.mark.parametrize(("sent", "logged"), [(CALLER, CALLER.split("-")[1]), ("00-not-a-trace-01", None)])
async def test_without_tracing_the_log_still_names_the_callers_trace(sent: str, logged: str | None) -> None:
    async with tiny_server() as server, grpc.aio.insecure_channel(server.address) as channel:
        stub = ocr_pb2_grpc.OcrServiceStub(channel)
        await stub.Recognize(ocr_pb2.RecognizeRequest(document=document("x")), metadata=(("traceparent", sent),))
        (line,) = server.requests
    assert line.get("trace_id") == logged


def test_what_does_not_trace_does_not_import_opentelemetry() -> None:
    code = (
        "import sys, server.app, server.client, server.tracing, server.settings\n"
        "server.tracing.tracer(server.settings.Tracing()).request('Recognize', ()).cell()\n"
        "server.client.ClientCall('Recognize').end()\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """What stands at the other end of OTLP."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.resource: dict[str, str] = {}

    def Export(  # noqa: N802
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: Any
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        for spans in request.resource_spans:
            self.resource |= {pair.key: pair.value.string_value for pair in spans.resource.attributes}
            self.names += [span.name for scope in spans.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()


async def test_spans_leave_by_otlp_to_the_endpoint_of_the_settings() -> None:
    collector = Collector()
    receiver = grpc.server(futures.ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, receiver)
    port = receiver.add_insecure_port("127.0.0.1:0")
    receiver.start()
    try:
        settings = tiny_settings(tracing={"endpoint": f"http://127.0.0.1:{port}"})
        async with tiny_server(settings) as server, AsyncClient(server.address) as client:
            await client.recognize(document("x"))
    finally:
        receiver.stop(None)
    assert {SERVER, "queue", "cell", "page", "decode", "recognise"} <= set(collector.names)
    assert collector.resource["service.name"] == "cloister"
