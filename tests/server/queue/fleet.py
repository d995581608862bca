"""A server, workers and a queue between them, each a process of its own that can be killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import grpc

from cloister.v1 import ocr_pb2
from server.access import Access
from server.client import Client
from server.errors import OverloadedError, TransportError
from server.queue.job import Job, State
from server.queue.opening import Queue
from server.queue.settings import Queue as QueueSettings

ROOT = Path(__file__).parents[3]
PATIENCE_S = 240.0
"""For what takes a second on a machine that is not loaded."""
ENGINES = "tiny 1.0 tiny-1"


def settled(what: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
    """Wait until ``what`` is so."""
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, f"not so within {within_s:g} s"
        time.sleep(0.1)


def free_address() -> str:
    """On loopback, for a server that is to keep it over restarts."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


class Server:
    """`tests.server.serve_tiny` at an address that stays over restarts."""

    def __init__(self, folder: Path, busy: int = 2, name: str = "socket", **more: str) -> None:
        """``more`` are settings by the names of their variables, LIMITS__PAGES="3"."""
        self.address = more.get("LISTEN__ADDRESS", f"unix:{folder}/{name}")
        settings = {"ENGINES": '["tiny"]', "LISTEN__ADDRESS": self.address, "CELLS__BUSY": str(busy), **more}
        self._environment = environment(settings | {"CELLS__IDLE": "1", "CELLS__CPU_S": "20", "LIMITS__QUEUE": "2"})
        self._tls = "TLS__CERTIFICATE" in more
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.server.serve_tiny", "0"]
        self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stderr=subprocess.DEVNULL)

    def ready(self) -> None:
        with grpc.insecure_channel(self.address, (("grpc.max_reconnect_backoff_ms", 500),)) as channel:
            grpc.channel_ready_future(channel).result(timeout=PATIENCE_S)

    def serving(self, access: Access | None = None) -> None:
        """Wait until it reads documents."""
        with Client(self.address, access=access or Access(), retries=False) as client:
            settled(lambda: _reads(client))

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        self.start()
        try:
            if not self._tls:
                self.ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


@dataclass
class Fleet:
    """A queue and its workers, who have documents read at ``address``."""

    settings: QueueSettings
    address: str
    log: Path
    queue: Queue = field(init=False)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    access: dict[str, str] = field(default_factory=dict)
    """What workers find in their environment to show the server: CA, TOKEN and the like."""

    def __post_init__(self) -> None:
        self.queue = Queue.opened(self.settings)

    def work(self) -> subprocess.Popen[bytes]:
        """Start another worker."""
        command = [sys.executable, "-m", "server.cli", "worker", "--server", self.address]
        values = self.settings.model_dump(mode="json", exclude={"store_options", "metrics"})
        given = {f"QUEUE__{name.upper()}": str(value) for name, value in values.items()}
        with self.log.open("ab") as log:
            worker = subprocess.Popen(
                command, cwd=ROOT, env=environment(given | self.access | {"LOG__FORMAT": "json"}), stderr=log
            )
        self.workers.append(worker)
        return worker

    def submit(self, text: str | bytes, *outputs: ocr_pb2.Output.ValueType) -> Job:
        options = ocr_pb2.RecognizeOptions(outputs=outputs)
        return self.queue.submit(text.encode() if isinstance(text, str) else text, options, engines=ENGINES)

    def state(self, job: Job) -> State:
        return self.queue.ledger.job(job.id).state

    def ended(self, *jobs: Job) -> list[Job]:
        """``jobs``, once they have all ended."""
        settled(lambda: all(self.state(job).ended for job in jobs))
        return [self.queue.ledger.job(job.id) for job in jobs]

    def text(self, job: Job) -> str:
        return self.queue.result(job).text

    def results(self) -> list[str]:
        """All that lies in the store as a result of anything."""
        return self.queue.store.names("results")

    def said(self, event: str) -> int:
        """How often workers logged ``event``."""
        return self.log.read_text().count(f'"event": "{event}"')

    def end(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.queue.close()


def _reads(client: Client) -> bool:
    try:
        client.recognize(b"x")
    except (OverloadedError, TransportError):
        return False
    return True


@contextmanager
def fleet(folder: Path, address: str, access: dict[str, str] | None = None, **settings: object) -> Iterator[Fleet]:
    """Quick to notice and to try again; one worker runs."""
    quick = {"poll_s": 0.2, "lease_s": 3.0, "resend_s": 3.0, "concurrency": 2, "deadline_s": 60.0}
    made = Fleet(QueueSettings.model_validate({"folder": folder, **quick, **settings}), address, folder.parent / "log")
    made.access = access or {}
    try:
        made.work()
        yield made
    finally:
        made.end()


def environment(settings: dict[str, str]) -> dict[str, str]:
    paths = {"PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"}
    return {**os.environ, **paths, **{f"CLOISTER_{name}": value for name, value in settings.items()}}


def kill(worker: subprocess.Popen[bytes]) -> None:
    worker.send_signal(signal.SIGKILL)
    worker.wait()
