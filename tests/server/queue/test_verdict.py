"""What a failed try means for its document."""

from __future__ import annotations

import grpc
import pytest

from cloister.v1 import ocr_pb2
from server.errors import Reason, TransportError, made
from server.queue.leases import Claim
from server.queue.verdict import Fate, pause_s, verdict
from server.telemetry import Phase


def claim(attempts: int = 0, refusals: int = 0) -> Claim:
    return Claim("k", "owner", "documents/d", ocr_pb2.RecognizeOptions(), attempts, 0, refusals, 0.0)


@pytest.mark.parametrize(
    "reason", [Reason.QUEUE_FULL, Reason.STARTING, Reason.NO_CELL, Reason.RATE_LIMITED, Reason.CREDENTIAL_EXPIRED]
)
def test_a_refusal_for_now_never_counts(reason: Reason) -> None:
    judged = verdict(made(reason, ""), claim(attempts=99, refusals=99), attempts=3)
    assert judged.fate is Fate.WAITS


@pytest.mark.parametrize(
    "reason", [Reason.DAMAGED_DOCUMENT, Reason.TOO_MANY_PIXELS, Reason.ENCRYPTED_DOCUMENT, Reason.UNKNOWN_ENGINE]
)
def test_what_can_not_be_read_is_a_dead_letter_at_once(reason: Reason) -> None:
    assert verdict(made(reason, ""), claim(), attempts=3).fate is Fate.DEAD


@pytest.mark.parametrize(
    "reason",
    [Reason.CELL_CRASHED, Reason.CELL_KILLED, Reason.CELL_OUT_OF_MEMORY, Reason.MALFORMED_REPLY, Reason.INTERNAL],
)
def test_what_fails_by_its_own_fault_has_so_many_tries(reason: Reason) -> None:
    fates = [verdict(made(reason, ""), claim(attempts), attempts=3).fate for attempts in range(3)]
    assert fates == [Fate.TRIED, Fate.TRIED, Fate.DEAD]


@pytest.mark.parametrize(
    ("code", "fate"),
    [
        (grpc.StatusCode.UNAVAILABLE, Fate.WAITS),
        (grpc.StatusCode.UNAUTHENTICATED, Fate.WAITS),
        (grpc.StatusCode.INTERNAL, Fate.TRIED),
    ],
)
def test_a_server_that_is_away_or_lets_nobody_in_is_not_the_document_s_fault(code: grpc.StatusCode, fate: Fate) -> None:
    assert verdict(TransportError(Reason.UNREACHABLE, "", code=code), claim(), attempts=3).fate is fate


@pytest.mark.parametrize(("phase", "fate"), [(Phase.WAITING, Fate.WAITS), (Phase.READING, Fate.TRIED)])
def test_time_that_went_by_in_the_queue_does_not_count(phase: Phase, fate: Fate) -> None:
    late = made(Reason.DEADLINE_EXCEEDED, "")
    late.metadata["while"] = phase
    assert verdict(late, claim(), attempts=3).fate is fate


def test_pauses_grow_to_a_bound_and_hold_what_the_server_asked_for() -> None:
    assert 0.5 <= pause_s(0) <= 0.75
    assert 4 <= pause_s(3) <= 6
    assert 60 <= pause_s(1000) <= 90
    assert pause_s(0, at_least_s=20) >= 20
    busy = made(Reason.QUEUE_FULL, "")
    busy.retry_after_s = 7.0
    assert verdict(busy, claim(), attempts=3).pause_s >= 7
