"""``cloister ocr``."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cloister.v1 import ocr_pb2
from server.access import Access
from server.async_client import AsyncClient
from server.cli.common import (
    STDIN,
    CaOption,
    CertificateOption,
    ConfigOption,
    EngineOption,
    Exit,
    KeyOption,
    ServerOption,
    TokenFileOption,
    access_of,
    complain,
    connected,
    errors,
    explained,
    read_document,
)
from server.errors import CloisterError
from server.renderings import Rendering


class ExistingText(StrEnum):
    """What becomes of pages of a PDF that hold text already; the value is the name on the command line."""

    SKIP = "skip"
    REDO = "redo"
    ADD = "add"

    @property
    def message(self) -> ocr_pb2.ExistingText.ValueType:
        return ocr_pb2.ExistingText.Value(f"EXISTING_TEXT_{self.name}")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is asked for each document."""

    form: Rendering
    engine: str
    pdf: ocr_pb2.PdfOptions


def ocr(
    files: Annotated[list[str], typer.Argument(help="Documents to read; - is standard input.", metavar="FILE")],
    *,
    to: Annotated[
        Rendering | None, typer.Option("--to", help="What to write; by default what the name after -o says, else text.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write a file for each document; else standard output.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File to write, for one document.")] = None,
    existing_text: Annotated[
        ExistingText, typer.Option("--existing-text", help="Pages of a PDF that hold text: leave, read anew, add to.")
    ] = ExistingText.SKIP,
    break_signatures: Annotated[
        bool, typer.Option("--break-signatures", help="Write signed PDFs too: their signatures will not hold.")
    ] = False,
    server: ServerOption = None,
    ca: CaOption = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    token_file: TokenFileOption = None,
    engine: EngineOption = "",
    config: ConfigOption = None,
) -> None:
    """Read documents and write what they say. One that can't be read is named, and the others are read all the same."""
    if output is not None and (out is not None or len(files) != 1):
        raise typer.BadParameter("-o names the file of one document; give --out FOLDER for more")
    form = to or (Rendering.of_file(output.name) if output is not None else None) or Rendering.TEXT
    if out is not None:
        _check_names_differ(files, form)
        out.mkdir(parents=True, exist_ok=True)
    elif output is None and form is Rendering.PDF and sys.stdout.isatty():
        raise typer.BadParameter("a PDF is not for the terminal; give -o FILE or --out FOLDER")
    wanted = _Wanted(
        form, engine, ocr_pb2.PdfOptions(existing_text=existing_text.message, break_signatures=break_signatures)
    )
    access = access_of(ca, certificate, key, token_file)
    with explained():
        failed = asyncio.run(
            _read_all(files, wanted, out=out, output=output, server=server, access=access, config=config)
        )
    if failed:
        raise typer.Exit(Exit.FAILED)


async def _read_all(
    files: Sequence[str],
    wanted: _Wanted,
    *,
    out: Path | None,
    output: Path | None,
    server: str | None,
    access: Access,
    config: Path | None,
) -> int:
    """Read several at a time, write in the order given, and return how many could not be read."""
    places = asyncio.Semaphore(len(os.sched_getaffinity(0)))
    failed = 0
    async with connected(server, config, access=access) as client:
        to_terminal = out is None and output is None and sys.stdout.isatty()
        with _progress(to_terminal=to_terminal) as progress:
            pages = _Pages(progress, len(files))
            readings = [asyncio.create_task(_read(client, places, name, wanted, pages)) for name in files]
            for name, reading in zip(files, readings, strict=True):
                try:
                    _write(await reading, output or (out and out / _target(name, wanted.form)))
                except (CloisterError, OSError) as error:
                    failed += 1
                    complain(name, error)
    return failed


async def _read(client: AsyncClient, places: asyncio.Semaphore, name: str, wanted: _Wanted, pages: _Pages) -> bytes:
    async with places:
        with pages.of_one() as progress:
            document = await asyncio.to_thread(read_document, name)
            response = await client.recognize(
                document, engine=wanted.engine, outputs=wanted.form.outputs, pdf=wanted.pdf, progress=progress
            )
            return wanted.form.render(response)


class _Pages:
    """The bar over all pages. A document counts as one page until its pages are known."""

    def __init__(self, progress: Progress, documents: int) -> None:
        self._progress = progress
        self._total = documents
        self._bar = progress.add_task("reading pages", total=documents)

    @contextmanager
    def of_one(self) -> Iterator[Callable[[int, int], None]]:
        """What is to be told of one document's pages: how many are read, and how many there are."""
        read, there = 0, 1

        def told(now: int, pages: int) -> None:
            nonlocal read, there
            self._total += pages - there
            self._progress.update(self._bar, total=self._total, advance=now - read)
            read, there = now, pages

        try:
            yield told
        finally:
            told(there, there)  # one that failed has no more to come


def _write(content: bytes, target: Path | None) -> None:
    if target is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    else:
        target.write_bytes(content)


def _target(name: str, to: Rendering) -> str:
    stem = "stdin" if name == STDIN else Path(name).stem
    return stem + to.suffix


def _check_names_differ(files: Sequence[str], to: Rendering) -> None:
    twice = [target for target, count in Counter(_target(name, to) for name in files).items() if count > 1]
    if twice:
        raise typer.BadParameter(f"two documents would be written to {twice[0]}; give them in two calls")


def _progress(to_terminal: bool) -> Progress:
    """A bar on the terminal. Text that goes ``to_terminal`` shows the progress itself."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=errors,
        transient=True,
        disable=to_terminal or not errors.is_terminal,
    )
