"""What a failed try means for its document: to wait, to be tried once less, or to be a dead letter."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum

import grpc

from server.errors import (
    CloisterError,
    CredentialError,
    DeadlineError,
    DocumentError,
    OptionsError,
    OverloadedError,
    TransportError,
)
from server.queue.leases import Claim
from server.telemetry import Phase

_FIRST_S = 0.5
_LONGEST_S = 60.0
# Of what is not the document's doing: the server may be back at any moment, and the worker does not hurry by itself.
_LONGEST_REFUSAL_S = 10.0
_JITTER = 0.5

# Not the document's doing: the server is away, or what stands before it does not let this worker in.
_ELSEWHERE = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
    }
)


class Fate(Enum):
    WAITS = "waits"
    """It is tried again, however often: nothing is known against it."""
    TRIED = "tried"
    """It is tried again unless that was its last try."""
    DEAD = "dead"
    """It can't be read, and no further try will change that."""


@dataclass(frozen=True, slots=True)
class Verdict:
    fate: Fate
    pause_s: float = 0.0
    """Seconds until it may be tried again."""


def verdict(error: CloisterError, claim: Claim, attempts: int) -> Verdict:
    """On a try that ended with ``error``; ``attempts`` are all that a document has."""
    if isinstance(error, DocumentError | OptionsError):
        return Verdict(Fate.DEAD)
    if _is_passing(error):
        return Verdict(Fate.WAITS, pause_s(claim.refusals, error.retry_after_s, longest_s=_LONGEST_REFUSAL_S))
    if claim.attempts + 1 >= attempts:
        return Verdict(Fate.DEAD)
    return Verdict(Fate.TRIED, pause_s(claim.attempts))


def pause_s(before: int, at_least_s: float | None = None, longest_s: float = _LONGEST_S) -> float:
    """Twice as long each time, up to ``longest_s``, and never alike for two that failed together."""
    wait_s = max(at_least_s or 0.0, min(longest_s, _FIRST_S * 2.0 ** min(before, 16)))
    return wait_s * random.uniform(1, 1 + _JITTER)


def _is_passing(error: CloisterError) -> bool:
    if isinstance(error, OverloadedError | CredentialError):
        return True
    if isinstance(error, DeadlineError):
        # Its time went by before a cell was free.
        return error.metadata.get("while") == Phase.WAITING
    return error.code in _ELSEWHERE and isinstance(error, TransportError)
