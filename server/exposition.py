"""Where Prometheus finds the metrics: HTTP on a port of its own, served by threads beside the work."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from socketserver import ThreadingMixIn
from threading import Thread
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import make_wsgi_app
from prometheus_client.registry import CollectorRegistry

from server.sections import Metrics
from server.settings import SettingsError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication

Probe = Callable[[], str]
"""Why it is not so; "" where it is."""


@contextmanager
def exposing(
    settings: Metrics, registry: CollectorRegistry, *, section: str, probes: Mapping[str, Probe] | None = None
) -> Iterator[str]:
    """Serve ``registry`` for the length of the block; the value is its URL, "" where the settings name no address.

    ``probes`` are answered at their paths, with status 200 or 503. Raises `SettingsError`, which names ``section``,
    where the address can't be listened on.
    """
    if not settings.address:
        yield ""
        return
    host, _, port = settings.address.rpartition(":")
    try:
        server = _listening(host.strip("[]"), int(port))
    except (OSError, OverflowError) as error:
        raise SettingsError(
            f"{section}.address: can't listen on {settings.address!r}: {error}; choose another, or none"
        ) from error
    server.set_app(_application(registry, probes or {}))
    thread = Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@asynccontextmanager
async def exposed(settings: Metrics, registry: CollectorRegistry) -> AsyncIterator[str]:
    """`exposing` for the section ``metrics``, on an event loop."""
    serving = exposing(settings, registry, section="metrics")
    url = serving.__enter__()
    try:
        yield url
    finally:
        await asyncio.to_thread(serving.__exit__, None, None, None)  # its thread may be asking the event loop


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _ServerV6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: it is asked all the time."""


def _listening(host: str, port: int) -> WSGIServer:
    return (_ServerV6 if ":" in host else _Server)((host, port), _Handler)


def _application(registry: CollectorRegistry, probes: Mapping[str, Probe]) -> WSGIApplication:
    metrics: WSGIApplication = make_wsgi_app(registry)

    def answer(environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        probe = probes.get(environ.get("PATH_INFO", ""))
        if probe is None:
            return metrics(environ, start)
        why = probe()
        start("503 Service Unavailable" if why else "200 OK", [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{why or 'ok'}\n".encode()]

    return answer
