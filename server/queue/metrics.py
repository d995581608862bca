"""What a worker counts and times, for Prometheus. As in `server.metrics`, no label is taken from a document."""

from __future__ import annotations

from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

from server.errors import Reason

_ATTEMPT_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)
_RESULT_S = (0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 1800, 3600, 14_400, 43_200, 86_400, 259_200)
_REASONS = frozenset(Reason)
_OTHER = "OTHER"


class Outcome(StrEnum):
    """How an attempt at a document ended."""

    READ = "read"
    """Its result is the document's."""
    REFUSED = "refused"
    """It is tried again, and nothing is held against the document: the server was busy, away, or did not let us in."""
    FAILED = "failed"
    """It is tried again, once less."""
    DEAD = "dead"
    """The document is a dead letter."""
    UNWANTED = "unwanted"
    """The document was cancelled meanwhile, or another worker had it."""
    STOPPED = "stopped"
    """The worker goes; the document waits for another."""
    LOST = "lost"
    """Its worker was not heard of any more. Counted by the worker that noticed."""
    UNRECORDED = "unrecorded"
    """The ledger could not be told."""


class QueueMetrics:
    """Counts of one worker, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._attempts = Counter(
            "cloister_attempts",
            "Attempts at documents that were handed in, by how they ended and by reason (empty where all went well).",
            ["outcome", "reason"],
            registry=registry,
        )
        self._seconds = Histogram(
            "cloister_attempt_seconds",
            "From when a worker took a document to when it had its result, or gave it up.",
            ["outcome"],
            buckets=_ATTEMPT_S,
            registry=registry,
        )
        self._result_s = Histogram(
            "cloister_result_seconds",
            "From when a document was first handed in to its result.",
            buckets=_RESULT_S,
            registry=registry,
        )
        for outcome in Outcome:
            self._seconds.labels(outcome.value)

    def attempt(self, outcome: Outcome, reason: str, seconds: float) -> None:
        """An attempt has ended. ``reason`` is a `Reason`, or what a newer server says instead."""
        self._count(outcome, reason, 1)
        self._seconds.labels(outcome.value).observe(seconds)

    def result(self, seconds: float) -> None:
        """A document has its result, so long after it was handed in."""
        self._result_s.observe(max(0.0, seconds))

    def lost(self, count: int) -> None:
        """So many attempts of workers that are gone."""
        self._count(Outcome.LOST, Reason.WORKER_LOST, count)

    def _count(self, outcome: Outcome, reason: str, count: int) -> None:
        known = reason if not reason or reason in _REASONS else _OTHER
        self._attempts.labels(outcome.value, str(known)).inc(count)
