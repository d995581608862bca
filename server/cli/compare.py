"""``cloister compare``."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cloister.v1 import ocr_pb2
from server.cli.common import ConfigOption, Exit, ServerOption, complain, connected, explained
from server.client import AsyncClient
from server.comparison import Agreement, Rules, agreement
from server.errors import CloisterError

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"})
_WORST = 10


@dataclass(frozen=True, slots=True)
class _Reading:
    pages: Sequence[ocr_pb2.Page]
    seconds: float


@dataclass(frozen=True, slots=True)
class _Pair:
    """A document read by the first engine and by another; None where the latter could not read it."""

    document: str
    engine: str
    agreement: Agreement | None
    control_s: float
    candidate_s: float


def compare(
    folder: Annotated[Path, typer.Argument(help="Folder of documents.", exists=True, file_okay=False)],
    *,
    engines: Annotated[str, typer.Option("--engines", help="Names with commas; the first is the control.")],
    ignore_case: Annotated[bool, typer.Option("--ignore-case", help="Case makes no difference.")] = False,
    ignore_punctuation: Annotated[bool, typer.Option("--ignore-punctuation", help="Nor does punctuation.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write a line of JSON for each pair instead.")] = False,
    server: ServerOption = None,
    config: ConfigOption = None,
) -> None:
    """Read a folder's documents with several engines and hold each against the first, word by word."""
    names = tuple(name.strip() for name in engines.split(",") if name.strip())
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise typer.BadParameter("name two engines or more, each once, as --engines scribe,tesseract")
    documents = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not documents:
        raise typer.BadParameter(f"there are no documents in {folder}; they end in {', '.join(sorted(_SUFFIXES))}")
    rules = Rules(ignore_case, ignore_punctuation)
    with explained():
        pairs = asyncio.run(_compare_all(documents, names, rules, server, config))
    if as_json:
        for pair in pairs:
            typer.echo(json.dumps(_line(pair)))
    else:
        _show(pairs, names)
    if not pairs or any(pair.agreement is None for pair in pairs):
        raise typer.Exit(Exit.FAILED)


async def _compare_all(
    documents: Sequence[Path], names: tuple[str, ...], rules: Rules, server: str | None, config: Path | None
) -> list[_Pair]:
    pairs = []
    async with connected(server, config, engines=names) as client:
        for path in documents:
            document = path.read_bytes()
            # One after the other: their times are compared too.
            control = await _read(client, path.name, document, names[0])
            for name in names[1:] if control is not None else ():
                assert control is not None
                found = await _read(client, path.name, document, name)
                held = None if found is None else agreement(control.pages, found.pages, rules)
                pairs.append(_Pair(path.name, name, held, control.seconds, 0.0 if found is None else found.seconds))
    return pairs


async def _read(client: AsyncClient, name: str, document: bytes, engine: str) -> _Reading | None:
    started = time.perf_counter()
    try:
        response = await client.recognize(document, engine=engine, outputs=[ocr_pb2.OUTPUT_WORDS])
    except CloisterError as error:
        complain(f"{name} ({engine})", error)
        return None
    return _Reading(response.pages, time.perf_counter() - started)


def _line(pair: _Pair) -> dict[str, object]:
    counts = {} if pair.agreement is None else pair.agreement.counts()
    times = {"control_s": round(pair.control_s, 3), "candidate_s": round(pair.candidate_s, 3)}
    return {"document": pair.document, "candidate": pair.engine, "read": pair.agreement is not None, **times, **counts}


def _show(pairs: Sequence[_Pair], names: Sequence[str]) -> None:
    console = Console()
    table = Table("", *names[1:], title=f"against {names[0]}")
    columns = [_column([pair for pair in pairs if pair.engine == name]) for name in names[1:]]
    for row in columns[0]:
        table.add_row(row, *(column[row] for column in columns))
    console.print(table)
    ranked = sorted((p.agreement.word_agreement, p.document, p.engine) for p in pairs if p.agreement is not None)
    for share, document, engine in ranked[:_WORST]:
        console.print(f"{share:7.1%}  {engine}  {document}", markup=False)


def _column(pairs: Sequence[_Pair]) -> dict[str, str]:
    """What is shown of one candidate."""
    read = [pair for pair in pairs if pair.agreement is not None]
    total = sum((pair.agreement for pair in read if pair.agreement is not None), Agreement())
    control_s = sum(pair.control_s for pair in read)
    ratio = sum(pair.candidate_s for pair in read) / control_s if control_s else 0.0
    return {
        "documents": str(len(pairs)),
        "could not be read": str(len(pairs) - len(read)),
        "words with the same text": f"{total.word_agreement:.1%}",
        "character errors against the control": f"{total.character_error_rate:.1%}",
        "words merged": str(total.merged),
        "words split": str(total.split),
        "words only it found": str(total.only_candidate),
        "words only the control found": str(total.only_control),
        "overlap of boxes": f"{total.mean_overlap:.2f}",
        "time to the control's": f"{ratio:.2f}",
    }
