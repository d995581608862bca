"""The gRPC server itself: its services, who gets through its door, and the address it listens at."""

from __future__ import annotations

from contextlib import AsyncExitStack

import grpc
from grpc_reflection.v1alpha import reflection
from structlog.typing import FilteringBoundLogger

from cloister.v1 import jobs_pb2_grpc, ocr_pb2_grpc
from server import service
from server.addresses import is_local
from server.door import certificates
from server.door.audit import audit
from server.door.guard import Guard
from server.door.interceptor import Door
from server.door.refusals import Refusals
from server.health import SERVICE_NAME, Health
from server.queue import service as job_service
from server.queue.service import JobService
from server.service import OcrService
from server.settings import Settings, SettingsError

# What a request may hold beside its document: options, and room for us to refuse one a little too large ourselves.
_MESSAGE_SLACK_BYTES = 1024 * 1024
# For the last messages to leave once every call has been answered or ended.
_FLUSH_S = 1.0
# gRPC's own default lets a client ask every five minutes whether we are still there, and hangs up on one that asks more
# often; ours asks while it waits for an answer. Asking it back ends the cells of callers that were cut off.
_KEEPALIVE = (
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    # Clients come back by name, and so find servers that were added. Calls in flight end first.
    ("grpc.max_connection_age_ms", 300_000),
)
# Calls of one connection beyond those that can be admitted: health, reflection, and documents on their way to refusal.
_SPARE_STREAMS = 16


async def listening(
    settings: Settings,
    ocr: OcrService,
    jobs: JobService | None,
    health: Health,
    *,
    log: FilteringBoundLogger,
    stack: AsyncExitStack,
) -> str:
    """Answer calls until ``stack`` ends; gives the address. Raises `SettingsError`."""
    taken_down = audit(settings.audit.to, log)
    if taken_down is not None:
        stack.callback(taken_down.close)
    places = len(settings.engines) * (settings.cells.busy + settings.limits.queue)
    server = grpc.aio.server(
        interceptors=(Door(Guard(settings.authentication, log), taken_down, Refusals(settings.limits.refusals_per_s)),),
        options=(
            ("grpc.max_receive_message_length", settings.limits.document_bytes + _MESSAGE_SLACK_BYTES),
            ("grpc.max_send_message_length", -1),
            # A connection can't make us hold more documents than can be admitted, and some to refuse.
            ("grpc.max_concurrent_streams", places + _SPARE_STREAMS),
            # Two servers on one port would each get some of the calls.
            ("grpc.so_reuseport", 0),
            *_KEEPALIVE,
        ),
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
        port = _bound(server, wanted, settings, log)
    except RuntimeError as error:
        raise SettingsError(
            f"listen.address: can't listen on {wanted!r}: it is taken or is not an address of this host; choose another"
        ) from error
    await server.start()
    stack.push_async_callback(server.stop, _FLUSH_S)
    address = wanted if wanted.startswith("unix") else f"{wanted.rpartition(':')[0]}:{port}"
    _tell_of(address, settings, log)
    return address


def _bound(server: grpc.aio.Server, wanted: str, settings: Settings, log: FilteringBoundLogger) -> int:
    """Take the address, with TLS if the settings say so, and give its port."""
    if not settings.tls.on:
        return server.add_insecure_port(wanted)
    try:
        credentials = certificates.server_credentials(settings.tls, log)
    except (OSError, ValueError) as error:
        raise SettingsError(f"tls: {error}") from error
    return server.add_secure_port(wanted, credentials)


def _tell_of(address: str, settings: Settings, log: FilteringBoundLogger) -> None:
    """Where the server listens; loudly, where others can come in without a credential or in the clear."""
    credentials, tls = settings.authentication.on, settings.tls.on
    safe = is_local(address) or (credentials and tls)
    (log.info if safe else log.warning)("listening", address=address, credentials=credentials, tls=tls)
