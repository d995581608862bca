"""Writes records in a thread of its own: the event loop never waits for a database, and no caller learns of a lost one.

What can't be written now is tried again, later and later; what comes meanwhile waits, up to a bound, and is then lost.
All that is lost is counted, and said in the log.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from structlog.typing import FilteringBoundLogger

from server.records.comparison import Entry
from server.records.store import RecordsError, Store
from server.telemetry import describe

_MOST_WAITING = 2000
_MOST_KEPT_BYTES = 64 << 20
_BATCH = 100
_GATHER_S = 0.2
"""Records that come within this time are written together."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_PURGE_PERIOD_S = 600.0
_CLOSE_S = 5.0
_COMPLAIN_PERIOD_S = 60.0


@dataclass(slots=True)
class RecordTally:
    """What became of records since the server started; ``unkept`` are documents that there was no room for."""

    written: int = 0
    lost: int = 0
    unkept: int = 0
    purged: int = 0


class Recorder:
    """Takes records at any time and from the event loop; `running` writes them."""

    def __init__(self, store: Store, log: FilteringBoundLogger) -> None:
        self._store = store
        self._log = log
        self._waiting: deque[Entry] = deque()
        self._kept_bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._complained_s = -_COMPLAIN_PERIOD_S
        self.tally = RecordTally()

    @property
    def keeps_documents(self) -> bool:
        """Whether a document of a caller who consents is of use here."""
        return self._store.keeps_documents

    def put(self, entry: Entry) -> None:
        """Have ``entry`` recorded, or lost: never raises, never waits for the database."""
        with self._changed:
            if len(self._waiting) >= _MOST_WAITING:
                self.tally.lost += 1
                return
            if entry.kept is not None:
                size = entry.kept.size
                if self._kept_bytes + size > _MOST_KEPT_BYTES:
                    self.tally.unkept += 1
                    entry = Entry(entry.comparison)
                else:
                    self._kept_bytes += size
            self._waiting.append(entry)
            self._changed.notify()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write for the length of the block; at its end what is left, if that can be done soon."""
        # A daemon: a database that hangs must not keep the server from ending.
        thread = threading.Thread(target=self._run, name="records", daemon=True)
        thread.start()
        try:
            yield
        finally:
            with self._changed:
                self._closing = True
                self._changed.notify()
            await asyncio.to_thread(thread.join, _CLOSE_S)
            with self._changed:
                self.tally.lost += len(self._waiting)
                self._waiting.clear()
            tally = self.tally
            (self._log.error if tally.lost else self._log.info)(
                "records", written=tally.written, lost=tally.lost, unkept=tally.unkept, purged=tally.purged
            )

    def _run(self) -> None:
        pause_s = 0.0
        next_purge_s = time.monotonic()
        while self._rest(pause_s, next_purge_s):
            try:
                if time.monotonic() >= next_purge_s:
                    self._purge()
                    next_purge_s = time.monotonic() + _PURGE_PERIOD_S
                self._write()
            except (SQLAlchemyError, RecordsError) as error:
                self._complain(error)
                if self._closing:
                    break
                pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s or _FIRST_PAUSE_S)
            except Exception as error:  # a mistake here must not end the records to come
                self._log.error("mistake in the records", **describe(error))
                self._taken(min(_BATCH, len(self._waiting)), written=0)
            else:
                if pause_s:
                    self._log.info("records again", database=self._store.place, waiting=len(self._waiting))
                pause_s = 0.0
        self._store.close()

    def _rest(self, pause_s: float, next_purge_s: float) -> bool:
        """Wait for something to do; False when there will be nothing more. ``pause_s`` after a failure."""
        with self._changed:
            if pause_s:
                self._changed.wait_for(lambda: self._closing, pause_s)
            else:
                self._changed.wait_for(
                    lambda: self._closing or self._waiting, max(0.0, next_purge_s - time.monotonic())
                )
                if self._waiting:
                    self._changed.wait_for(lambda: self._closing or len(self._waiting) >= _BATCH, _GATHER_S)
            return bool(self._waiting) or not self._closing

    def _write(self) -> None:
        """Write all that waits. Raises where the database is lost; what it refuses is dropped alone."""
        while True:
            with self._changed:
                batch = [self._waiting[i] for i in range(min(_BATCH, len(self._waiting)))]
            if not batch:
                return
            try:
                self._store.add(batch)
                written = len(batch)
            except (OperationalError, InterfaceError):
                raise
            except SQLAlchemyError:
                written = self._write_singly(batch)
            self._taken(len(batch), written)

    def _taken(self, count: int, written: int) -> None:
        """The first ``count`` of what waits is dealt with; so many of them were ``written``, the others lost."""
        with self._changed:
            for _ in range(count):
                gone = self._waiting.popleft()
                self._kept_bytes -= 0 if gone.kept is None else gone.kept.size
            self.tally.written += written
            self.tally.lost += count - written

    def _write_singly(self, batch: list[Entry]) -> int:
        written = 0
        for entry in batch:
            try:
                self._store.add([entry])
                written += 1
            except (OperationalError, InterfaceError):
                raise
            except SQLAlchemyError as error:
                self._complain(error)
        return written

    def _purge(self) -> None:
        purged = self._store.purge()
        self.tally.purged += purged
        if purged:
            self._log.info("kept documents expired", count=purged)

    def _complain(self, error: SQLAlchemyError | RecordsError) -> None:
        """In the log, once a minute at most. Not with SQLAlchemy's text, which may show what was to be written."""
        now_s = time.monotonic()
        if now_s - self._complained_s < _COMPLAIN_PERIOD_S:
            return
        self._complained_s = now_s
        cause = getattr(error, "orig", None) or error
        why = str(error) if isinstance(error, RecordsError) else type(cause).__name__
        self._log.error(
            "records not written",
            database=self._store.place,
            why=why,
            waiting=len(self._waiting),
            lost=self.tally.lost,
        )
