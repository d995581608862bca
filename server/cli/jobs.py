"""``cloister jobs``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Table

from cloister.v1 import jobs_pb2
from server.cli.common import (
    CaOption,
    CertificateOption,
    ConfigOption,
    JobServerOption,
    KeyOption,
    TokenFileOption,
    access_of,
    explained,
)
from server.cli.desk import awaited, desk, named
from server.queue.job import State
from server.queue.messages import id_of, state_of

SHOWN_CHARACTERS = 8
"""Of an id, where it is shown to people."""

_STYLES = {State.SUCCEEDED: "green", State.DEAD: "red", State.RUNNING: "yellow"}


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
    server: JobServerOption = None,
    ca: CaOption = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    token_file: TokenFileOption = None,
    config: ConfigOption = None,
) -> None:
    """Show the jobs that were handed in."""
    if cancel and not ids:
        raise typer.BadParameter("name the jobs to cancel")
    states = {*(state or ()), *((State.DEAD,) if dead else ())}
    with explained(), desk(config, server, access_of(ca, certificate, key, token_file)) as at:
        found = named(at, ids or [])
        if cancel:
            found = [at.cancel(job.name) for job in found]
        if wait:
            found = awaited(at, found)
    chosen = [job for job in found if not states or state_of(job) in states]
    if as_json:
        for job in chosen:
            typer.echo(json.dumps(_row(job)))
    else:
        _show(chosen)


def _show(jobs_: Sequence[jobs_pb2.Job]) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("job", "document", "state", "since", "tries", "reason"):
        table.add_column(title, no_wrap=title != "reason")
    for job in jobs_:
        state, told = state_of(job), job.metadata
        style = _STYLES.get(state, "")
        since = _ago(time.time() - told.change_time.ToNanoseconds() / 1e9)
        why = f"{told.reason}: {told.message}" if told.reason else ""
        shown = f"[{style}]{state}[/]" if style else str(state)
        id_ = id_of(job.name)[:SHOWN_CHARACTERS]
        table.add_row(id_, _plain(told.display_name), shown, since, str(told.failed_attempts), _plain(why))
    # What is piped is not to be cut to a terminal's width.
    Console(width=None if sys.stdout.isatty() else 240).print(table)


def _row(job: jobs_pb2.Job) -> dict[str, object]:
    told = job.metadata
    return {
        "job": id_of(job.name),
        "document": told.display_name,
        "tenant": told.tenant,
        "state": state_of(job),
        "tries": told.failed_attempts,
        "reason": told.reason,
        "message": told.message,
        "bytes": told.document_bytes,
        "submitted": _iso(told.submit_time),
        "changed": _iso(told.change_time),
    }


def _iso(at: Timestamp) -> str:
    return at.ToDatetime(UTC).isoformat(timespec="milliseconds")


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
