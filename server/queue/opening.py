"""The queue that settings name, for those who hand in and fetch: its ledger and its store."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import uuid4

from cloister.v1 import ocr_pb2
from server.database import DatabaseError
from server.errors import CloisterError, DocumentError, JobError, OverloadedError, Reason, made
from server.queue.job import Job, State, Submission, normal, reading_key
from server.queue.ledger import Ledger
from server.queue.settings import Queue as QueueSettings
from server.queue.store import Store, store_at
from server.settings import SettingsError


@dataclass(frozen=True, slots=True)
class Queue:
    """Blocking, and so never used on a server's event loop.

    Methods may raise OSError where the store, and `sqlalchemy.exc.SQLAlchemyError` where the ledger can't be used.
    """

    ledger: Ledger
    store: Store

    @classmethod
    def opened(cls, settings: QueueSettings) -> Self:
        """Nothing is connected to yet. Raises `SettingsError`."""
        try:
            ledger = Ledger(settings.database or f"sqlite:///{_folder(settings) / 'jobs.db'}", settings.open)
        except DatabaseError as error:
            raise SettingsError(str(error)) from error
        url = settings.store or str(_folder(settings) / "store")
        return cls(ledger, store_at(url, settings.store_options))

    def submit(
        self, document: bytes, options: ocr_pb2.RecognizeOptions, *, engines: str, name: str = "", job: str = ""
    ) -> Job:
        """Accept ``document``, to be read by one of ``engines`` (see `server.queue.job.engines_of`).

        ``job`` is the new job's id, by default a fresh one; where there is one of it already, that is returned.
        Raises `DocumentError` (EMPTY_DOCUMENT) and `OverloadedError` (QUEUE_FULL).
        """
        if not document:
            raise DocumentError(Reason.EMPTY_DOCUMENT, "the document has no bytes; send a whole file")
        # Each reading has a copy of its own: nothing to count, and nothing that another could delete.
        stored = f"documents/{secrets.token_hex(16)}"
        options = normal(options)
        submission = Submission(
            job=job or uuid4().hex,
            name=name,
            key=reading_key(hashlib.sha256(document).hexdigest(), options, engines),
            document=stored,
            size=len(document),
            options=options,
        )
        self.store.put(stored, document)
        try:
            accepted = self.ledger.submit(submission)
        except OverloadedError:
            self.store.delete(stored)
            raise
        if accepted.document != stored:
            self.store.delete(stored)
        return accepted

    def result(self, job: Job) -> ocr_pb2.RecognizeResponse:
        """Of a job that SUCCEEDED. Raises `JobError` (DOCUMENT_LOST) where the store has it no more."""
        try:
            return ocr_pb2.RecognizeResponse.FromString(self.store.get(job.result))
        except FileNotFoundError as error:
            why = f"the result of {job.id} is no longer in {self.store.place}"
            raise JobError(Reason.DOCUMENT_LOST, why) from error

    @staticmethod
    def failure(job: Job) -> CloisterError:
        """What a job ended with that has no result."""
        if job.state is State.CANCELLED:
            return made(Reason.JOB_CANCELLED, "the job was cancelled")
        return made(job.reason, job.message)

    def close(self) -> None:
        self.ledger.close()


def _folder(settings: QueueSettings) -> Path:
    """Made where it is not there. Raises `SettingsError`."""
    try:
        settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"queue.folder: {settings.folder}: {error.strerror}; name one that can be made") from error
    return settings.folder
