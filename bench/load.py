"""What a server does under load, beside its peers behind a server of the simplest kind, on the same real pages.

``python -m bench.load [--part PART ...] [--set DIR ...] [--limit N] [--seconds S] [--price P] [--out FOLDER] [--json]``

peers     pages a second of Cloister and each peer, in turns; CPU and memory of each, and what 1,000 pages cost
start     from `cloister serve` to the first answer, the disk warm
cells     pages a second with two cells, with one, and with one core, in turns, beside processes without a server
closed    more and more callers at a time
heedless  callers who come again as soon as they are refused: what is answered, refusals held back and not
open      more and more requests a second, past what the server can do: what is admitted, how long it takes
memory    N busy cells beside N processes that each loaded the models

Exits with 1 where a figure could not be had. `bench.arrivals` says how callers behave and what steady means.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench import load_parts
from bench.dataset import data_folder
from bench.load_plots import draw
from bench.peers import PEERS
from server.truth import NAME, load

_DEMO = Path(__file__).parents[1] / "deploy" / "demo" / "pages"
_SETS = ("sroie", "funsd", "unlv_isri", "wildreceipt")


class Part(StrEnum):
    PEERS = "peers"
    START = "start"
    CELLS = "cells"
    CLOSED = "closed"
    HEEDLESS = "heedless"
    OPEN = "open"
    MEMORY = "memory"


def main(
    *,
    parts: Annotated[list[Part] | None, typer.Option("--part", help="what to measure; all if none")] = None,
    sets: Annotated[list[Path] | None, typer.Option("--set", help="folders of pages")] = None,
    limit: Annotated[int, typer.Option(help="pages of each set")] = 3,
    seconds: Annotated[float, typer.Option(help="how long each step of callers lasts")] = 60.0,
    rounds: Annotated[int, typer.Option(help="turns of what is compared")] = 3,
    peers: Annotated[list[str] | None, typer.Option("--peer", help=", ".join(PEERS))] = None,
    price: Annotated[float, typer.Option(help="of a core for an hour, in any currency")] = 0.04,
    deadline_s: Annotated[
        float, typer.Option(help="callers' deadline in the part open; 0: the server's default")
    ] = 0.0,
    settings: Annotated[
        list[str] | None, typer.Option("--setting", help="of the server, as LIMITS__QUEUE=4; may be repeated")
    ] = None,
    out: Annotated[Path, typer.Option(help="folder for load.json and the plots")] = Path("out/load"),
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Measure throughput, latency, CPU, memory and cost under load."""
    documents = _documents(sets, limit)
    ours = dict(setting.split("=", 1) for setting in settings or ())
    asked = _Asked(ours, seconds, rounds, list(PEERS) if peers is None else peers, price, deadline_s)
    cores = len(os.sched_getaffinity(0))
    figures: dict[str, object] = {
        "machine": {"cores": cores, "kernel": os.uname().release, "price_per_core_hour": price},
        "pages": {"count": len(documents), "bytes": sum(map(len, documents))},
        "settings": ours,
    }
    for part in parts or list(Part):
        _say(f"{part} ...")
        figures[part.value] = asyncio.run(_measured(part, documents, asked))
    out.mkdir(parents=True, exist_ok=True)
    (out / "load.json").write_text(json.dumps(figures, indent=2))
    for picture in draw(figures, out):
        _say(f"drew {picture}")
    if as_json:
        json.dump(figures, sys.stdout, indent=2)
        print()
    else:
        print("\n".join(_lines(figures)))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the command line says of how to measure."""

    settings: Mapping[str, str]
    seconds: float
    rounds: int
    peers: Sequence[str]
    price: float
    deadline_s: float


async def _measured(part: Part, documents: Sequence[bytes], asked: _Asked) -> object:
    settings = asked.settings
    found: object
    match part:
        case Part.PEERS:
            sides = await load_parts.beside_peers(documents, settings, asked.peers, asked.rounds, asked.price)
            found = {name: asdict(side) for name, side in sides.items()}
        case Part.START:
            found = await asyncio.to_thread(load_parts.first_answers, documents[0], settings, asked.rounds)
        case Part.CELLS:
            found = asdict(await load_parts.one_and_two_cells(documents, settings, asked.rounds))
        case Part.CLOSED:
            found = [asdict(step) for step in await load_parts.closed(documents, settings, asked.seconds, asked.price)]
        case Part.HEEDLESS:
            found = asdict(await load_parts.heedless(documents, settings, asked.seconds, asked.rounds))
        case Part.OPEN:
            found = asdict(await load_parts.opened(documents, settings, asked.seconds, asked.deadline_s))
        case Part.MEMORY:
            found = [asdict(size) for size in await load_parts.memory(documents, settings, asked.seconds)]
    return found


def _documents(sets: list[Path] | None, limit: int) -> list[bytes]:
    """The pages of ``sets``, of those that are known here, or the demo's; in turns of the sets, so that any part of a
    run meets all kinds."""
    data = data_folder()
    if sets is None and data is not None:
        sets = [data / "pages" / name for name in _SETS if (data / "pages" / name / NAME).exists()]
    if not sets:
        _say("no sets of pages here: the demo's are taken; name folders with --set, or set CLOISTER_DATA")
        return [path.read_bytes() for path in sorted(_DEMO.iterdir())]
    pages = [[truth.image for truth in load(folder, limit)] for folder in sets]
    return [group[number].read_bytes() for number in range(limit) for group in pages if number < len(group)]


def _lines(value: object, name: str = "", indent: int = 0) -> list[str]:
    lead = "  " * indent
    if isinstance(value, dict):
        inner = [line for key, each in value.items() for line in _lines(each, str(key), indent + bool(name))]
        return [f"{lead}{name}", *inner] if name else inner
    if isinstance(value, list):
        inner = [line for number, each in enumerate(value) for line in _lines(each, f"[{number}]", indent + 1)]
        return [f"{lead}{name}", *inner]
    shown = f"{value:.3f}" if isinstance(value, float) else str(value)
    return [f"{lead}{name:{max(1, 34 - 2 * indent)}}{shown:>12}"]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    typer.run(main)
