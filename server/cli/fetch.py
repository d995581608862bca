"""``cloister fetch``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cloister.v1 import ocr_pb2
from server.cli.common import ConfigOption, Exit, complain, errors, explained
from server.cli.jobs import awaited
from server.cli.queue import SHOWN_CHARACTERS, named, queued
from server.errors import CloisterError
from server.queue.job import Job, State
from server.queue.opening import Queue
from server.renderings import Rendering
from server.settings import load


def fetch(
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids, or how they begin; by default all.", metavar="ID")
    ] = None,
    *,
    to: Annotated[
        Rendering | None, typer.Option("--to", help="What to write; by default what it was handed in for.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write a file for each document; else standard output.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for those that have not ended.")] = True,
    config: ConfigOption = None,
) -> None:
    """Write what was read of documents that were handed in. One that could not be read is named, with the reason."""
    failed = 0
    with explained(), queued(settings := load(config)) as queue:
        found = named(queue, ids or [])
        if wait:
            found = awaited(queue, found, settings, config)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
        taken: set[str] = set()
        for job in found:
            try:
                content, form = _rendered(queue, job, to)
            except CloisterError as error:
                failed += 1
                complain(job.name or job.id, error)
                continue
            if content is None:
                failed += 1
                errors.print(f"cloister: {job.name or job.id}: {job.state}, not read yet")
            elif out is None:
                sys.stdout.buffer.write(content)
                sys.stdout.buffer.flush()
            else:
                (out / _target(job, form, taken)).write_bytes(content)
    if failed:
        raise typer.Exit(Exit.FAILED)


def _rendered(queue: Queue, job: Job, to: Rendering | None) -> tuple[bytes | None, Rendering]:
    """None where it has not ended. Raises `CloisterError` where it ended without a result, or has none of that form."""
    form = to or _asked_for(job.options)
    if not job.state.ended:
        return None, form
    if job.state is not State.SUCCEEDED:
        raise queue.failure(job)
    response = queue.result(job)
    if not set(form.outputs) <= set(job.options.outputs):
        raise typer.BadParameter(f"{job.name or job.id} was not handed in for {form}; hand it in with --to {form}")
    return form.render(response), form


def _asked_for(options: ocr_pb2.RecognizeOptions) -> Rendering:
    """The form that `cloister submit --to` asked for: a file, or else text."""
    files = (form for form in Rendering if len(form.outputs) == 1)
    return next((form for form in files if form.outputs[0] in options.outputs), Rendering.TEXT)


def _target(job: Job, form: Rendering, taken: set[str]) -> str:
    """A name for its file in the folder that no other job of this call has."""
    stem = Path(job.name).stem or job.id
    name = stem + form.suffix
    if name in taken:
        name = f"{stem}-{job.id[:SHOWN_CHARACTERS]}{form.suffix}"
    taken.add(name)
    return name
