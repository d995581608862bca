"""What a server counts and times, for Prometheus. Names begin with ``cloister_``; units are s, bytes, and shares of 1.

Labels are bounded: names of engines from the settings, stable or canary, and words from fixed lists (codes, reasons,
stages, statuses). No label and no value is taken from a request, a document or a tenant.

What happens is counted here as it does (`Metrics`); what is, is looked at when someone asks (`server.gauges`).
"""

from __future__ import annotations

import asyncio
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

from jail.result import Exit
from server.telemetry import RequestRecord

_SECONDS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 20, 40, 80, 160, 320)
_SHORT_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)
_BYTES = tuple(mib << 20 for mib in (16, 32, 64, 128, 256, 512, 1024, 2048))
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1)
_STAGES = frozenset({"decode", "orient", "detect", "recognise", "wordinate", "render"})


class Metrics:
    """Counts of one server, in a registry of its own: several servers may live in one process."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        version = ["engine", "label"]
        self._requests = Counter(
            "cloister_requests",
            "Calls that ended, by gRPC code and by reason (of google.rpc.ErrorInfo; empty where all went well).",
            ["rpc", "engine", "label", "code", "reason"],
            registry=registry,
        )
        self._seconds = Histogram(
            "cloister_request_seconds",
            "From a call's arrival to its end, of those that were answered.",
            version,
            buckets=_SECONDS,
            registry=registry,
        )
        self._queue = Histogram(
            "cloister_queue_seconds", "Wait for a cell.", version, buckets=_SHORT_SECONDS, registry=registry
        )
        self._set_up = Histogram(
            "cloister_cell_setup_seconds",
            "Making of cells that served a call, mostly done before it came.",
            version,
            buckets=_SHORT_SECONDS,
            registry=registry,
        )
        self._stages = Histogram(
            "cloister_stage_seconds",
            "Time of a document by stage, all its pages together.",
            [*version, "stage"],
            buckets=_SHORT_SECONDS,
            registry=registry,
        )
        self._documents_bytes = Counter(
            "cloister_document_bytes", "Bytes of the documents that were received.", version, registry=registry
        )
        self._pages = Counter("cloister_pages", "Pages that were read.", version, registry=registry)
        self._words = Counter("cloister_words", "Words that were read.", version, registry=registry)
        self._confidence = Histogram(
            "cloister_page_confidence",
            "Mean confidence of a page's words. Its drift tells of other documents, or of another model.",
            version,
            buckets=_SHARES,
            registry=registry,
        )
        self._cells = Counter(
            "cloister_cells_ended",
            "Cells that were given a document, by how they ended (jail.result.Status).",
            [*version, "status"],
            registry=registry,
        )
        self._cell_cpu = Histogram(
            "cloister_cell_cpu_seconds",
            "CPU time of a cell, its set-up and rehearsal included.",
            version,
            buckets=_SECONDS,
            registry=registry,
        )
        self._cell_memory = Histogram(
            "cloister_cell_memory_peak_bytes",
            "The most memory a cell held beyond what it shares with its zygote.",
            version,
            buckets=_BYTES,
            registry=registry,
        )
        self._self_tests = Counter(
            "cloister_self_tests", "Self-tests of engines, by outcome.", [*version, "outcome"], registry=registry
        )
        self._reloads = Counter(
            "cloister_reloads", "Reloads and roll-backs, by outcome: done or refused.", ["outcome"], registry=registry
        )
        for outcome in ("done", "refused"):
            self._reloads.labels(outcome)

    def request(self, record: RequestRecord) -> None:
        """A call has ended."""
        version = record.engine, record.label.value
        self._requests.labels(record.rpc, *version, record.code.name, record.reason).inc()
        if not record.engine:
            return
        stages = record.stages_s
        if not record.reason and "total" in stages:
            exemplar = {"trace_id": trace_id} if (trace_id := record.trace.ids.get("trace_id")) else None
            self._seconds.labels(*version).observe(stages["total"], exemplar)
        if "queue" in stages:
            self._queue.labels(*version).observe(stages["queue"])
        if "cell_setup" in stages:
            self._set_up.labels(*version).observe(stages["cell_setup"])
        for stage in _STAGES & stages.keys():
            self._stages.labels(*version, stage).observe(stages[stage])
        self._documents_bytes.labels(*version).inc(record.document_bytes)
        self._pages.labels(*version).inc(record.pages)
        self._words.labels(*version).inc(record.words)
        for confidence in record.confidences:
            self._confidence.labels(*version).observe(confidence)
        for status in record.statuses:
            self._cells.labels(*version, status.value).inc()
        for ended in record.ended:
            ended.add_done_callback(partial(self._cell, version))

    def self_test(self, engine: str, label: str, passed: bool) -> None:
        self._self_tests.labels(engine, label, "passed" if passed else "failed").inc()

    def reload(self, done: bool) -> None:
        self._reloads.labels("done" if done else "refused").inc()

    def _cell(self, version: tuple[str, str], ended: asyncio.Future[Exit | None]) -> None:
        """A cell has been reaped. Of one whose zygote went with it nothing is known."""
        if not ended.cancelled() and (end := ended.result()) is not None:
            self._cell_cpu.labels(*version).observe(end.usage.cpu_s)
            self._cell_memory.labels(*version).observe(end.usage.memory_peak_bytes)
