"""Puts a server together: engines in their pools, the RPCs, health and reflection; starts it, and ends it without loss.

    async with running(settings) as server:
        ...  # server.address answers

Health (`grpc.health.v1`, for "" and for the service's name) is SERVING only while every engine can serve: not while
engines load, not while draining, not when a pool has lost its zygote. For "cloister.jail" it is SERVING only while no
layer of the jail is off either.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import grpc
from grpc_reflection.v1alpha import reflection
from structlog.typing import FilteringBoundLogger

from cloister.v1 import jobs_pb2_grpc, ocr_pb2_grpc
from jail import proving
from jail.errors import JailError
from jail.pool import Pool
from jail.spec import Layers, Limits
from server import catalogue, service, telemetry, violations
from server.admission import Admission
from server.catalogue import EngineEntry
from server.comparison import Rules
from server.experiments import Experiments
from server.health import SERVICE_NAME, Health
from server.hosts import EngineHost
from server.queue import service as job_service
from server.queue.opening import Queue
from server.queue.service import JobService
from server.records.opening import opened
from server.records.recorder import Recorder
from server.service import OcrService
from server.settings import Settings, SettingsError, is_local
from server.shadow import Shadow

# What a request may hold beside its document: options, and room for us to refuse one a little too large ourselves.
_MESSAGE_SLACK_BYTES = 1024 * 1024
# For the last messages to leave once every call has been answered or ended.
_FLUSH_S = 1.0
# This host does not change while the process lives: once is enough for all its servers.
_proven: set[Layers] = set()
# Calls of one connection beyond those that can be admitted: health, reflection, and documents on their way to refusal.
_SPARE_STREAMS = 16


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that answers at ``address``, which a gRPC channel takes as its target."""

    address: str
    hosts: tuple[EngineHost, ...]
    force: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it to end the requests in flight instead of waiting for them."""


@asynccontextmanager
async def running(
    settings: Settings,
    entries: Iterable[EngineEntry] | None = None,
    log: FilteringBoundLogger | None = None,
    candidates: Iterable[EngineEntry] | None = None,
) -> AsyncIterator[RunningServer]:
    """Run a server for the length of the block. Leaving it drains: see `Settings.limits.drain_s`.

    ``entries`` are the engines to run and ``candidates`` those in the shadow, by default as the settings name. While
    engines load, the server already listens and says STARTING; for candidates nothing waits. Raises `SettingsError`,
    and `jail.errors.JailError` where a pool can't be started.
    """
    log = log or telemetry.logger(settings.log.format)
    entries = catalogue.installed(settings) if entries is None else tuple(entries)
    candidates = catalogue.candidates(settings) if candidates is None else tuple(candidates)
    experiments = _experiments(settings, entries, candidates, log)
    ocr = OcrService(settings, log)
    jobs = _jobs(settings, entries, log)
    health = Health((service.NAME, *((job_service.NAME,) if jobs is not None else ())))
    await health.set(serving=False)
    grpc_server, address = await _listening(settings, ocr, jobs, health)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(grpc_server.stop, _FLUSH_S)
        (log.info if is_local(address) else log.warning)("listening", address=address)
        async with _proving(settings, log):
            hosts = await _started(settings, entries, stack)
        server = RunningServer(address, hosts)
        stack.push_async_callback(ocr.drain, settings.limits.drain_s, server.force)
        if jobs is not None:
            stack.push_async_callback(jobs.drain, settings.limits.drain_s)
        stack.push_async_callback(health.shut_down)
        shadow = None
        if experiments is not None and candidates:
            recorder = _recorder(settings, log)
            if recorder is not None:
                await stack.enter_async_context(recorder.running())
            shadow = _shadow(settings, hosts, experiments, recorder, log)
            for entry in candidates:
                await stack.enter_async_context(_background(_candidate(settings, entry, shadow, log)))
            await stack.enter_async_context(shadow.running())
        ocr.serve(hosts, experiments, shadow)
        await stack.enter_async_context(_background(health.watch(hosts, log)))
        await stack.enter_async_context(_background(violations.watch(hosts, log)))
        for host in hosts:
            off = sorted(host.pool.layers_off)
            (log.warning if off else log.info)(
                "engine", engine=host.entry.name, version=host.entry.version, layers_off=off
            )
        yield server
        log.info("draining", limit_s=settings.limits.drain_s)
    log.info("stopped")


async def serve(settings: Settings, entries: Iterable[EngineEntry] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then drain. A second signal ends the requests in flight."""
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

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        async with running(settings, entries) as server:
            await asked.wait()
    except asyncio.CancelledError:
        if not asked.is_set():
            raise


async def _listening(
    settings: Settings, ocr: OcrService, jobs: JobService | None, health: Health
) -> tuple[grpc.aio.Server, str]:
    places = len(settings.engines) * (settings.cells.busy + settings.limits.queue)
    server = grpc.aio.server(
        options=(
            ("grpc.max_receive_message_length", settings.limits.document_bytes + _MESSAGE_SLACK_BYTES),
            ("grpc.max_send_message_length", -1),
            # A connection can't make us hold more documents than can be admitted, and some to refuse.
            ("grpc.max_concurrent_streams", places + _SPARE_STREAMS),
            # Two servers on one port would each get some of the calls.
            ("grpc.so_reuseport", 0),
        )
    )
    ocr_pb2_grpc.add_OcrServiceServicer_to_server(ocr, server)
    names = [service.NAME, SERVICE_NAME, reflection.SERVICE_NAME]
    if jobs is not None:
        jobs_pb2_grpc.add_JobServiceServicer_to_server(jobs, server)
        names.append(job_service.NAME)
    health.add_to(server)
    reflection.enable_server_reflection(names, server)
    wanted = settings.listen.address
    try:
        port = server.add_insecure_port(wanted)
    except RuntimeError as error:
        raise SettingsError(
            f"listen.address: can't listen on {wanted!r}: it is taken or is not an address of this host; choose another"
        ) from error
    await server.start()
    return server, wanted if wanted.startswith("unix") else f"{wanted.rpartition(':')[0]}:{port}"


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


async def _started(settings: Settings, entries: Iterable[EngineEntry], stack: AsyncExitStack) -> tuple[EngineHost, ...]:
    """Start the pools; ``stack`` closes them."""
    hosts = tuple(EngineHost(entry, _pool(settings, entry), _admission(settings)) for entry in entries)
    for host in hosts:
        stack.push_async_callback(host.pool.close, grace_s=0)
        await host.pool.start()
    return hosts


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
    controls: tuple[EngineHost, ...],
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


def _jobs(settings: Settings, entries: Iterable[EngineEntry], log: FilteringBoundLogger) -> JobService | None:
    if not settings.queue.serve:
        return None
    return JobService(Queue.opened(settings.queue), entries, settings.limits.document_bytes, log)


def _recorder(settings: Settings, log: FilteringBoundLogger) -> Recorder | None:
    store = opened(settings)
    return None if store is None else Recorder(store, log)


async def _candidate(settings: Settings, entry: EngineEntry, shadow: Shadow, log: FilteringBoundLogger) -> None:
    """A candidate's life: a pool of its own. One that can't be started is reported, and that is all."""
    pool = _pool(settings, entry, busy=settings.shadow.cells, idle=1, background=True)
    try:
        await pool.start()
    except JailError as error:
        log.error("no candidate", engine=entry.name, why=str(error))
        return
    try:
        shadow.add(EngineHost(entry, pool, Admission(settings.shadow.cells, settings.shadow.queue)))
        log.info("candidate", engine=entry.name, version=entry.version)
        await asyncio.Event().wait()
    finally:
        await pool.close(grace_s=0)


def _pool(
    settings: Settings,
    entry: EngineEntry,
    *,
    busy: int | None = None,
    idle: int | None = None,
    background: bool = False,
) -> Pool:
    cells = settings.cells
    return Pool(
        entry.zygote,
        Limits(
            memory_bytes=max(cells.memory_bytes, entry.limits.memory_bytes),
            pids=max(cells.pids, entry.limits.pids),
            cpu_s=cells.cpu_s,
            cpus=cells.cpus,
            reply_bytes=cells.reply_bytes,
            background=background,
        ),
        busy=busy or cells.busy,
        idle=idle or cells.idle,
        layers=Layers(settings.jail.dangerously_without, settings.jail.cgroup_parent),
    )


def _admission(settings: Settings) -> Admission:
    return Admission(settings.cells.busy, settings.limits.queue)


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
