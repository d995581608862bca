"""Where the command line hands in documents and asks for them: the queue itself, or a server that takes jobs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import grpc
import typer
from sqlalchemy.exc import SQLAlchemyError

from cloister.v1 import jobs_pb2, ocr_pb2
from server import catalogue
from server.access import Access
from server.cli.common import Exit, errors
from server.database import DatabaseError
from server.errors import CloisterError, DeadlineError, OverloadedError, TransportError
from server.queue import helper
from server.queue.client import JobClient, failure
from server.queue.job import engines_of
from server.queue.messages import id_of, message
from server.queue.opening import Queue
from server.settings import Settings, load

_LISTED = 100_000
_POLL_S = 0.3
# Names that one call may watch, the seconds it may be silent, and how often in turn it may fail.
_WATCHED = 1000
_SILENT_S = 20.0
_FAILURES = 5
_AGAIN_S = 1.0


class Desk(Protocol):
    """Methods raise `CloisterError`. Jobs that they return are without responses."""

    def submit(self, document: bytes, options: ocr_pb2.RecognizeOptions, name: str) -> jobs_pb2.Job: ...

    def jobs(self) -> list[jobs_pb2.Job]:
        """All there are, the newest first."""

    def cancel(self, name: str) -> jobs_pb2.Job: ...

    def changes(self, names: Sequence[str]) -> Iterator[jobs_pb2.Job | None]:
        """Jobs as they change, until all of ``names`` are done; None where nothing has for a while."""

    def response(self, job: jobs_pb2.Job) -> ocr_pb2.RecognizeResponse:
        """Of a job that is done; raises what it ended with."""

    def begin(self) -> None:
        """Have what was handed in worked on, where that takes more than to hand it in."""

    def works(self) -> bool:
        """Whether it is known that somebody works."""


@contextmanager
def desk(
    config: Path | None, server: str | None = None, access: Access | None = None, engine: str = ""
) -> Iterator[Desk]:
    """The desk of the server at ``server``, or of the queue that the settings name.

    Ends the command with a message where it can't be used. ``engine`` is that of documents to hand in. Raises
    `SettingsError` and `AccessError`.
    """
    if server is None:
        settings = load(config)
        with queued(settings) as queue:
            yield _Here(queue, settings, config, engine)
        return
    try:
        with JobClient(server, access=access) as client:
            yield _There(client)
    except CloisterError as error:
        why = "it takes no jobs; set queue.serve = true there" if error.code is grpc.StatusCode.UNIMPLEMENTED else error
        errors.print(f"cloister: {server}: {why}")
        raise typer.Exit(Exit.FAILED) from error
    except ValueError as error:  # no address
        raise typer.BadParameter(str(error)) from error


@contextmanager
def queued(settings: Settings) -> Iterator[Queue]:
    """The queue; ends the command with a message where it can't be used. Raises `SettingsError`."""
    queue = Queue.opened(settings.queue)
    try:
        yield queue
    except (SQLAlchemyError, DatabaseError) as error:
        why = str(error) if isinstance(error, DatabaseError) else f"{type(error).__name__}: can't be used"
        errors.print(f"cloister: {queue.ledger.place}: {why}")
        raise typer.Exit(Exit.NO_SERVER) from error
    except (OSError, CloisterError) as error:
        errors.print(f"cloister: {queue.store.place}: {error}")
        raise typer.Exit(Exit.FAILED) from error
    finally:
        queue.close()


def named(desk: Desk, ids: Sequence[str]) -> list[jobs_pb2.Job]:
    """Jobs by their ids, or the beginnings of these, in the order given; all where none are given, the oldest first.

    Ends the command where one is not there, or several begin alike.
    """
    every = desk.jobs()
    if not ids:
        return every[::-1]
    found = []
    for id_ in ids:
        like = [job for job in every if id_of(job.name).startswith(id_)]
        if len(like) != 1:
            which = "there is no job of that id" if not like else f"{len(like)} jobs begin so; give more of the id"
            errors.print(f"cloister: {id_}: {which}")
            raise typer.Exit(Exit.FAILED)
        found.append(like[0])
    return found


def awaited(desk: Desk, jobs: Sequence[jobs_pb2.Job]) -> list[jobs_pb2.Job]:
    """All of them, once they are done. Has a worker started where none is needed to run beforehand."""
    waits = {job.name: job for job in jobs}
    open_ = [job.name for job in jobs if not job.done]
    if not open_:
        return list(jobs)
    desk.begin()
    changed_s, told = time.monotonic(), False
    for job in desk.changes(open_):
        if job is not None:
            if job.metadata.state != waits[job.name].metadata.state:
                changed_s = time.monotonic()
            waits[job.name] = job
        if not told and time.monotonic() - changed_s > _SILENT_S and not desk.works():
            errors.print("cloister: nothing happens; does a worker run (cloister worker), and what does it log?")
            told = True
    return list(waits.values())


class _Here:
    """Ledger and store, without a server between."""

    def __init__(self, queue: Queue, settings: Settings, config: Path | None, engine: str) -> None:
        self._queue = queue
        self._settings = settings
        self._config = config
        self._engine = engine
        self._engines: str | None = None

    def submit(self, document: bytes, options: ocr_pb2.RecognizeOptions, name: str) -> jobs_pb2.Job:
        if self._engines is None:
            entries = catalogue.installed(self._settings)
            known = ((entry.name, entry.version, entry.model_version) for entry in entries)
            self._engines = engines_of(self._engine, known)
        return message(self._queue.submit(document, options, engines=self._engines, name=name))

    def jobs(self) -> list[jobs_pb2.Job]:
        return [message(job) for job in self._queue.ledger.jobs(limit=_LISTED)]

    def cancel(self, name: str) -> jobs_pb2.Job:
        return message(self._queue.ledger.cancel(id_of(name)))

    def changes(self, names: Sequence[str]) -> Iterator[jobs_pb2.Job | None]:
        open_: dict[str, jobs_pb2.Job | None] = dict.fromkeys(names)
        while open_:
            for name, before in list(open_.items()):
                job = message(self._queue.ledger.job(id_of(name)))
                if job != before:
                    open_[name] = job
                    yield job
                if job.done:
                    del open_[name]
            if open_:
                yield None
                time.sleep(_POLL_S)

    def response(self, job: jobs_pb2.Job) -> ocr_pb2.RecognizeResponse:
        if job.HasField("error"):
            raise failure(job)
        return self._queue.result(self._queue.ledger.job(id_of(job.name)))

    def begin(self) -> None:
        helper.start(self._settings.queue, self._config)

    def works(self) -> bool:
        return helper.runs(self._settings.queue)


class _There:
    """A server that takes jobs."""

    def __init__(self, client: JobClient) -> None:
        self._client = client

    def submit(self, document: bytes, options: ocr_pb2.RecognizeOptions, name: str) -> jobs_pb2.Job:
        return self._client.submit(
            document, engine=options.engine, outputs=options.outputs, pdf=options.pdf, display_name=name
        )

    def jobs(self) -> list[jobs_pb2.Job]:
        return list(self._client.jobs())

    def cancel(self, name: str) -> jobs_pb2.Job:
        return self._client.cancel(name)

    def changes(self, names: Sequence[str]) -> Iterator[jobs_pb2.Job | None]:
        for start in range(0, len(names), _WATCHED):
            yield from self._changes(names[start : start + _WATCHED])

    def _changes(self, names: Sequence[str]) -> Iterator[jobs_pb2.Job | None]:
        """Over the ends of servers: what is watched anew begins with how it is."""
        failures = 0
        while True:
            try:
                for job in self._client.watch(*names, deadline_s=_SILENT_S):
                    failures = 0
                    yield job
            except DeadlineError:
                yield None
            except (OverloadedError, TransportError) as error:
                failures += 1
                if failures == _FAILURES or error.code is grpc.StatusCode.UNIMPLEMENTED:
                    raise
                time.sleep(error.retry_after_s or _AGAIN_S)
            else:
                return

    def response(self, job: jobs_pb2.Job) -> ocr_pb2.RecognizeResponse:
        return self._client.result(job.name)

    def begin(self) -> None:
        """Its workers run already."""

    def works(self) -> bool:
        return False
