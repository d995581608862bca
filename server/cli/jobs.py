"""``cloister jobs``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from server.cli.common import ConfigOption, errors, explained
from server.cli.queue import SHOWN_CHARACTERS, named, queued
from server.queue import helper
from server.queue.job import Job, State
from server.queue.opening import Queue
from server.settings import Settings, load

_STYLES = {State.SUCCEEDED: "green", State.DEAD: "red", State.RUNNING: "yellow"}
_POLL_S = 0.3
_PATIENCE_S = 20.0


def jobs(
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids, or how they begin; by default all.", metavar="ID")
    ] = None,
    *,
    state: Annotated[list[State] | None, typer.Option("--state", help="Only jobs in this state.")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="Only dead letters, with their reasons.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Give up those named that have not ended.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Come back once all have ended.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON instead, a line a job.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show the jobs that were handed in."""
    if cancel and not ids:
        raise typer.BadParameter("name the jobs to cancel")
    states = {*(state or ()), *((State.DEAD,) if dead else ())}
    with explained(), queued(settings := load(config)) as queue:
        found = named(queue, ids or [])
        if cancel:
            found = [queue.ledger.cancel(job.id) for job in found]
        if wait:
            found = awaited(queue, found, settings, config)
        chosen = [job for job in found if not states or job.state in states]
    if as_json:
        for job in chosen:
            typer.echo(json.dumps(_row(job)))
    else:
        _show(chosen)


def awaited(queue: Queue, jobs_: Sequence[Job], settings: Settings, config: Path | None) -> list[Job]:
    """All of them, once they have ended. Has a worker started where none is needed to run beforehand."""
    waits = {job.id: job for job in jobs_}
    changed_s, told = time.monotonic(), False
    if not all(job.state.ended for job in jobs_):
        helper.start(settings.queue, config)
    while open_ := [id_ for id_, job in waits.items() if not job.state.ended]:
        time.sleep(_POLL_S)
        for id_ in open_:
            job = queue.ledger.job(id_)
            if job.state is not waits[id_].state:
                waits[id_], changed_s = job, time.monotonic()
        if not told and time.monotonic() - changed_s > _PATIENCE_S and not helper.runs(settings.queue):
            errors.print("cloister: nothing happens; does a worker run (cloister worker), and what does it log?")
            told = True
    return list(waits.values())


def _show(jobs_: Sequence[Job]) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("job", "document", "state", "since", "tries", "reason"):
        table.add_column(title, no_wrap=title != "reason")
    for job in jobs_:
        style = _STYLES.get(job.state, "")
        since = _ago(time.time() - job.changed_s)
        why = f"{job.reason}: {job.message}" if job.reason else ""
        shown = f"[{style}]{job.state}[/]" if style else str(job.state)
        table.add_row(job.id[:SHOWN_CHARACTERS], _plain(job.name), shown, since, str(job.attempts), _plain(why))
    # What is piped is not to be cut to a terminal's width.
    Console(width=None if sys.stdout.isatty() else 240).print(table)


def _row(job: Job) -> dict[str, object]:
    times = {
        name: datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")
        for name, at_s in (("submitted", job.submitted_s), ("changed", job.changed_s))
    }
    return {
        "job": job.id,
        "document": job.name,
        "tenant": job.tenant,
        "state": job.state,
        "tries": job.attempts,
        "reason": job.reason,
        "message": job.message,
        "bytes": job.size,
        **times,
    }


def _ago(seconds: float) -> str:
    return next(_units(max(0.0, seconds)))


def _units(seconds: float) -> Iterator[str]:
    for unit, length in (("s", 60), ("min", 60), ("h", 24)):
        if seconds < length:
            yield f"{seconds:.0f} {unit}"
        seconds /= length
    yield f"{seconds:.0f} d"


def _plain(text: str) -> str:
    """Without what would be taken for rich's markup or a terminal's commands."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text).replace(
        "[", r"\["
    )
