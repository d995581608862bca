"""``cloister fetch``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cloister.v1 import jobs_pb2
from server.cli.common import (
    CaOption,
    CertificateOption,
    ConfigOption,
    Exit,
    JobServerOption,
    KeyOption,
    TokenFileOption,
    access_of,
    complain,
    errors,
    explained,
)
from server.cli.desk import Desk, awaited, desk, named
from server.cli.jobs import SHOWN_CHARACTERS
from server.errors import CloisterError
from server.queue.messages import id_of, state_of
from server.renderings import Rendering


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
    server: JobServerOption = None,
    ca: CaOption = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    token_file: TokenFileOption = None,
    config: ConfigOption = None,
) -> None:
    """Write what was read of documents that were handed in. One that could not be read is named, with the reason."""
    failed = 0
    with explained(), desk(config, server, access_of(ca, certificate, key, token_file)) as at:
        found = named(at, ids or [])
        if wait:
            found = awaited(at, found)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
        taken: set[str] = set()
        for job in found:
            name = job.metadata.display_name or id_of(job.name)
            form = to or _asked_for(job)
            if not job.done:
                failed += 1
                errors.print(f"cloister: {name}: {state_of(job)}, not read yet")
                continue
            try:
                content = _rendered(at, job, name, form)
            except CloisterError as error:
                failed += 1
                complain(name, error)
                continue
            if out is None:
                sys.stdout.buffer.write(content)
                sys.stdout.buffer.flush()
            else:
                (out / _target(job, form, taken)).write_bytes(content)
    if failed:
        raise typer.Exit(Exit.FAILED)


def _rendered(at: Desk, job: jobs_pb2.Job, name: str, form: Rendering) -> bytes:
    """Raises `CloisterError` where ``job`` ended without a result; ends the command where it has none of that form."""
    if not job.HasField("error") and not set(form.outputs) <= set(job.metadata.outputs):
        raise typer.BadParameter(f"{name} was not handed in for {form}; hand it in with --to {form}")
    return form.render(at.response(job))


def _asked_for(job: jobs_pb2.Job) -> Rendering:
    """The form that `cloister submit --to` asked for: a file, or else text."""
    files = (form for form in Rendering if len(form.outputs) == 1)
    return next((form for form in files if form.outputs[0] in job.metadata.outputs), Rendering.TEXT)


def _target(job: jobs_pb2.Job, form: Rendering, taken: set[str]) -> str:
    """A name for its file in the folder that no other job of this call has."""
    id_ = id_of(job.name)
    stem = Path(job.metadata.display_name).stem or id_
    name = stem + form.suffix
    if name in taken:
        name = f"{stem}-{id_[:SHOWN_CHARACTERS]}{form.suffix}"
    taken.add(name)
    return name
