"""The ledger as callers use it: jobs handed in, looked at, cancelled, forgotten. Workers use `server.queue.leases`.

Blocking, and so never called on a server's event loop. Every method may raise `sqlalchemy.exc.SQLAlchemyError` where
the database can't be reached, and `server.database.DatabaseError` where it can't be used.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import count
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Engine, Select, and_, case, delete, exists, func, insert, not_, or_, select, update
from sqlalchemy.exc import IntegrityError

from cloister.v1 import ocr_pb2
from server import database
from server.errors import JobError, OverloadedError, Reason
from server.queue.job import ENDED, Job, State, Submission
from server.queue.schema import jobs, metadata, readings

_SETTING = "queue.database"
_RETRY_WHILE_FULL_S = 30.0
_RACES = 5
_BUSY_S = 30.0
_BATCH = 500


def unknown(id_: str) -> JobError:
    return JobError(Reason.UNKNOWN_JOB, f"there is no job {id_} here; it may have been forgotten since")


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What nothing refers to any more: names in the store."""

    documents: tuple[str, ...] = ()
    readings: tuple[str, ...] = ()


class Ledger:
    """The jobs at ``address``: sqlite:///FILE, or postgresql://HOST/NAME. At most ``most_open`` may be unended."""

    def __init__(self, address: str, most_open: int) -> None:
        # A job is accepted once it is on the disk: a hint can be sent again, a job can't.
        self.engine = database.engine_for(
            database.parsed(address, _SETTING),
            _SETTING,
            pragmas=("synchronous=FULL", "foreign_keys=ON"),
            busy_s=_BUSY_S,
        )
        self._writing = database.writing(self.engine)
        self._most_open = most_open
        self._prepared = False
        self._preparing = Lock()

    @property
    def place(self) -> str:
        return database.place(self.engine.url)

    def prepare(self) -> Engine:
        """Make the tables where there are none; the engine, for `server.queue.leases`."""
        with self._preparing:
            if not self._prepared:
                database.prepare(self.engine, metadata)
                self._prepared = True
        return self.engine

    def submit(self, submission: Submission) -> Job:
        """Accept a job. One of its id that is there already stays as it is. Raises `OverloadedError` (QUEUE_FULL)."""
        self.prepare()
        for attempt in count(1):
            try:
                with self._writing.begin() as connection:
                    return self._submitted(connection, submission)
            except IntegrityError:
                # Another made the same reading, or job, between our look and our word; the next look finds it.
                if attempt == _RACES:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def job(self, id_: str) -> Job:
        """Raises `JobError` (UNKNOWN_JOB) where there is none."""
        found = self.jobs(ids=[id_])
        if not found:
            raise unknown(id_)
        return found[0]

    def jobs(
        self,
        *,
        ids: Collection[str] = (),
        states: Collection[State] = (),
        tenant: str | None = None,
        before: tuple[float, str] | None = None,
        changed_since_s: float = 0.0,
        limit: int = 1000,
    ) -> list[Job]:
        """The newest first. ``before`` is the place in that order, (submitted_s, id), after which to go on."""
        self.prepare()
        query = _of_jobs().order_by(jobs.c.submitted_s.desc(), jobs.c.id.desc()).limit(limit)
        if ids:
            query = query.where(jobs.c.id.in_(ids))
        if states:
            query = query.where(_STATE.in_(sorted(states)))
        if tenant is not None:
            query = query.where(jobs.c.tenant == tenant)
        if before is not None:
            at_s, id_ = before
            query = query.where(or_(jobs.c.submitted_s < at_s, and_(jobs.c.submitted_s == at_s, jobs.c.id < id_)))
        if changed_since_s:
            query = query.where(changed_since_s <= _CHANGED)
        with self.engine.connect() as connection:
            return [_job(row) for row in connection.execute(query).mappings()]

    def counts(self) -> Counter[State]:
        """How many jobs are in each state."""
        self.prepare()
        query = select(_STATE, func.count()).select_from(_JOINED).group_by(_STATE)
        with self.engine.connect() as connection:
            return Counter({State(state): number for state, number in connection.execute(query)})

    def cancel(self, id_: str) -> Job:
        """Give a job up, and its reading where nobody else wants it. One that has ended stays as it ended.

        Raises `JobError` (UNKNOWN_JOB).
        """
        reading = self.job(id_).reading
        now_s = time.time()
        with self._writing.begin() as connection:
            # Whoever is about to join this reading waits for us, or we for them.
            open_ = readings.c.state.not_in(ENDED)
            held = select(readings.c.id).where(readings.c.id == reading, open_).with_for_update()
            if connection.execute(held).first() is not None:
                mine = update(jobs).where(jobs.c.id == id_, jobs.c.cancelled_s == 0).values(cancelled_s=now_s)
                connection.execute(mine)
                wanted = exists().where(jobs.c.reading == reading, jobs.c.cancelled_s == 0)
                connection.execute(
                    update(readings)
                    .where(readings.c.id == reading, not_(wanted))
                    .values(state=State.CANCELLED, owner="", changed_s=now_s)
                )
        return self.job(id_)

    def forget(self, before_s: float) -> Forgotten:
        """Delete jobs that ended before ``before_s``, and say which documents and results nobody needs any more."""
        self.prepare()
        with self._writing.begin() as connection:
            old = select(readings).where(readings.c.state.in_(ENDED), readings.c.changed_s < before_s)
            # A job that joined since keeps it.
            young = exists().where(jobs.c.reading == readings.c.id, jobs.c.submitted_s >= before_s)
            gone = connection.execute(old.where(not_(young)).limit(_BATCH).with_for_update()).mappings().all()
            ids = [row["id"] for row in gone]
            connection.execute(delete(jobs).where(jobs.c.reading.in_(ids)))
            connection.execute(delete(readings).where(readings.c.id.in_(ids)))
        return Forgotten(tuple(row["document"] for row in gone), tuple(ids))

    def close(self) -> None:
        self.engine.dispose()

    def _submitted(self, connection: Connection, submission: Submission) -> Job:
        there = connection.execute(_of_jobs().where(jobs.c.id == submission.job)).mappings().first()
        if there is not None:
            return _job(there)
        now_s = time.time()
        latest = select(readings).where(readings.c.key == submission.key).order_by(readings.c.generation.desc())
        row = connection.execute(latest.limit(1).with_for_update()).mappings().first()
        if row is None or row["state"] in (State.DEAD, State.CANCELLED):
            self._check_room(connection)
            reading = self._add_reading(connection, submission, 1 if row is None else row["generation"] + 1, now_s)
        else:
            reading = row["id"]
        connection.execute(
            insert(jobs).values(
                id=submission.job,
                reading=reading,
                name=submission.name[:1000],
                tenant=submission.tenant[:200],
                submitted_s=now_s,
                cancelled_s=0.0,
            )
        )
        return _job(connection.execute(_of_jobs().where(jobs.c.id == submission.job)).mappings().one())

    def _check_room(self, connection: Connection) -> None:
        waiting = select(func.count()).select_from(readings).where(readings.c.state.not_in(ENDED))
        if (connection.scalar(waiting) or 0) >= self._most_open:
            raise OverloadedError(
                Reason.QUEUE_FULL,
                f"{self._most_open} documents wait already; try again later",
                {"capacity": str(self._most_open)},
                _RETRY_WHILE_FULL_S,
            )

    def _add_reading(self, connection: Connection, submission: Submission, generation: int, now_s: float) -> str:
        id_ = submission.key if generation == 1 else f"{submission.key}.{generation}"
        connection.execute(
            insert(readings).values(
                id=id_,
                key=submission.key,
                generation=generation,
                document=submission.document,
                size=submission.size,
                options=submission.options.SerializeToString(),
                state=State.WAITING,
                changed_s=now_s,
                due_s=now_s,
                sent_s=0.0,
                owner="",
                lease_s=0.0,
                attempts=0,
                losses=0,
                refusals=0,
                reason="",
                message="",
                result="",
            )
        )
        return id_


_JOINED = jobs.join(readings, jobs.c.reading == readings.c.id)
_STATE = case((jobs.c.cancelled_s > 0, State.CANCELLED.value), else_=readings.c.state)
_CHANGED = case(
    (jobs.c.cancelled_s > 0, jobs.c.cancelled_s),
    (readings.c.changed_s > jobs.c.submitted_s, readings.c.changed_s),
    else_=jobs.c.submitted_s,
)
_SHOWN: Sequence[Any] = (
    jobs.c.id,
    jobs.c.name,
    jobs.c.tenant,
    jobs.c.submitted_s,
    jobs.c.reading,
    _STATE.label("state"),
    _CHANGED.label("changed_s"),
    *(readings.c[name] for name in ("size", "attempts", "reason", "message", "document", "result", "options")),
)


def _of_jobs() -> Select[Any]:
    return select(*_SHOWN).select_from(_JOINED)


def _job(row: Any) -> Job:
    state = State(row["state"])
    return Job(
        id=row["id"],
        name=row["name"],
        tenant=row["tenant"],
        state=state,
        submitted_s=row["submitted_s"],
        changed_s=row["changed_s"],
        reading=row["reading"],
        size=row["size"],
        attempts=row["attempts"],
        reason=row["reason"],
        message=row["message"],
        document=row["document"],
        result=row["result"] if state is State.SUCCEEDED else "",
        options=ocr_pb2.RecognizeOptions.FromString(row["options"]),
    )
