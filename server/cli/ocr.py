"""``cloister ocr``."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from server.cli.common import (
    STDIN,
    ConfigOption,
    EngineOption,
    Exit,
    ServerOption,
    complain,
    connected,
    errors,
    explained,
    read_document,
)
from server.client import AsyncClient
from server.errors import CloisterError
from server.renderings import Rendering


def ocr(
    files: Annotated[list[str], typer.Argument(help="Documents to read; - is standard input.", metavar="FILE")],
    *,
    to: Annotated[Rendering, typer.Option("--to", help="What to write.")] = Rendering.TEXT,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write a file for each document; else standard output.")
    ] = None,
    server: ServerOption = None,
    engine: EngineOption = "",
    config: ConfigOption = None,
) -> None:
    """Read documents and write what they say. One that can't be read is named, and the others are read all the same."""
    if out is not None:
        _check_names_differ(files, to)
        out.mkdir(parents=True, exist_ok=True)
    with explained():
        failed = asyncio.run(_read_all(files, to=to, out=out, server=server, engine=engine, config=config))
    if failed:
        raise typer.Exit(Exit.FAILED)


async def _read_all(
    files: Sequence[str], *, to: Rendering, out: Path | None, server: str | None, engine: str, config: Path | None
) -> int:
    """Read several at a time, write in the order given, and return how many could not be read."""
    places = asyncio.Semaphore(len(os.sched_getaffinity(0)))
    failed = 0
    async with connected(server, config) as client:
        with _progress(len(files), to_terminal=out is None and sys.stdout.isatty()) as progress:
            bar = progress.add_task("reading", total=len(files))
            readings = [asyncio.create_task(_read(client, places, name, to, engine)) for name in files]
            for name, reading in zip(files, readings, strict=True):
                try:
                    _write(await reading, name, to, out)
                except (CloisterError, OSError) as error:
                    failed += 1
                    complain(name, error)
                progress.advance(bar)
    return failed


async def _read(client: AsyncClient, places: asyncio.Semaphore, name: str, to: Rendering, engine: str) -> str:
    async with places:
        document = await asyncio.to_thread(read_document, name)
        return to.render(await client.recognize(document, engine=engine))


def _write(text: str, name: str, to: Rendering, out: Path | None) -> None:
    if out is None:
        typer.echo(text, nl=False)
    else:
        (out / _target(name, to)).write_text(text, encoding="utf-8")


def _target(name: str, to: Rendering) -> str:
    stem = "stdin" if name == STDIN else Path(name).stem
    return stem + to.suffix


def _check_names_differ(files: Sequence[str], to: Rendering) -> None:
    twice = [target for target, count in Counter(_target(name, to) for name in files).items() if count > 1]
    if twice:
        raise typer.BadParameter(f"two documents would be written to {twice[0]}; give them in two calls")


def _progress(count: int, to_terminal: bool) -> Progress:
    """A bar on the terminal, for many documents. Text that goes ``to_terminal`` shows the progress itself."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=errors,
        transient=True,
        disable=count < 2 or to_terminal or not errors.is_terminal,
    )
