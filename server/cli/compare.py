"""``cloister compare``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cloister.v1 import ocr_pb2
from server import truth as truths
from server.access import Access
from server.async_client import AsyncClient
from server.cli.common import (
    CaOption,
    CertificateOption,
    ConfigOption,
    Exit,
    KeyOption,
    ServerOption,
    TokenFileOption,
    access_of,
    complain,
    connected,
    errors,
    explained,
)
from server.cli.shadow import reported, rightness, show
from server.comparison import Rules, agreement
from server.errors import CloisterError
from server.records.comparison import OK, Comparison, Spent, name
from server.settings import load

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".pdf"})
_IMAGES = "images"


@dataclass(frozen=True, slots=True)
class _Document:
    """A file, its name in the folder, its kind, and its truth where that is known."""

    path: Path
    name: str
    kind: str
    truth: truths.Truth | None


@dataclass(frozen=True, slots=True)
class _Reading:
    engine: str
    version: str
    pages: Sequence[ocr_pb2.Page]
    seconds: float
    status: str = OK


def compare(
    folder: Annotated[Path, typer.Argument(help="Folder of documents.", exists=True, file_okay=False)],
    *,
    engines: Annotated[str, typer.Option("--engines", help="Names with commas; the first is the control.")],
    limit: Annotated[int, typer.Option("--limit", help="Only so many documents of each folder; 0 is all.", min=0)] = 0,
    ignore_case: Annotated[bool, typer.Option("--ignore-case", help="Case makes no difference.")] = False,
    ignore_punctuation: Annotated[bool, typer.Option("--ignore-punctuation", help="Nor does punctuation.")] = False,
    ignore_white_space: Annotated[
        bool, typer.Option("--ignore-white-space", help="A word is like its pieces.")
    ] = False,
    as_html: Annotated[Path | None, typer.Option("--html", help="Write one HTML file with plots.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON instead, a line a candidate.")] = False,
    server: ServerOption = None,
    ca: CaOption = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    token_file: TokenFileOption = None,
    config: ConfigOption = None,
) -> None:
    """Read a folder's documents with several engines and hold each against the first, and both against the truth.

    Subfolders are document kinds. Where a folder holds a truth.jsonl, it says who is right: a line of JSON for each
    page, with "image" and "words" (each with "text") or "page_text".
    """
    names = tuple(name.strip() for name in engines.split(",") if name.strip())
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise typer.BadParameter("name two engines or more, each once, as --engines scribe,tesseract")
    documents = list(_documents(folder, limit))
    if not documents:
        raise typer.BadParameter(f"there are no documents in {folder}; they end in {', '.join(sorted(_SUFFIXES))}")
    rules = Rules(ignore_case, ignore_punctuation, ignore_white_space)
    access = access_of(ca, certificate, key, token_file)
    with explained():
        settings = load(config)
        compared = asyncio.run(_compare_all(documents, names, rules, server, access=access, config=config))
    show(list(reported(compared, settings)), as_html, as_json)
    if len(compared) < len(documents) * (len(names) - 1) or any(one.status != OK for one in compared):
        raise typer.Exit(Exit.FAILED)


def _documents(folder: Path, limit: int) -> Iterator[_Document]:
    """All below ``folder``, by name."""
    known = {truth.image.resolve(): truth for path in folder.rglob(truths.NAME) for truth in _truths(path.parent)}
    taken: dict[Path, int] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in _SUFFIXES or 0 < limit <= taken.get(path.parent, 0):
            continue
        taken[path.parent] = taken.get(path.parent, 0) + 1
        place = path.parent.parent if path.parent.name == _IMAGES else path.parent
        kind = folder.resolve().name if folder in (place, path.parent) else str(place.relative_to(folder))
        yield _Document(path, str(path.relative_to(folder)), name(kind), known.get(path.resolve()))


def _truths(folder: Path) -> list[truths.Truth]:
    try:
        return truths.load(folder)
    except (ValueError, KeyError, TypeError, OSError) as error:
        errors.print(f"cloister: {folder / truths.NAME} can't be read: {error}")
        raise typer.Exit(Exit.FAILED) from error


async def _compare_all(
    documents: Sequence[_Document],
    names: tuple[str, ...],
    rules: Rules,
    server: str | None,
    *,
    access: Access,
    config: Path | None,
) -> list[Comparison]:
    compared = []
    async with connected(server, config, engines=names, access=access) as client:
        versions = {info.name: info.version for info in await client.engines()}
        with _progress(len(documents)) as advance:
            for number, document in enumerate(documents):
                # One after the other, for their times are compared too, and neither always on the other's heels.
                order = names if number % 2 else names[::-1]
                read = {engine: await _read(client, document, engine, versions.get(engine, "")) for engine in order}
                control = read[names[0]]
                if control.status == OK:
                    compared += [_comparison(document, control, read[engine], rules) for engine in names[1:]]
                advance()
    return compared


def _comparison(document: _Document, control: _Reading, candidate: _Reading, rules: Rules) -> Comparison:
    both = candidate.status == OK
    truth = document.truth
    return Comparison(
        id=document.name,
        at_s=time.time(),
        document_kind=document.kind,
        pages=len(control.pages),
        flags_version="",
        control=control.engine,
        control_version=control.version,
        candidate=candidate.engine,
        candidate_version=candidate.version,
        status=candidate.status,
        rules=str(rules),
        control_spent=Spent(control.seconds),
        candidate_spent=Spent(candidate.seconds),
        agreement=agreement(control.pages, candidate.pages, rules) if both else None,
        truth=rightness(truth, control.pages, candidate.pages, rules) if both and truth is not None else None,
    )


async def _read(client: AsyncClient, document: _Document, engine: str, version: str) -> _Reading:
    started = time.perf_counter()
    pages: Sequence[ocr_pb2.Page] = ()
    status = OK
    try:
        response = await client.recognize(
            document.path.read_bytes(),
            engine=engine,
            outputs=[ocr_pb2.OUTPUT_WORDS],
            pdf=ocr_pb2.PdfOptions(existing_text=ocr_pb2.EXISTING_TEXT_REDO),
        )
        pages = response.pages
    except CloisterError as error:
        complain(f"{document.name} ({engine})", error)
        status = str(error.reason)
    return _Reading(engine, version, pages, time.perf_counter() - started, status)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A bar on standard error, where that is a terminal."""
    columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)
