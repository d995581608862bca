"""What both clients' calls have in common: options, retries, parts of documents, errors."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence

import grpc

from cloister.v1 import ocr_pb2
from server.admission import Deadline
from server.errors import CloisterError, Reason, received

DEADLINE_S = 60.0
"""Seconds a call may take where nothing else is said."""

_CHUNK_BYTES = 256 * 1024
_ATTEMPTS = 5
# Callers that were turned away together must not come back together.
_JITTER = 0.5
_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{"service": "cloister.v1.OcrService"}, {"service": "cloister.v1.JobService"}],
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
CHANNEL_OPTIONS = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A request larger than this buffer would never be retried; a document may be as large as the server's limit.
    # Without this, a server that was away for some minutes is not tried for two more once it is back.
    ("grpc.max_reconnect_backoff_ms", 5000),
    ("grpc.per_rpc_retry_buffer_size", 64 * 1024 * 1024),
)


def options_of(
    engine: str,
    outputs: Sequence[ocr_pb2.Output.ValueType],
    pdf: ocr_pb2.PdfOptions | None,
    context: ocr_pb2.RequestContext | None,
) -> ocr_pb2.RecognizeOptions:
    return ocr_pb2.RecognizeOptions(engine=engine, outputs=outputs, pdf=pdf, context=context)


def collect(files: dict[ocr_pb2.Output.ValueType, bytes], part: ocr_pb2.File) -> None:
    files[part.output] = files.get(part.output, b"") + part.content


def chunks(document: bytes) -> Iterator[bytes]:
    for start in range(0, len(document), _CHUNK_BYTES):
        yield document[start : start + _CHUNK_BYTES]


def pause_s(refusal: CloisterError, attempt: int, deadline: Deadline) -> float | None:
    """Seconds to wait before another attempt; None where none is left, or it would not help or come too late."""
    if refusal.reason != Reason.QUEUE_FULL or refusal.retry_after_s is None or attempt == _ATTEMPTS:
        return None
    wait_s = refusal.retry_after_s * random.uniform(1, 1 + _JITTER)
    return wait_s if wait_s < deadline.remaining_s else None


def cloister_error(error: grpc.RpcError) -> CloisterError:
    """Both kinds of call raise errors that carry code, details and trailing metadata."""
    return received(error.code(), error.details() or "", error.trailing_metadata() or ())
