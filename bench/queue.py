"""Documents through the queue while its workers, its broker and its server are killed: what is lost, what is doubled.

``python -m bench.queue [--documents N] [--broker folder|redis|rabbitmq] [--every SECONDS] [--json]``

Real processes all: the server with its cells, two workers, the broker; one of them gets SIGKILL every few seconds and
is started again, while documents are still being handed in. Each document is a small page of a size of its own, which
its result must show. Of a hundred documents one is damaged, and must end as a dead letter; and two are handed in twice,
and must be read once. Exits with 1 where a document was lost, doubled, or got another's result.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Event, Thread
from typing import Annotated

import grpc
import typer
from grpc_health.v1 import health_pb2, health_pb2_grpc
from PIL import Image, ImageDraw

from bench.brokers import LocalBroker, RabbitMQ, Redis
from cloister.v1 import ocr_pb2
from server.errors import Reason
from server.queue.job import Job, State
from server.queue.opening import Queue
from server.queue.settings import Queue as QueueSettings

_WORKERS = 2
_DAMAGED_EVERY = 100
_TWICE_EVERY = 50
_WIDTHS = 64
_START_S = 300.0
_STALLED_S = 300.0
"""Without a document ended for so long, those that are left count as lost."""
_ENGINES = "bench"


class BrokerKind(StrEnum):
    FOLDER = "folder"
    REDIS = "redis"
    RABBITMQ = "rabbitmq"


class Process:
    """A process that is started again when it was killed."""

    def __init__(self, name: str, arguments: list[str], environment: dict[str, str], log: Path) -> None:
        self.name = name
        self._command = [sys.executable, "-m", "server.cli", *arguments]
        self._environment = {**os.environ, **{f"CLOISTER_{key}": value for key, value in environment.items()}}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._environment, stderr=log)

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def restart(self) -> None:
        self.kill()
        self.start()

    def keep_running(self) -> None:
        """Start it anew where it has ended by itself, as whatever supervises it would."""
        if self._process is not None and self._process.poll() is not None:
            self.start()


@dataclass(frozen=True, slots=True)
class Handed:
    """A document that was handed in: its job, and what must come of it."""

    job: Job
    size: tuple[int, int] | None
    """Width and height in px; None for a damaged one."""


class Killer:
    """Kills one of ``victims`` every ``every_s`` seconds on average, each kind as often as the others."""

    def __init__(self, victims: dict[str, list[Callable[[], None]]], every_s: float, chance: random.Random) -> None:
        self._victims = victims
        self._every_s = every_s
        self._chance = chance
        self.kills: Counter[str] = Counter()
        self.error: Exception | None = None

    def run(self, done: Event) -> None:
        kinds = itertools.cycle(self._victims)
        while not done.wait(self._every_s * self._chance.uniform(0.5, 1.5)):
            kind = next(kinds)
            try:
                self._chance.choice(self._victims[kind])()
            except Exception as error:  # a broker that does not start again: the bench must not go on without
                self.error = error
                return
            self.kills[kind] += 1


def main(
    *,
    documents: Annotated[int, typer.Option(help="how many", min=1)] = 2000,
    broker: Annotated[BrokerKind, typer.Option(help="what carries messages")] = BrokerKind.REDIS,
    every: Annotated[float, typer.Option(help="seconds between kills, on average; none if 0", min=0)] = 8.0,
    seed: Annotated[int, typer.Option()] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON on one line")] = False,
) -> None:
    """Hand in the documents, kill meanwhile, and count."""
    chance = random.Random(seed)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cloister-queue-")))
        service = None if broker is BrokerKind.FOLDER else stack.enter_context(_BROKERS[broker]())
        settings = QueueSettings(
            folder=folder / "queue",
            broker="" if service is None else service.url,
            lease_s=5.0,
            resend_s=5.0,
            poll_s=0.5,
        )
        queue = Queue.opened(settings)
        stack.callback(queue.close)
        address = f"unix:{folder}/socket"
        server, workers = _processes(folder, address, settings)
        for process in (server, *workers):
            stack.callback(process.kill)
            process.start()
        killer = Killer(_victims(server, address, workers, service), every, chance)
        done = Event()
        killing = Thread(target=killer.run, args=(done,), daemon=True)
        started_s = time.monotonic()
        if every:
            killing.start()
        stack.callback(done.set)
        handed = _hand_in(queue, documents)
        _await(queue, handed, killer)
        seconds = time.monotonic() - started_s
        done.set()
        found = _count(queue, handed)
        tries = sum((folder / "log").read_text().count(f'"event": "{event}"') for event in ("read", "put back"))
    report = {
        "documents": documents,
        "jobs": len(handed),
        "broker": broker.value,
        "kills": dict(killer.kills),
        **found,
        "tries": tries,
        "seconds": round(seconds, 1),
        "documents_per_s": round(documents / seconds, 2),
    }
    json.dump(report, sys.stdout, indent=None if as_json else 2)
    print()
    if found["lost"] or found["doubled"] or found["wrong"] or killer.error is not None:
        if killer.error is not None:
            print(f"a kill failed: {killer.error}", file=sys.stderr)
        raise typer.Exit(1)


_BROKERS: dict[BrokerKind, Callable[[], LocalBroker]] = {BrokerKind.REDIS: Redis, BrokerKind.RABBITMQ: RabbitMQ}


def _processes(folder: Path, address: str, settings: QueueSettings) -> tuple[Process, list[Process]]:
    log = {"LOG__FORMAT": "json"}
    server = Process("server", ["serve"], {**log, "LISTEN__ADDRESS": address}, folder / "server.log")
    values = settings.model_dump(mode="json", exclude={"store_options", "metrics"})
    given = {f"QUEUE__{name.upper()}": str(value) for name, value in values.items()}
    workers = [
        Process(f"worker {number}", ["worker", "--server", address], {**log, **given}, folder / "log")
        for number in range(_WORKERS)
    ]
    return server, workers


def _restart_server(server: Process, address: str) -> None:
    """Kill it, start it anew, and wait until it serves: one that only ever starts would tell nothing."""
    server.restart()
    deadline = time.monotonic() + _START_S
    with grpc.insecure_channel(address, (("grpc.max_reconnect_backoff_ms", 500),)) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        while time.monotonic() < deadline:
            try:
                answer = health.Check(health_pb2.HealthCheckRequest(), timeout=5)
            except grpc.RpcError:
                server.keep_running()
                time.sleep(0.5)
                continue
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return
            time.sleep(0.2)
    raise TimeoutError(f"the server did not serve within {_START_S:.0f} s")


def _victims(
    server: Process, address: str, workers: list[Process], service: LocalBroker | None
) -> dict[str, list[Callable[[], None]]]:
    victims: dict[str, list[Callable[[], None]]] = {
        "worker": [worker.restart for worker in workers],
        "server": [lambda: _restart_server(server, address)],
    }
    if service is not None:
        victims["broker"] = [service.restart]
    return victims


def _hand_in(queue: Queue, documents: int) -> list[Handed]:
    handed = []
    for number in range(documents):
        page, size = _page(number)
        damaged = number % _DAMAGED_EVERY == _DAMAGED_EVERY // 2
        document = page[: len(page) // 2] if damaged else page
        for _ in range(2 if number % _TWICE_EVERY == 0 else 1):
            job = queue.submit(document, ocr_pb2.RecognizeOptions(), engines=_ENGINES, name=str(number))
            handed.append(Handed(job, None if damaged else size))
    return handed


def _page(number: int) -> tuple[bytes, tuple[int, int]]:
    """A page that says its number and has a size that no other of the bench has."""
    size = (80 + number % _WIDTHS, 30 + number // _WIDTHS)
    image = Image.new("L", size, 255)
    ImageDraw.Draw(image).text((10, 8), str(number), fill=0)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue(), size


def _await(queue: Queue, handed: list[Handed], killer: Killer) -> None:
    """Until all have ended, or nothing has for a long time."""
    open_ = -1
    moved_s = time.monotonic()
    while killer.error is None:
        counts = queue.ledger.counts()
        left = counts[State.WAITING] + counts[State.RUNNING]
        if left != open_:
            open_, moved_s = left, time.monotonic()
            print(f"\r{left} left ", end="", file=sys.stderr, flush=True)
        if not left or time.monotonic() - moved_s > _STALLED_S:
            break
        time.sleep(0.5)
    print(file=sys.stderr)


def _count(queue: Queue, handed: list[Handed]) -> dict[str, int]:
    lost = wrong = dead = unended = 0
    readings = {}
    for one in handed:
        job = queue.ledger.job(one.job.id)
        readings[job.reading] = job
        if job.state is State.DEAD and one.size is None and job.reason == Reason.DAMAGED_DOCUMENT:
            dead += 1
        elif job.state is not State.SUCCEEDED:
            lost += 1
            unended += not job.state.ended
        elif one.size is None or not _is_of(queue.result(job), one.size):
            wrong += 1
    # A result that does not count may lie there for a moment; once all have ended there is one for each reading.
    results = Counter(name.split("/")[1] for name in queue.store.names("results"))
    doubled = sum(count - 1 for count in results.values())
    strays = sum(job.state is not State.SUCCEEDED for reading, job in readings.items() if results[reading])
    return {
        "lost": lost,
        "of_these_unended": unended,
        "doubled": doubled + strays,
        "wrong": wrong,
        "dead_letters": dead,
        "readings": len(readings),
    }


def _is_of(response: ocr_pb2.RecognizeResponse, size: tuple[int, int]) -> bool:
    return [(page.width, page.height) for page in response.pages] == [size]


if __name__ == "__main__":
    typer.run(main)
