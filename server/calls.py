"""What both clients' calls have in common: where they go, options, retries, parts of documents, errors.

A client of several servers spreads its calls over those that say they serve, by gRPC's own means (service config,
gRFCs A2, A6, A17): round robin, health by server, retries of what a server that went away had not answered. Keepalive
tells that a server was cut off, which no closed connection does.
"""

from __future__ import annotations

import ipaddress
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import grpc

from cloister.v1 import ocr_pb2
from server.admission import Deadline
from server.errors import CloisterError, Reason, TransportError, received

DEADLINE_S = 60.0
"""Seconds a call may take where nothing else is said."""

KEEPALIVE_S = 10
"""Seconds of silence after which a server that owes an answer is asked whether it is there."""
KEEPALIVE_TIMEOUT_S = 5
"""Seconds it has for that."""

RETRY_BYTES = 64 * 1024 * 1024
"""Bytes of one request that are kept to be sent anew; a larger one is sent once."""

_SERVICE = "cloister.v1.OcrService"
_CHUNK_BYTES = 256 * 1024
_ATTEMPTS = 5
_FIRST_BACKOFF_S = 0.2
_LONGEST_BACKOFF_S = 5.0
_BACKOFF_MULTIPLIER = 2
_BACKOFF_JITTER = 0.2
"""What gRPC varies its pauses by (gRFC A6)."""
# Callers that were turned away together must not come back together.
_JITTER = 0.5
_RETRIES: Mapping[str, Any] = {
    "methodConfig": [
        {
            "name": [{"service": _SERVICE}, {"service": "cloister.v1.JobService"}],
            "retryPolicy": {
                "maxAttempts": _ATTEMPTS,
                "initialBackoff": f"{_FIRST_BACKOFF_S}s",
                "maxBackoff": f"{_LONGEST_BACKOFF_S}s",
                "backoffMultiplier": _BACKOFF_MULTIPLIER,
                # The server says by push-back which are worth a retry, and when. Not RESOURCE_EXHAUSTED: gRPC's own
                # refusal of a message that is too large has that code too, and would be sent five times.
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
_WORTH_WAITING = (Reason.QUEUE_FULL, Reason.RATE_LIMITED, Reason.TENANT_AT_LIMIT)
# For one server alone health is left out: its own word why it does not serve yet tells a caller more.
_FLEET: Mapping[str, Any] = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": _SERVICE},
}


def target_of(address: str | Sequence[str]) -> str:
    """The gRPC target of ``address``, which is one, or several as a list or with commas between.

    Several must be IP addresses of one version with their ports: gRPC knows no list of names, but a name may have many
    addresses (``dns:///ocr.example:50051``). Raises ValueError.
    """
    addresses = address.split(",") if isinstance(address, str) else list(address)
    if len(addresses) == 1:
        return addresses[0]
    if "" in addresses or not addresses:
        raise ValueError(f"an address is missing in {address!r}; give host:port, or several with commas between")
    if addresses[0].startswith(("ipv4:", "ipv6:")):
        return ",".join(addresses)
    try:
        versions = {ipaddress.ip_address(each.rpartition(":")[0].strip("[]")).version for each in addresses}
    except ValueError as error:
        raise ValueError(
            f"{error}, in {address!r}; give several servers by IP address and port, or as one name that stands for all"
            " (dns:///name:port)"
        ) from None
    if len(versions) > 1:
        raise ValueError(f"{address!r} mixes IPv4 and IPv6; give addresses of one version")
    return f"ipv{versions.pop()}:{','.join(addresses)}"


def channel_options(target: str) -> tuple[tuple[str, str | int], ...]:
    """The options of a channel to ``target``."""
    several = target.startswith("dns:") or "," in target
    config = {**_RETRIES, **_FLEET} if several else _RETRIES
    return (
        ("grpc.service_config", json.dumps(config)),
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        # A request larger than this buffer would never be retried; a document may be as large as the server's limit.
        ("grpc.per_rpc_retry_buffer_size", RETRY_BYTES),
        # Without this, a server that was away for some minutes is not tried for two more once it is back.
        ("grpc.max_reconnect_backoff_ms", 5000),
        # A server that is cut off answers nothing, not even that it is gone: it is asked while a call waits for it.
        ("grpc.keepalive_time_ms", KEEPALIVE_S * 1000),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_S * 1000),
        # Reading takes long and sends nothing meanwhile; without this gRPC would stop asking after two times.
        ("grpc.http2.max_pings_without_data", 0),
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


def channel_to(
    target: str, credentials: grpc.ChannelCredentials | None, options: Sequence[tuple[str, str | int]]
) -> grpc.Channel:
    """A blocking one; in the clear without ``credentials``."""
    if credentials is None:
        return grpc.insecure_channel(target, options)
    return grpc.secure_channel(target, credentials, options)


def without_retries(options: Sequence[tuple[str, str | int]]) -> tuple[tuple[str, str | int], ...]:
    """``options`` for a channel on which gRPC itself tries nothing again, as the blocking clients' streams need it.

    A stream whose retries are left to gRPC (1.85) can hang where its server is killed, for ever, whatever its deadline.
    """
    return (*options, ("grpc.enable_retries", 0))


def pause_s(refusal: CloisterError, attempt: int, deadline: Deadline) -> float | None:
    """Seconds to wait before another attempt; None where none is left, or it would not help or come too late."""
    if refusal.reason not in _WORTH_WAITING or refusal.retry_after_s is None or attempt == _ATTEMPTS:
        return None
    wait_s = refusal.retry_after_s * random.uniform(1, 1 + _JITTER)
    return wait_s if wait_s < deadline.remaining_s else None


def again_s(failure: CloisterError, attempt: int, deadline: Deadline) -> float | None:
    """Seconds before another attempt at a stream that was not answered at all, by the policy gRPC has for plain calls.

    None where there is to be none.
    """
    if failure.code is not grpc.StatusCode.UNAVAILABLE or attempt == _ATTEMPTS:
        return None
    if isinstance(failure, TransportError):
        wait_s = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * _BACKOFF_MULTIPLIER ** (attempt - 1))
        wait_s *= random.uniform(1 - _BACKOFF_JITTER, 1 + _BACKOFF_JITTER)
    elif failure.retry_after_s is not None:
        wait_s = failure.retry_after_s
    else:
        return None
    return wait_s if wait_s < deadline.remaining_s else None


def cloister_error(error: grpc.RpcError) -> CloisterError:
    """Both kinds of call raise errors that carry code, details and trailing metadata."""
    return received(error.code(), error.details() or "", error.trailing_metadata() or ())
