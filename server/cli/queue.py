"""What the subcommands of the queue share: the queue that settings name, and jobs by the beginning of their ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import typer
from sqlalchemy.exc import SQLAlchemyError

from server.cli.common import Exit, errors
from server.database import DatabaseError
from server.errors import CloisterError
from server.queue.job import Job
from server.queue.opening import Queue
from server.settings import Settings

SHOWN_CHARACTERS = 8
"""Of an id, where it is shown to people."""

_LISTED = 100_000


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


def named(queue: Queue, ids: Sequence[str]) -> list[Job]:
    """Jobs by their ids, or the beginnings of these, in the order given; all where none are given, the oldest first.

    Ends the command where one is not there, or several begin alike.
    """
    every = queue.ledger.jobs(limit=_LISTED)
    if not ids:
        return every[::-1]
    found = []
    for id_ in ids:
        like = [job for job in every if job.id.startswith(id_)]
        if len(like) != 1:
            which = "there is no job of that id" if not like else f"{len(like)} jobs begin so; give more of the id"
            errors.print(f"cloister: {id_}: {which}")
            raise typer.Exit(Exit.FAILED)
        found.append(like[0])
    return found
