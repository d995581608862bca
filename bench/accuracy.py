"""Reads sets of real pages with Cloister, through gRPC and in cells, and with its peers, and scores all alike.

``python -m bench.accuracy --set DIR [--set DIR] [--engine scribe] [--engine tesseract-cli] [--limit N] [--json]``
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from bench.dataset import data_folder
from bench.embedded import Cloister
from bench.peers import PEERS, PeerMissingError, Reader
from bench.scoring import Score
from server.truth import Truth, load

_COLUMNS = ("f1", "f1_nocase", "precision", "recall", "line_accuracy", "cer", "merged", "split", "seconds_median")


def main(
    sets: Annotated[list[Path] | None, typer.Option("--set", help="a folder of pages; all known ones if none")] = None,
    engines: Annotated[
        list[str] | None, typer.Option("--engine", help=f"an engine of Cloister's, or {', '.join(PEERS)}")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="pages of each set")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Score engines over sets of pages."""
    folders = sets or _known_sets()
    results: dict[str, dict[str, dict[str, float | int | None]]] = {}
    with ExitStack() as stack:
        readers = {name: _reader(name, stack) for name in engines or ["scribe"]}
        for folder in folders:
            pages = load(folder, limit)
            results[folder.name] = {name: _score(reader, pages).summary() for name, reader in readers.items()}
            if not as_json:
                print("\n".join(_table(folder.name, results[folder.name])), flush=True)
    if as_json:
        json.dump(results, sys.stdout, indent=2)
        print()


def _known_sets() -> list[Path]:
    data = data_folder()
    if data is None:
        raise typer.BadParameter("no data found: name folders with --set, or set CLOISTER_DATA")
    return sorted(path.parent for path in (data / "pages").glob("*/truth.jsonl"))


def _reader(name: str, stack: ExitStack) -> Reader:
    if name not in PEERS:
        return stack.enter_context(Cloister(name))
    try:
        return PEERS[name]()
    except PeerMissingError as error:
        raise typer.BadParameter(str(error)) from error


def _score(reader: Reader, pages: list[Truth]) -> Score:
    score = Score()
    for truth in pages:
        started = time.perf_counter()
        found = reader.read(truth.image)
        score.add(truth, found, time.perf_counter() - started)
    return score


def _table(name: str, rows: dict[str, dict[str, float | int | None]]) -> Iterator[str]:
    yield f"\n{name}, {next(iter(rows.values()))['pages']} pages"
    yield f"{'':16}" + "".join(f"{column:>15}" for column in _COLUMNS)
    for engine, summary in rows.items():
        yield f"{engine:16}" + "".join(f"{_cell(summary[column]):>15}" for column in _COLUMNS)


def _cell(value: float | int | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


if __name__ == "__main__":
    typer.run(main)
