"""Puts a server together: engines in their pools, the RPCs, health and reflection; starts it, and ends it without loss.

    async with running(settings) as server:
        ...  # server.address answers

Health (`grpc.health.v1`, for "" and for the service's name) is SERVING only while every engine can serve: not while
engines load, not while draining, not when a pool has lost its zygote or fails its self-test. For "cloister.jail" it is
SERVING only while no layer of the jail is off either; for "cloister.engine.NAME" while that engine can serve.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from structlog.typing import FilteringBoundLogger

from jail import proving
from jail.errors import JailError
from jail.spec import Layers
from server import catalogue, service, telemetry, tracing, violations
from server.admission import Admission
from server.catalogue import EngineEntry
from server.comparison import Rules
from server.experiments import Experiments
from server.exposition import exposed
from server.gauges import Gauges, Sight
from server.health import Health
from server.hosts import EngineHost, Label
from server.lineup import Lineup
from server.listening import listening
from server.metrics import Metrics
from server.pools import pool
from server.queue import service as job_service
from server.queue.gauges import LedgerGauges
from server.queue.opening import Queue
from server.queue.service import JobService
from server.quotas import Quotas
from server.records.opening import opened
from server.records.recorder import Recorder
from server.reload import Reloader, Sources
from server.selftest import SelfTests
from server.service import OcrService
from server.settings import Settings
from server.shadow import Shadow
from server.tracing import Tracer

# This host does not change while the process lives: once is enough for all its servers.
_proven: set[Layers] = set()


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that answers at ``address``, which a gRPC channel takes as its target."""

    address: str
    lineup: Lineup
    reloader: Reloader
    metrics_url: str = ""
    """Where Prometheus finds the metrics; "" where that is nowhere."""
    force: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it to end the requests in flight instead of waiting for them."""

    @property
    def hosts(self) -> tuple[EngineHost, ...]:
        """The versions of engines that take requests at this moment."""
        return tuple(self.lineup)


@asynccontextmanager
async def running(
    settings: Settings,
    entries: Iterable[EngineEntry] | None = None,
    log: FilteringBoundLogger | None = None,
    candidates: Iterable[EngineEntry] | None = None,
    *,
    sources: Sources | None = None,
    tracer: Tracer | None = None,
) -> AsyncIterator[RunningServer]:
    """Run a server for the length of the block. Leaving it drains: see `Settings.limits.drain_s`.

    ``entries`` are the engines to run and ``candidates`` those in the shadow, by default as the settings name. While
    engines load, the server already listens and says STARTING; for candidates nothing waits. ``sources`` say what a
    reload takes; without them, the same again. Raises `SettingsError`, and `jail.errors.JailError` where a pool can't
    be started.
    """
    log = log or telemetry.logger(settings.log.format)
    sources = sources or Sources.fixed(settings, entries)
    entries = tuple(sources.engines(settings))
    canaries = tuple(sources.canaries(settings))
    candidates = catalogue.candidates(settings) if candidates is None else tuple(candidates)
    experiments = _experiments(settings, entries, candidates, log)
    metrics, lineup, quotas = Metrics(), Lineup(), Quotas(settings.quotas)
    tracer = tracer or tracing.tracer(settings.tracing)
    ocr = OcrService(settings, log, metrics, tracer)
    jobs = _jobs(settings, lambda: [host.entry for host in lineup] or entries, metrics, log)
    health = Health(
        (service.NAME, *((job_service.NAME,) if jobs is not None else ())), [entry.name for entry in entries]
    )
    await health.start()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, tracer.close)
        address = await listening(settings, ocr, jobs, health, log=log, stack=stack)
        metrics_url = await stack.enter_async_context(exposed(settings.metrics, metrics.registry))
        stack.push_async_callback(lineup.close)

        async def start(settings: Settings, entry: EngineEntry, label: Label) -> EngineHost:
            return await _started(settings, entry, label, lineup, quotas)

        async with _proving(settings, log):
            for entry in entries:
                lineup.take(await start(settings, entry, Label.STABLE))
            for entry in canaries:
                lineup.take(await start(settings, entry, Label.CANARY))
        reloader = Reloader(lineup, settings, sources=sources, start=start, apply=ocr.apply, metrics=metrics, log=log)
        server = RunningServer(address, lineup, reloader, metrics_url)
        stack.push_async_callback(ocr.drain, settings.limits.drain_s, server.force)
        if jobs is not None:
            stack.push_async_callback(jobs.drain, settings.limits.drain_s)
        stack.push_async_callback(health.shut_down)
        shadow = None
        if experiments is not None and candidates:
            recorder = _recorder(settings, log)
            if recorder is not None:
                await stack.enter_async_context(recorder.running())
            shadow = _shadow(settings, lineup, experiments, recorder, log)
            for entry in candidates:
                await stack.enter_async_context(_background(_candidate(settings, entry, shadow, log)))
            await stack.enter_async_context(shadow.running())
        ocr.serve(lineup, experiments, shadow)
        self_tests = SelfTests(lineup, settings.health.self_test_s, metrics, log)
        lineup.fault = self_tests.why
        sight = Sight(
            lineup,
            serving=lambda: health.serving,
            passes=lambda host: not self_tests.why(host),
            tally=lambda: None if shadow is None else shadow.tally,
        )
        Gauges(sight, asyncio.get_running_loop()).add_to(metrics.registry)
        await stack.enter_async_context(_background(health.watch(lineup, log, self_tests.why)))
        await stack.enter_async_context(_background(violations.watch(lineup, log)))
        await stack.enter_async_context(_background(self_tests.run()))
        for host in lineup:
            off = sorted(host.pool.layers_off)
            (log.warning if off else log.info)("engine", engine=host.name, version=host.entry.version, layers_off=off)
        yield server
        log.info("draining", limit_s=settings.limits.drain_s)
    log.info("stopped")


async def serve(
    settings: Settings, entries: Iterable[EngineEntry] | None = None, sources: Sources | None = None
) -> None:
    """Serve until SIGTERM or SIGINT, then drain. A second signal ends the requests in flight.

    SIGHUP reloads, SIGUSR2 rolls back: see `server.reload`.
    """
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    starting = asyncio.current_task()
    server: RunningServer | None = None

    def on_signal() -> None:
        if asked.is_set() and server is not None:
            server.force.set()
        elif server is None and not asked.is_set() and starting is not None:
            starting.cancel()
        asked.set()

    def on_change(roll_back: bool) -> None:
        if server is not None and not asked.is_set():
            server.reloader.ask(server.reloader.roll_back if roll_back else server.reloader.reload)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    loop.add_signal_handler(signal.SIGHUP, on_change, False)
    loop.add_signal_handler(signal.SIGUSR2, on_change, True)
    try:
        async with running(settings, entries, sources=sources) as server:
            await asked.wait()
            await server.reloader.close()
    except asyncio.CancelledError:
        if not asked.is_set():
            raise


@asynccontextmanager
async def _proving(settings: Settings, log: FilteringBoundLogger) -> AsyncIterator[None]:
    """Have real cells try the jail while engines load. Leaving waits for them; raises `JailError` where it fails."""
    layers = Layers(settings.jail.dangerously_without, settings.jail.cgroup_parent)
    if layers in _proven:
        yield
        return
    proof = asyncio.create_task(proving.prove(layers))
    try:
        yield
        found = await proof
    finally:
        proof.cancel()
        await asyncio.wait([proof])
        if not proof.cancelled():
            proof.exception()  # told of below, or not as telling as what kept the engines from starting
    for layer, why in found.broken:
        log.error("jail", layer=layer.value, why=why)
    if not found.named:
        log.warning("violations can not be named", why="the kernel, or another filter, leaves no means to hear of them")
    found.check()
    _proven.add(layers)


async def _started(settings: Settings, entry: EngineEntry, label: Label, lineup: Lineup, quotas: Quotas) -> EngineHost:
    """A version of an engine that is ready; it shares the admission of those that are there."""
    there = lineup.named(entry.name)
    canary = label is Label.CANARY
    host = EngineHost(
        entry,
        pool(settings, entry, idle=1 if canary else None),
        there.admission if there is not None else Admission(settings.cells.busy, settings.limits.queue, quotas),
        label,
    )
    await host.pool.start()
    return host


def _experiments(
    settings: Settings, entries: Iterable[EngineEntry], candidates: Iterable[EngineEntry], log: FilteringBoundLogger
) -> Experiments | None:
    if settings.experiments.flags is None:
        return None
    return Experiments(
        settings.experiments.flags,
        default=settings.default,
        engines=[entry.name for entry in entries],
        candidates=[entry.name for entry in candidates],
        overriders=settings.experiments.overriders,
        log=log,
    )


def _shadow(
    settings: Settings,
    controls: Lineup,
    experiments: Experiments,
    recorder: Recorder | None,
    log: FilteringBoundLogger,
) -> Shadow:
    shadow = settings.shadow
    return Shadow(
        queue=shadow.queue,
        at_once=shadow.cells,
        deadline_s=shadow.deadline_s,
        rules=Rules(shadow.ignore_case, shadow.ignore_punctuation, shadow.ignore_white_space),
        enabled=lambda: experiments.enabled,
        busy=lambda: any(host.admission.waiting for host in controls),
        log=log,
        publish=None if recorder is None else recorder.put,
        keeps=recorder is not None and recorder.keeps_documents,
    )


def _jobs(
    settings: Settings, entries: Callable[[], Iterable[EngineEntry]], metrics: Metrics, log: FilteringBoundLogger
) -> JobService | None:
    if not settings.queue.serve:
        return None
    queue = Queue.opened(settings.queue)
    LedgerGauges(queue.ledger).add_to(metrics.registry)
    return JobService(queue, entries, settings.limits.document_bytes, log)


def _recorder(settings: Settings, log: FilteringBoundLogger) -> Recorder | None:
    store = opened(settings)
    return None if store is None else Recorder(store, log)


async def _candidate(settings: Settings, entry: EngineEntry, shadow: Shadow, log: FilteringBoundLogger) -> None:
    """A candidate's life: a pool of its own. One that can't be started is reported, and that is all."""
    cells = pool(settings, entry, busy=settings.shadow.cells, idle=1, background=True)
    try:
        await cells.start()
    except JailError as error:
        log.error("no candidate", engine=entry.name, why=str(error))
        return
    try:
        shadow.add(EngineHost(entry, cells, Admission(settings.shadow.cells, settings.shadow.queue)))
        log.info("candidate", engine=entry.name, version=entry.version)
        await asyncio.Event().wait()
    finally:
        await cells.close(grace_s=0)


@asynccontextmanager
async def _background(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Run ``work`` beside the block and end it with the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
