"""Traces, by OpenTelemetry: a span for each call, below it the wait, each cell, its pages and their stages.

    OcrService/Recognize                      (the caller's span, where it traces)
    └── cloister.v1.OcrService/Recognize      server
        ├── queue
        └── cell                              status, set-up
            └── page                          number, words
                └── decode, orient, detect, recognise, wordinate, render

Spans hold sizes, counts, names of engines and reasons: never a document's text, never a file's name, no tenant. A cell
is asked for no time of day: it says how long each stage took, and the stages of a page are laid end to end before the
moment the page came, never further back than the cell began.

OpenTelemetry is an extra. Where the settings name no endpoint it is not even imported, and `NoTrace` does nothing.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from cloister.v1 import ocr_pb2
from server.sections import Tracing
from server.settings import SettingsError

if TYPE_CHECKING:
    import opentelemetry.trace as trace_api
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

_SERVICE = "cloister.v1.OcrService"
_Stage: TypeAlias = Literal["decode", "orient", "detect", "recognise", "wordinate", "render"]
_STAGES: tuple[_Stage, ...] = ("decode", "orient", "detect", "recognise", "wordinate", "render")
_FLUSH_S = 2.0
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")

Metadata: TypeAlias = "Iterable[tuple[str, str | bytes]]"


class CellTrace(Protocol):
    """The span of one cell's work, begun when the request asked for a cell."""

    def began(self, set_up_s: float | None) -> None:
        """A cell has been found; the wait is over."""

    def page(self, page: ocr_pb2.Page) -> None:
        """A page has come, with the times that its stages took."""

    def ended(self, status: str, /) -> None: ...


class Trace(Protocol):
    """The span of one request. ``ids`` are for its log line."""

    @property
    def ids(self) -> Mapping[str, str]: ...

    def cell(self) -> CellTrace: ...

    def ended(self, attributes: Mapping[str, str | int], failed: bool) -> None: ...


class NoTrace:
    """Of a request that is not traced here; it may be where it came from, which ``ids`` then tell."""

    def __init__(self, ids: Mapping[str, str] | None = None) -> None:
        self.ids = ids or {}

    def cell(self) -> NoTrace:
        return self

    def began(self, set_up_s: float | None) -> None:
        pass

    def page(self, page: ocr_pb2.Page) -> None:
        pass

    def ended(self, attributes: object = None, failed: bool = False) -> None:
        pass


NO_TRACE = NoTrace()


class Tracer:
    """Begins the traces of requests, with spans of ``provider``; with none, nothing is traced."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._provider = provider
        self._tracer = None if provider is None else provider.get_tracer("cloister", version("cloister"))

    def request(self, rpc: str, metadata: Metadata | None) -> Trace:
        """``metadata`` is the call's: its W3C traceparent, if any, names the caller's span."""
        if self._tracer is None:
            return NoTrace(_ids(metadata))
        from opentelemetry import trace
        from opentelemetry.propagate import extract

        carrier = {key: value for key, value in metadata or () if isinstance(value, str)}
        span = self._tracer.start_span(
            f"{_SERVICE}/{rpc}",
            context=extract(carrier),
            kind=trace.SpanKind.SERVER,
            attributes={"rpc.system": "grpc", "rpc.service": _SERVICE, "rpc.method": rpc},
        )
        return _RequestTrace(self._tracer, span)

    def close(self) -> None:
        """Send what has not left yet; wait two seconds for it at most, whatever the exporter makes of that."""
        if self._provider is not None:
            last = threading.Thread(target=self._provider.shutdown, daemon=True)
            last.start()
            last.join(_FLUSH_S)


class _RequestTrace:
    def __init__(self, tracer: trace_api.Tracer, span: Span) -> None:
        from opentelemetry import trace

        self._tracer = tracer
        self._span = span
        self._below = trace.set_span_in_context(span)
        context = span.get_span_context()
        self.ids = {
            "trace_id": trace.format_trace_id(context.trace_id),
            "span_id": trace.format_span_id(context.span_id),
        }

    def cell(self) -> CellTrace:
        return _SpannedCell(self._tracer, self._below) if self._span.is_recording() else NO_TRACE

    def ended(self, attributes: Mapping[str, str | int], failed: bool) -> None:
        from opentelemetry.trace import StatusCode

        self._span.set_attributes(attributes)
        if failed:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


class _SpannedCell:
    def __init__(self, tracer: trace_api.Tracer, above: Context) -> None:
        self._tracer = tracer
        self._above = above
        self._asked_ns = time.time_ns()
        self._span: Span | None = None
        self._since_ns = self._asked_ns

    def began(self, set_up_s: float | None) -> None:
        from opentelemetry import trace

        self._since_ns = time.time_ns()
        self._spanned("queue", self._above, self._asked_ns, self._since_ns)
        self._span = self._tracer.start_span("cell", context=self._above, start_time=self._since_ns)
        if set_up_s is not None:
            self._span.set_attribute("cloister.cell.set_up_s", set_up_s)
        self._below = trace.set_span_in_context(self._span)

    def page(self, page: ocr_pb2.Page) -> None:
        from opentelemetry import trace

        now_ns = time.time_ns()
        span = self._tracer.start_span("page", context=self._below, start_time=self._since_ns)
        span.set_attributes({"cloister.page": page.number, "cloister.words": sum(len(ln.words) for ln in page.lines)})
        within = trace.set_span_in_context(span)
        end_ns = now_ns
        for stage in reversed(_STAGES):
            if page.timings.HasField(stage):
                start_ns = max(self._since_ns, end_ns - getattr(page.timings, stage).ToNanoseconds())
                self._spanned(stage, within, start_ns, end_ns)
                end_ns = start_ns
        span.end(now_ns)
        self._since_ns = now_ns

    def ended(self, status: str, /) -> None:
        if self._span is not None:
            self._span.set_attribute("cloister.cell.status", status)
            self._span.end()

    def _spanned(self, name: str, above: Context, start_ns: int, end_ns: int) -> None:
        self._tracer.start_span(name, context=above, start_time=start_ns).end(end_ns)


def _ids(metadata: Metadata | None) -> Mapping[str, str]:
    """Of the caller's span, where its traceparent is one (https://www.w3.org/TR/trace-context/)."""
    for key, value in metadata or ():
        if key == "traceparent" and isinstance(value, str) and (found := _TRACEPARENT.fullmatch(value)):
            return {"trace_id": found[1], "span_id": found[2]}
    return {}


def tracer(settings: Tracing) -> Tracer:
    """A tracer as the settings say. Raises `SettingsError` where OpenTelemetry is wanted and not installed.

    What the settings do not say OpenTelemetry's own variables do, as OTEL_EXPORTER_OTLP_HEADERS.
    """
    if not settings.endpoint:
        return Tracer()
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
    except ImportError as error:
        raise SettingsError(f"tracing.endpoint: {error}; install cloister[tracing], or name no endpoint") from error
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(settings.share)),
        resource=Resource.create(
            {
                "service.name": "cloister",
                "service.version": version("cloister"),
                "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
            }
        ),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.endpoint)))
    return Tracer(provider)
