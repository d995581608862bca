"""Errors as callers meet them: raised in the server, sent as `google.rpc.Status`, raised again in the client.

CloisterError
├── DocumentError        the document can't be read; sending it again won't help
├── OptionsError         the request asks for what this server does not have
├── CredentialError      the caller did not show who it is, or asks for what is another's
├── OverloadedError      not now; a later try may go well
├── DeadlineError        the time for the request ran out
├── CellError            the cell that read the document was stopped, or answered nonsense
├── InternalError        a mistake in the server itself
├── JobError             a job of the queue that is not there, or that ended without a result
└── TransportError       no answer of a Cloister server came back (raised in the client alone)

Every error has a `Reason`, which is also the reason of the `google.rpc.ErrorInfo` (domain ``cloister``) in its status,
as AIP-193 wants it. ``metadata`` holds the message's variables. ``retry_after_s`` becomes a `google.rpc.RetryInfo`, and
the ``grpc-retry-pushback-ms`` trailer that gRPC's own client retries obey (gRFC A6).

What a caller learns of a stopped cell is the class of the reason (memory, time, policy, crash), never a system call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, ClassVar

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

DOMAIN = "cloister"
STATUS_TRAILER = "grpc-status-details-bin"
PUSHBACK_TRAILER = "grpc-retry-pushback-ms"

# gRFC A6: a negative push-back tells the client's retry policy to let it be.
_NO_RETRY = "-1"


class Reason(StrEnum):
    """Why a request failed, as ErrorInfo names it."""

    EMPTY_DOCUMENT = "EMPTY_DOCUMENT"
    NOT_AN_IMAGE = "NOT_AN_IMAGE"
    DAMAGED_DOCUMENT = "DAMAGED_DOCUMENT"
    UNSUPPORTED_DOCUMENT = "UNSUPPORTED_DOCUMENT"
    ENCRYPTED_DOCUMENT = "ENCRYPTED_DOCUMENT"
    SIGNED_DOCUMENT = "SIGNED_DOCUMENT"
    DOCUMENT_TOO_LARGE = "DOCUMENT_TOO_LARGE"
    TOO_MANY_PIXELS = "TOO_MANY_PIXELS"
    TOO_MANY_PAGES = "TOO_MANY_PAGES"
    UNKNOWN_ENGINE = "UNKNOWN_ENGINE"
    INVALID_OPTIONS = "INVALID_OPTIONS"
    NO_CREDENTIAL = "NO_CREDENTIAL"
    INVALID_CREDENTIAL = "INVALID_CREDENTIAL"
    CREDENTIAL_EXPIRED = "CREDENTIAL_EXPIRED"
    OTHER_TENANT = "OTHER_TENANT"
    QUEUE_FULL = "QUEUE_FULL"
    DEADLINE_TOO_SHORT = "DEADLINE_TOO_SHORT"
    RATE_LIMITED = "RATE_LIMITED"
    TENANT_AT_LIMIT = "TENANT_AT_LIMIT"
    STARTING = "STARTING"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    NO_CELL = "NO_CELL"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    CELL_OUT_OF_MEMORY = "CELL_OUT_OF_MEMORY"
    CELL_OUT_OF_TIME = "CELL_OUT_OF_TIME"
    CELL_BROKE_POLICY = "CELL_BROKE_POLICY"
    CELL_CRASHED = "CELL_CRASHED"
    CELL_KILLED = "CELL_KILLED"
    MALFORMED_REPLY = "MALFORMED_REPLY"
    INTERNAL = "INTERNAL"
    UNREACHABLE = "UNREACHABLE"
    UNKNOWN_JOB = "UNKNOWN_JOB"
    QUEUE_UNREACHABLE = "QUEUE_UNREACHABLE"
    DOCUMENT_LOST = "DOCUMENT_LOST"
    WORKER_LOST = "WORKER_LOST"
    JOB_CANCELLED = "JOB_CANCELLED"


_CODES: Mapping[Reason, grpc.StatusCode] = {
    Reason.EMPTY_DOCUMENT: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.NOT_AN_IMAGE: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.DAMAGED_DOCUMENT: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.UNSUPPORTED_DOCUMENT: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.ENCRYPTED_DOCUMENT: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.SIGNED_DOCUMENT: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.DOCUMENT_TOO_LARGE: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.TOO_MANY_PIXELS: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.TOO_MANY_PAGES: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.UNKNOWN_ENGINE: grpc.StatusCode.NOT_FOUND,
    Reason.INVALID_OPTIONS: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.NO_CREDENTIAL: grpc.StatusCode.UNAUTHENTICATED,
    Reason.INVALID_CREDENTIAL: grpc.StatusCode.UNAUTHENTICATED,
    Reason.CREDENTIAL_EXPIRED: grpc.StatusCode.UNAUTHENTICATED,
    Reason.OTHER_TENANT: grpc.StatusCode.PERMISSION_DENIED,
    Reason.QUEUE_FULL: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.DEADLINE_TOO_SHORT: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.RATE_LIMITED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.TENANT_AT_LIMIT: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.STARTING: grpc.StatusCode.UNAVAILABLE,
    Reason.SHUTTING_DOWN: grpc.StatusCode.UNAVAILABLE,
    Reason.NO_CELL: grpc.StatusCode.UNAVAILABLE,
    Reason.DEADLINE_EXCEEDED: grpc.StatusCode.DEADLINE_EXCEEDED,
    Reason.CELL_OUT_OF_MEMORY: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.CELL_OUT_OF_TIME: grpc.StatusCode.DEADLINE_EXCEEDED,
    Reason.CELL_BROKE_POLICY: grpc.StatusCode.INTERNAL,
    Reason.CELL_CRASHED: grpc.StatusCode.INTERNAL,
    Reason.CELL_KILLED: grpc.StatusCode.UNAVAILABLE,
    Reason.MALFORMED_REPLY: grpc.StatusCode.INTERNAL,
    Reason.INTERNAL: grpc.StatusCode.INTERNAL,
    Reason.UNREACHABLE: grpc.StatusCode.UNAVAILABLE,
    Reason.UNKNOWN_JOB: grpc.StatusCode.NOT_FOUND,
    Reason.QUEUE_UNREACHABLE: grpc.StatusCode.UNAVAILABLE,
    Reason.DOCUMENT_LOST: grpc.StatusCode.DATA_LOSS,
    Reason.WORKER_LOST: grpc.StatusCode.ABORTED,
    Reason.JOB_CANCELLED: grpc.StatusCode.CANCELLED,
}


class CloisterError(Exception):
    """Ends one request. ``reason`` is a `Reason`, or the text of one that this version does not know."""

    reasons: ClassVar[frozenset[Reason]] = frozenset()

    def __init__(
        self,
        reason: str,
        message: str,
        metadata: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
        code: grpc.StatusCode | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        self.retry_after_s = retry_after_s
        self.code = code or _CODES[Reason(reason)]

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class DocumentError(CloisterError):
    """The document can't be read; sending it again won't help."""

    reasons = frozenset(
        {
            Reason.EMPTY_DOCUMENT,
            Reason.NOT_AN_IMAGE,
            Reason.DAMAGED_DOCUMENT,
            Reason.UNSUPPORTED_DOCUMENT,
            Reason.ENCRYPTED_DOCUMENT,
            Reason.SIGNED_DOCUMENT,
            Reason.DOCUMENT_TOO_LARGE,
            Reason.TOO_MANY_PIXELS,
            Reason.TOO_MANY_PAGES,
        }
    )


class OptionsError(CloisterError):
    """The request asks for what this server does not have."""

    reasons = frozenset({Reason.UNKNOWN_ENGINE, Reason.INVALID_OPTIONS})


class CredentialError(CloisterError):
    """The caller did not show who it is, or asks for what is another's."""

    reasons = frozenset(
        {Reason.NO_CREDENTIAL, Reason.INVALID_CREDENTIAL, Reason.CREDENTIAL_EXPIRED, Reason.OTHER_TENANT}
    )


class OverloadedError(CloisterError):
    """Not now; a later try may go well."""

    reasons = frozenset(
        {
            Reason.QUEUE_FULL,
            Reason.DEADLINE_TOO_SHORT,
            Reason.RATE_LIMITED,
            Reason.TENANT_AT_LIMIT,
            Reason.STARTING,
            Reason.SHUTTING_DOWN,
            Reason.NO_CELL,
            Reason.QUEUE_UNREACHABLE,
        }
    )


class DeadlineError(CloisterError):
    """The time for the request ran out."""

    reasons = frozenset({Reason.DEADLINE_EXCEEDED})


class CellError(CloisterError):
    """The cell that read the document was stopped, or answered nonsense."""

    reasons = frozenset(
        {
            Reason.CELL_OUT_OF_MEMORY,
            Reason.CELL_OUT_OF_TIME,
            Reason.CELL_BROKE_POLICY,
            Reason.CELL_CRASHED,
            Reason.CELL_KILLED,
            Reason.MALFORMED_REPLY,
        }
    )


class JobError(CloisterError):
    """A job of the queue that is not there, or that ended without a result."""

    reasons = frozenset({Reason.UNKNOWN_JOB, Reason.DOCUMENT_LOST, Reason.WORKER_LOST, Reason.JOB_CANCELLED})


class InternalError(CloisterError):
    """A mistake in the server itself."""

    reasons = frozenset({Reason.INTERNAL})


class TransportError(CloisterError):
    """No answer of a Cloister server came back."""

    reasons = frozenset({Reason.UNREACHABLE})


_TYPES: Mapping[str, type[CloisterError]] = {
    reason: type_
    for type_ in (
        DocumentError,
        OptionsError,
        CredentialError,
        OverloadedError,
        DeadlineError,
        CellError,
        InternalError,
        JobError,
        TransportError,
    )
    for reason in type_.reasons
}


def made(reason: str, message: str) -> CloisterError:
    """The error of ``reason`` as its own type, as it was before it was written down."""
    code = None if reason in _TYPES else grpc.StatusCode.UNKNOWN
    return _TYPES.get(reason, CloisterError)(reason, message, code=code)


def bare(error: CloisterError) -> CloisterError:
    """``error`` alone: without the frames that it came through, and all that they hold."""
    return CloisterError(error.reason, error.message, error.metadata, error.retry_after_s, error.code)


def status(error: CloisterError) -> status_pb2.Status:
    """The google.rpc.Status that says what ``error`` says."""
    details = [_packed(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata))]
    if error.retry_after_s is not None:
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=_duration(error.retry_after_s))))
    return status_pb2.Status(code=error.code.value[0], message=error.message, details=details)


def trailers(error: CloisterError) -> tuple[tuple[str, str | bytes], ...]:
    """The trailing metadata that carries ``error``: its google.rpc.Status and its push-back."""
    pushback = _NO_RETRY if error.retry_after_s is None else str(_duration(error.retry_after_s).ToMilliseconds())
    return ((STATUS_TRAILER, status(error).SerializeToString()), (PUSHBACK_TRAILER, pushback))


def received(code: grpc.StatusCode, details: str, trailing: Iterable[Any]) -> CloisterError:
    """The error that a failed call carries; without an ErrorInfo of ours, what its code allows to say.

    ``trailing`` holds pairs of key and value, of whichever type the call has for them.
    """
    for key, value in trailing:
        if key == STATUS_TRAILER and isinstance(value, bytes):
            error = unpacked(code, status_pb2.Status.FromString(value))
            if error is not None:
                return error
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineError(Reason.DEADLINE_EXCEEDED, "the deadline of the call passed before the answer came")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in details:
        return DocumentError(
            Reason.DOCUMENT_TOO_LARGE, "the document is larger than the server takes; send it smaller or in parts"
        )
    if code is grpc.StatusCode.UNAVAILABLE:
        message = f"no server answers there; start one (cloister serve) or mend the address ({details})"
        return TransportError(Reason.UNREACHABLE, message, code=code)
    return TransportError(Reason.UNREACHABLE, f"{code.name}: {details}", code=code)


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(round(seconds * 1000))
    return duration


def _packed(message: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def unpacked(code: grpc.StatusCode, status: status_pb2.Status) -> CloisterError | None:
    """The error that ``status`` says; None where it holds no ErrorInfo of ours."""
    info = error_details_pb2.ErrorInfo()
    retry = error_details_pb2.RetryInfo()
    found = False
    retry_after_s = None
    for detail in status.details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            detail.Unpack(info)
            found = info.domain == DOMAIN
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            detail.Unpack(retry)
            retry_after_s = retry.retry_delay.ToMilliseconds() / 1000
    if not found:
        return None
    type_ = _TYPES.get(info.reason, CloisterError)
    return type_(info.reason, status.message, dict(info.metadata), retry_after_s, code)
