"""An error survives the way from server to client."""

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from server import errors
from server.errors import CloisterError, DeadlineError, DocumentError, OverloadedError, Reason, TransportError


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_arrives_with_its_type_code_message_and_metadata(reason: Reason) -> None:
    type_ = next(kind for kind in CloisterError.__subclasses__() if reason in kind.reasons)
    sent = type_(reason, "what happened", {"limit": "3"})
    came = errors.received(sent.code, sent.message, errors.trailers(sent))
    assert type(came) is type_
    assert (came.reason, came.message, came.metadata, came.code) == (reason, "what happened", {"limit": "3"}, sent.code)
    assert came.retry_after_s is None


def test_a_retry_time_arrives_and_tells_grpc_to_come_back_then() -> None:
    sent = OverloadedError(Reason.QUEUE_FULL, "full", retry_after_s=1.25)
    trailers = errors.trailers(sent)
    assert errors.received(sent.code, sent.message, trailers).retry_after_s == 1.25
    assert dict(trailers)["grpc-retry-pushback-ms"] == "1250"


def test_an_error_that_a_retry_does_not_help_tells_grpc_not_to() -> None:
    assert dict(errors.trailers(DocumentError(Reason.NOT_AN_IMAGE, "no")))["grpc-retry-pushback-ms"] == "-1"


def test_the_status_is_the_standard_one() -> None:
    sent = OverloadedError(Reason.QUEUE_FULL, "full", {"capacity": "2"}, retry_after_s=1)
    status = status_pb2.Status.FromString(dict(errors.trailers(sent))["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert status.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain, dict(info.metadata)) == ("QUEUE_FULL", "cloister", {"capacity": "2"})
    assert status.details[1].Is(error_details_pb2.RetryInfo.DESCRIPTOR)


def test_a_reason_of_a_newer_server_is_kept_as_it_is() -> None:
    sent = CloisterError("SOMETHING_NEW", "new", code=grpc.StatusCode.ABORTED)
    came = errors.received(sent.code, sent.message, errors.trailers(sent))
    assert type(came) is CloisterError
    assert came.reason == "SOMETHING_NEW"


def test_without_details_the_code_says_what_it_can() -> None:
    late = errors.received(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", ())
    large = errors.received(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "CLIENT: Received message larger than max (9 vs. 5)", ()
    )
    gone = errors.received(grpc.StatusCode.UNAVAILABLE, "connection refused", ())
    assert isinstance(late, DeadlineError)
    assert large.reason == Reason.DOCUMENT_TOO_LARGE
    assert isinstance(gone, TransportError)
    assert "connection refused" in gone.message
