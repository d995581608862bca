"""An OCR server of a worker's own, jailed like any, that nobody else can reach."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread

from structlog.typing import FilteringBoundLogger

from server import app
from server.settings import Settings


@contextmanager
def hosted(settings: Settings, log: FilteringBoundLogger) -> Iterator[str]:
    """Its address. It runs in a thread of this process, and so ends with it, however that ends.

    Raises `SettingsError` and `jail.errors.JailError` where it can't be started.
    """
    with tempfile.TemporaryDirectory(prefix="cloister-") as folder:
        # The folder is ours alone (mode 0700), and so is the socket in it.
        listen = settings.listen.model_copy(update={"address": f"unix:{folder}/socket"})
        queue = settings.queue.model_copy(update={"serve": False})
        private = settings.model_copy(update={"listen": listen, "queue": queue})
        loop = asyncio.new_event_loop()
        leave = asyncio.Event()
        started: Future[str] = Future()

        async def serve() -> None:
            try:
                async with app.running(private, log=log) as server:
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
