"""A server for ourselves alone, jailed like any, that nobody else can reach."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread

from structlog.typing import FilteringBoundLogger

from server import app
from server.door.settings import Audit, Authentication, Tls
from server.sections import Metrics
from server.settings import Settings


def private(settings: Settings, address: str) -> Settings:
    """Settings of a server for ourselves alone, at an address that nobody else can reach: no credentials, no TLS."""
    listen = settings.listen.model_copy(update={"address": address})
    queue = settings.queue.model_copy(update={"serve": False})
    ours = {"listen": listen, "tls": Tls(), "authentication": Authentication(), "audit": Audit(), "queue": queue}
    # The port for metrics may be taken by the server that the settings were written for.
    return settings.model_copy(update={**ours, "metrics": Metrics()})


@contextmanager
def hosted(settings: Settings, log: FilteringBoundLogger) -> Iterator[str]:
    """Its address. It runs in a thread of this process, and so ends with it, however that ends.

    Raises `SettingsError` and `jail.errors.JailError` where it can't be started.
    """
    with tempfile.TemporaryDirectory(prefix="cloister-") as folder:
        # The folder is ours alone (mode 0700), and so is the socket in it.
        ours = private(settings, f"unix:{folder}/socket")
        loop = asyncio.new_event_loop()
        leave = asyncio.Event()
        started: Future[str] = Future()

        async def serve() -> None:
            try:
                async with app.running(ours, log=log) as server:
                    started.set_result(server.address)
                    await leave.wait()
            except BaseException as error:
                if started.done():
                    raise
                started.set_exception(error)

        thread = Thread(target=loop.run_until_complete, args=(serve(),), name="server", daemon=True)
        thread.start()
        try:
            yield started.result()
        finally:
            loop.call_soon_threadsafe(leave.set)
            thread.join()
            loop.close()
