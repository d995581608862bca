"""What the ledger says at the moment when Prometheus asks. Every worker says the same, and a server that takes jobs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as LateError
from threading import Lock, Thread

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry
from sqlalchemy.exc import SQLAlchemyError

from server.database import DatabaseError
from server.queue.backlog import Backlog, look
from server.queue.job import State
from server.queue.ledger import Ledger

_LOOK_S = 5.0


class LedgerGauges(Collector):
    """Looks when asked, in a thread of its own: a database that hangs does not keep other metrics from being seen."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = Lock()
        self._looking: Future[Backlog] | None = None

    def add_to(self, registry: CollectorRegistry) -> None:
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Nothing: whoever registers must not have to wait for a database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        try:
            backlog = self._look().result(_LOOK_S)
        except (LateError, SQLAlchemyError, DatabaseError, OSError):
            backlog = None
        yield GaugeMetricFamily(
            "cloister_ledger_reachable",
            "Whether the database of jobs answers; where it does not, nothing else is said of it.",
            value=backlog is not None,
        )
        if backlog is None:
            return
        documents = GaugeMetricFamily(
            "cloister_ledger_documents",
            "Documents by state, as the ledger has them: those that were handed in and are not forgotten. All who"
            " share the ledger say the same.",
            labels=("state",),
        )
        for state in State:
            documents.add_metric((state.value,), backlog.documents[state])
        yield documents
        yield GaugeMetricFamily(
            "cloister_ledger_oldest_waiting_seconds",
            "Since when the document that waits longest was handed in; 0 where none waits.",
            value=0.0 if backlog.oldest_s is None else max(0.0, time.time() - backlog.oldest_s),
        )

    def _look(self) -> Future[Backlog]:
        """One look at a time, for whoever asks meanwhile."""
        with self._lock:
            if self._looking is None or self._looking.done():
                self._looking = Future()
                Thread(target=self._into, args=(self._looking,), name="ledger", daemon=True).start()
            return self._looking

    def _into(self, looked: Future[Backlog]) -> None:
        try:
            looked.set_result(look(self._ledger))
        except BaseException as error:
            looked.set_exception(error)
