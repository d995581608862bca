"""The client's side of a trace: a span for each call, and the context that goes with it to the server.

As any instrumented library does, it takes OpenTelemetry's global provider, which the calling program sets up. In a
program that has not imported OpenTelemetry there is nothing to follow, and nothing is done.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_SERVICE = "cloister.v1.OcrService"


class ClientCall:
    """One call, from its start to its end. ``metadata`` is for gRPC to send along, what was given among it."""

    def __init__(self, rpc: str, metadata: Iterable[tuple[str, str]] = ()) -> None:
        self.metadata = tuple(metadata)
        self._span: Span | None = None
        # Whoever traces has imported it.
        if "opentelemetry" not in sys.modules:
            return
        try:
            from opentelemetry import trace
            from opentelemetry.propagate import inject
        except ImportError:
            return
        self._span = trace.get_tracer("cloister.client").start_span(
            f"{_SERVICE}/{rpc}",
            kind=trace.SpanKind.CLIENT,
            attributes={"rpc.system": "grpc", "rpc.service": _SERVICE, "rpc.method": rpc},
        )
        carrier: dict[str, str] = {}
        inject(carrier, trace.set_span_in_context(self._span))
        self.metadata += tuple(carrier.items())

    def end(self, error: BaseException | None = None) -> None:
        """Harmless where it has ended."""
        if self._span is None:
            return
        if error is not None:
            from opentelemetry.trace import StatusCode

            self._span.set_status(StatusCode.ERROR)
            self._span.set_attribute("error.type", type(error).__name__)
        self._span.end()
        self._span = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, type_: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end(error)
