"""The ledger as workers use it: readings claimed, kept, ended; and what is to be sent to the broker.

Every change names the state it leaves, so that of two workers who believe a reading theirs one alone has its way.
Leases are told by the clocks of workers: their hosts' must agree to within a few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, func, select, update

from cloister.v1 import ocr_pb2
from server import database
from server.errors import Reason
from server.queue.job import ENDED, State
from server.queue.schema import jobs, readings

_BATCH = 500
_MESSAGE_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class Claim:
    """A reading that ``owner`` alone may work on, as long as its lease is renewed."""

    reading: str
    owner: str
    document: str
    options: ocr_pb2.RecognizeOptions
    attempts: int
    losses: int
    refusals: int
    submitted_s: float
    """When it was first handed in, seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a try failed: a `server.errors.Reason` and its message."""

    reason: str
    message: str


class Leases:
    """Over the engine of a `Ledger` that is prepared. ``lease_s`` are the seconds a claim holds without a word."""

    def __init__(self, engine: Engine, lease_s: float) -> None:
        self._engine = engine
        self._writing = database.writing(engine)
        self._lease_s = lease_s

    def claim(self, reading: str, owner: str) -> Claim | None:
        """None where it is not waiting, or not yet due: somebody has it, or it has ended."""
        now_s = time.time()
        free = (readings.c.id == reading, readings.c.state == State.WAITING, readings.c.due_s <= now_s)
        values = {"state": State.RUNNING, "owner": owner, "lease_s": now_s + self._lease_s, "changed_s": now_s}
        with self._writing.begin() as connection:
            if not connection.execute(update(readings).where(*free).values(values)).rowcount:
                return None
            row = connection.execute(select(readings).where(readings.c.id == reading)).mappings().one()
            submitted_s = connection.scalar(select(func.min(jobs.c.submitted_s)).where(jobs.c.reading == reading))
        return Claim(
            reading=reading,
            owner=owner,
            document=row["document"],
            options=ocr_pb2.RecognizeOptions.FromString(row["options"]),
            attempts=row["attempts"],
            losses=row["losses"],
            refusals=row["refusals"],
            submitted_s=submitted_s or now_s,
        )

    def renew(self, owners: Collection[str]) -> set[str]:
        """Those of ``owners`` whose claims hold, for another lease. The others' work is no longer wanted of them."""
        theirs = (readings.c.owner.in_(owners), readings.c.state == State.RUNNING)
        with self._writing.begin() as connection:
            connection.execute(update(readings).where(*theirs).values(lease_s=time.time() + self._lease_s))
            return set(connection.scalars(select(readings.c.owner).where(*theirs)))

    def succeed(self, claim: Claim, result: str) -> bool:
        """Have the reading end with ``result``. False where it has ended before: then that result counts.

        Not only for its owner: of workers that believed each other dead the first to be done is the one.
        """
        open_ = (readings.c.id == claim.reading, readings.c.state.not_in(ENDED))
        return self._change(open_, state=State.SUCCEEDED, result=result, owner="", reason="", message="")

    def put_back(self, claim: Claim, failure: Failure, *, due_s: float, counted: bool) -> bool:
        """Let it be tried again from ``due_s`` on. ``counted`` tries are the document's own fault, others are not."""
        count = {"attempts": claim.attempts + 1} if counted else {"refusals": claim.refusals + 1}
        return self._change(
            _owned(claim),
            state=State.WAITING,
            owner="",
            due_s=due_s,
            sent_s=0.0,
            reason=failure.reason,
            message=failure.message[:_MESSAGE_CHARACTERS],
            **count,
        )

    def give_up(self, claim: Claim) -> bool:
        """Let it be tried again at once: its worker goes."""
        return self._change(_owned(claim), state=State.WAITING, owner="", sent_s=0.0)

    def bury(self, claim: Claim, failure: Failure) -> bool:
        """Make it a dead letter."""
        return self._change(
            _owned(claim),
            state=State.DEAD,
            owner="",
            attempts=claim.attempts + 1,
            reason=failure.reason,
            message=failure.message[:_MESSAGE_CHARACTERS],
        )

    def expire(self, most_losses: int) -> int:
        """Take back what workers no longer hold; what was lost ``most_losses`` times is a dead letter. How many."""
        now_s = time.time()
        lost = (readings.c.state == State.RUNNING, readings.c.lease_s < now_s)
        message = f"{most_losses} workers ended while they had it read"
        dead = {"state": State.DEAD, "owner": "", "reason": Reason.WORKER_LOST, "message": message}
        again = {"state": State.WAITING, "owner": "", "sent_s": 0.0, "due_s": now_s}
        losses = {"losses": readings.c.losses + 1, "changed_s": now_s}
        with self._writing.begin() as connection:
            buried = update(readings).where(*lost, readings.c.losses + 1 >= most_losses).values(dead | losses)
            freed = update(readings).where(*lost).values(again | losses)
            return connection.execute(buried).rowcount + connection.execute(freed).rowcount

    def to_send(self, window: int) -> Sequence[str]:
        """Readings that are due and have no message, the oldest first; marked as sent. At most ``window`` are out."""
        now_s = time.time()
        unsent = (readings.c.state == State.WAITING, readings.c.sent_s == 0, readings.c.due_s <= now_s)
        with self._writing.begin() as connection:
            out = connection.scalar(select(func.count()).select_from(readings).where(*_sent()))
            room = max(0, min(_BATCH, window - (out or 0)))
            oldest = select(readings.c.id).where(*unsent).order_by(readings.c.due_s).limit(room)
            ids = list(connection.scalars(oldest.with_for_update(skip_locked=True)))
            connection.execute(update(readings).where(readings.c.id.in_(ids)).values(sent_s=now_s))
        return ids

    def not_sent(self, ids: Collection[str]) -> None:
        """Take `to_send` back for those that the broker did not take."""
        self._mark_unsent(ids)

    def out(self, for_s: float = 0.0) -> int:
        """How many readings wait whose message was sent at least ``for_s`` seconds ago."""
        query = select(func.count()).select_from(readings).where(*_sent(), readings.c.sent_s <= time.time() - for_s)
        with self._engine.connect() as connection:
            return connection.scalar(query) or 0

    def send_again(self, count: int, for_s: float) -> int:
        """Have the ``count`` messages that are out longest, and for ``for_s`` seconds at least, sent anew. How many."""
        long_ago = (*_sent(), readings.c.sent_s <= time.time() - for_s)
        with self._engine.connect() as connection:
            ids = list(
                connection.scalars(
                    select(readings.c.id).where(*long_ago).order_by(readings.c.sent_s).limit(min(count, _BATCH))
                )
            )
        self._mark_unsent(ids)
        return len(ids)

    def unended(self) -> bool:
        """Whether any reading waits or is worked on."""
        with self._engine.connect() as connection:
            return connection.scalar(select(readings.c.id).where(readings.c.state.not_in(ENDED)).limit(1)) is not None

    def _mark_unsent(self, ids: Collection[str]) -> None:
        with self._writing.begin() as connection:
            waiting = (readings.c.id.in_(ids), readings.c.state == State.WAITING)
            connection.execute(update(readings).where(*waiting).values(sent_s=0.0))

    def _change(self, where: Sequence[ColumnElement[bool]], **values: Any) -> bool:
        with self._writing.begin() as connection:
            changed = update(readings).where(*where).values(changed_s=time.time(), **values)
            return connection.execute(changed).rowcount == 1


def _owned(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    return readings.c.id == claim.reading, readings.c.owner == claim.owner, readings.c.state == State.RUNNING


def _sent() -> tuple[ColumnElement[bool], ...]:
    return readings.c.state == State.WAITING, readings.c.sent_s > 0
