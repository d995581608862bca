"""A worker: fed by the broker, it has documents read by the OCR server; beside that it relays and keeps its leases."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Event, Thread

from celery import signals
from celery.exceptions import SecurityWarning
from structlog.typing import FilteringBoundLogger

from server.access import Access
from server.client import Client
from server.exposition import exposing
from server.queue import broker
from server.queue.attempt import Attempts
from server.queue.gauges import LedgerGauges
from server.queue.keeper import Keeper
from server.queue.leases import Leases
from server.queue.metrics import QueueMetrics
from server.queue.opening import Queue
from server.queue.relay import Relay
from server.settings import Settings

_IDLE_POLL_S = 0.3
# For a document to come from the store and its result to go there, beyond the time it may be read.
_STORING_S = 120.0


def work(
    settings: Settings,
    server: str,
    log: FilteringBoundLogger,
    *,
    access: Access,
    until_idle: bool = False,
) -> int:
    """Work until SIGTERM or SIGINT, then end what is in hand; or, ``until_idle``, until nothing waits.

    ``server`` is the address of the OCR server, and ``access`` what it wants to see. Documents of tenants it must let
    this worker hand in for each: by a key for the tenant "*". Returns an exit code: not 0 where Celery could not go on.
    For the main thread of a process. Raises `SettingsError` and `AccessError`.
    """
    section = settings.queue
    stop, done, ready = Event(), Event(), Event()
    with ExitStack() as stack:
        queue = Queue.opened(section)
        stack.callback(queue.close)
        # The ledger has documents tried again.
        client = stack.enter_context(Client(server, deadline_s=section.deadline_s, access=access, retries=False))
        leases = Leases(queue.ledger.prepare(), section.lease_s)
        keeper = Keeper(leases, section.lease_s, section.deadline_s + _STORING_S, log)
        app = broker.application(section)
        metrics = QueueMetrics()
        LedgerGauges(queue.ledger).add_to(metrics.registry)
        attempts = Attempts(
            client,
            queue.store,
            leases,
            keeper,
            log,
            attempts=section.attempts,
            deadline_s=section.deadline_s,
            stop=stop,
            metrics=metrics,
        )
        broker.task(app, attempts.make)
        relay = Relay(
            queue.ledger,
            leases,
            queue.store,
            broker.CeleryBroker(app),
            log,
            losses=section.losses,
            resend_s=section.resend_s,
            keep_days=section.keep_days,
            lost=metrics.lost,
        )
        stack.enter_context(_logging(log))
        # It warns of root, whom a message could make run what it likes; ours hold an id, and no other kind is taken.
        warnings.simplefilter("ignore", SecurityWarning)
        stack.enter_context(_told(ready, stop))
        worker = app.Worker(
            hostname=f"cloister-{secrets.token_hex(4)}@%h",
            pool="threads",
            concurrency=section.concurrency,
            without_gossip=True,
            without_mingle=True,
            quiet=True,
            loglevel=logging.WARNING,
        )
        threads = []
        for name, target, arguments in (
            ("keeper", keeper.run, (stop, settings.limits.drain_s, done)),
            ("relay", relay.run, (section.poll_s, stop)),
            *((("idle", _until_idle, (leases, stop)),) if until_idle else ()),
        ):
            thread = Thread(target=target, args=arguments, name=name, daemon=True)
            threads.append(thread)
            thread.start()
            stack.callback(thread.join)
        stack.callback(done.set)
        stack.callback(stop.set)

        def broken() -> str:
            ended = [thread.name for thread in threads if not thread.is_alive()]
            return f"ended: {', '.join(ended)}" if ended and not stop.is_set() else ""

        probes = {
            "/healthz": broken,
            "/readyz": lambda: "" if ready.is_set() and not stop.is_set() else "not fed by the broker",
        }
        url = stack.enter_context(exposing(section.metrics, metrics.registry, section="queue.metrics", probes=probes))
        log.info("working", metrics=url, server=server, jobs=queue.ledger.place, store=queue.store.place)
        worker.start()
    code = int(worker.exitcode or 0)
    (log.error if code else log.info)("stopped", code=code)
    return code


def _until_idle(leases: Leases, stop: Event) -> None:
    """Ask this process to end, as its operator would, once no reading is open."""
    while not stop.wait(_IDLE_POLL_S):
        if not leases.unended():
            os.kill(os.getpid(), signal.SIGTERM)
            return


@contextmanager
def _told(ready: Event, stop: Event) -> Iterator[None]:
    """Set ``ready`` once the broker feeds this worker, and ``stop`` when it is to end."""

    def on_ready(**_: object) -> None:
        ready.set()

    def on_shutdown(**_: object) -> None:
        stop.set()

    signals.worker_ready.connect(on_ready, weak=False)
    signals.worker_shutting_down.connect(on_shutdown, weak=False)
    try:
        yield
    finally:
        signals.worker_ready.disconnect(on_ready)
        signals.worker_shutting_down.disconnect(on_shutdown)


@contextmanager
def _logging(log: FilteringBoundLogger) -> Iterator[None]:
    """What Celery has to warn of, in our log; it would set up logging for the whole process otherwise."""

    def on_setup(**_: object) -> None: ...

    handler = _Handler(log)
    celery = logging.getLogger("celery")
    signals.setup_logging.connect(on_setup, weak=False)
    celery.addHandler(handler)
    try:
        yield
    finally:
        celery.removeHandler(handler)
        signals.setup_logging.disconnect(on_setup)


class _Handler(logging.Handler):
    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        # What it says of, without the arguments: they may hold the text of an error, and that anything.
        said = record.msg.strip().partition("\n")[0] if isinstance(record.msg, str) else ""
        self._log.warning("celery", part=record.name, said=said, error=error)
