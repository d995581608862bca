"""How much there is to do: what the ledger says of all documents together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import func, select

from server.queue.job import State
from server.queue.ledger import Ledger
from server.queue.schema import jobs, readings


@dataclass(frozen=True, slots=True)
class Backlog:
    documents: Counter[State]
    """How many are in each state. What several jobs ask for alike counts once."""
    oldest_s: float | None
    """When the one that waits longest was handed in, seconds since 1970; None where none waits."""


def look(ledger: Ledger) -> Backlog:
    """Blocking. Raises as the methods of ``ledger`` do."""
    counted = select(readings.c.state, func.count()).group_by(readings.c.state)
    oldest = (
        select(func.min(jobs.c.submitted_s))
        .join_from(jobs, readings, jobs.c.reading == readings.c.id)
        .where(readings.c.state == State.WAITING, jobs.c.cancelled_s == 0)
    )
    with ledger.prepare().connect() as connection:
        documents = Counter({State(state): number for state, number in connection.execute(counted)})
        return Backlog(documents, connection.scalar(oldest))
