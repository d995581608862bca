"""Where Prometheus finds the metrics: HTTP on a port of its own, served by threads beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import start_http_server
from prometheus_client.registry import CollectorRegistry

from server.sections import Metrics
from server.settings import SettingsError


@asynccontextmanager
async def exposed(settings: Metrics, registry: CollectorRegistry) -> AsyncIterator[str]:
    """Serve ``registry`` for the length of the block; the value is its URL, "" where the settings name no address.

    Raises `SettingsError` where the address can't be listened on.
    """
    if not settings.address:
        yield ""
        return
    host, _, port = settings.address.rpartition(":")
    try:
        server, thread = start_http_server(int(port), host.strip("[]"), registry)
    except (OSError, OverflowError) as error:
        raise SettingsError(
            f"metrics.address: can't listen on {settings.address!r}: {error}; choose another, or none"
        ) from error
    try:
        yield f"http://{host}:{server.server_port}/metrics"
    finally:
        await asyncio.to_thread(server.shutdown)  # its thread may be asking the event loop
        server.server_close()
        thread.join()
