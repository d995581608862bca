"""``cloister top``."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from server.cli.common import ConfigOption, Exit, errors, explained
from server.settings import load
from server.watching.scrape import Scrape, ScrapeError, scrape, url_of
from server.watching.vitals import EngineVitals, Vitals, vitals

_UNPIPED_WIDTH = 200
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Seen:
    """Of one server: its vitals, or why there are none."""

    address: str
    vitals: Vitals | None
    why: str = ""


def top(
    addresses: Annotated[
        list[str] | None, typer.Argument(metavar="[HOST:PORT]...", help="Metrics of servers; by default as set.")
    ] = None,
    config: ConfigOption = None,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look twice, an interval apart, and write what came.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --once: write JSON.")] = False,
) -> None:
    """Watch servers at work: rates, queues, times, cells, how they end, memory. Ctrl-C ends it.

    Exits with 3 where not one of the servers can be seen.
    """
    with explained():
        chosen = addresses or [load(config).metrics.address]
    if not all(chosen):
        errors.print(
            "cloister: no server to look at: set metrics.address (CLOISTER_METRICS__ADDRESS=127.0.0.1:9464) for"
            " the server, and for this command too, or name HOST:PORT here"
        )
        raise typer.Exit(Exit.NO_SERVER)
    with ThreadPoolExecutor(len(chosen)) as threads:
        before = _look(threads, chosen)
        if all(isinstance(found, ScrapeError) for found in before.values()):
            for found in before.values():
                errors.print(f"cloister: {found}")
            raise typer.Exit(Exit.NO_SERVER)
        if once:
            time.sleep(interval)
            _write(_seen(before, _look(threads, chosen)), as_json)
            return
        with Live(_view(_seen(before, before)), screen=True, auto_refresh=False) as live:
            try:
                while True:
                    time.sleep(interval)
                    now = _look(threads, chosen)
                    live.update(_view(_seen(before, now)), refresh=True)
                    before = now
            except KeyboardInterrupt:
                return


def _look(threads: ThreadPoolExecutor, addresses: list[str]) -> dict[str, Scrape | ScrapeError]:
    return dict(zip(addresses, threads.map(_try, addresses), strict=True))


def _try(address: str) -> Scrape | ScrapeError:
    try:
        return scrape(url_of(address))
    except ScrapeError as error:
        return error


def _seen(before: Mapping[str, Scrape | ScrapeError], now: Mapping[str, Scrape | ScrapeError]) -> list[Seen]:
    seen = []
    for address, found in now.items():
        if isinstance(found, ScrapeError):
            seen.append(Seen(address, None, str(found)))
            continue
        earlier = before[address]
        # Of a server that could not be seen before, all that it has done is new.
        base = Scrape(found.at_s, found.values) if isinstance(earlier, ScrapeError) else earlier
        seen.append(Seen(address, vitals(base, found)))
    return seen


def _write(seen: list[Seen], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in seen], indent=2))
        return
    Console(width=None if Console().is_terminal else _UNPIPED_WIDTH).print(_view(seen))


def _view(seen: list[Seen]) -> Group:
    """A table of those that could be seen, and below it why the others could not."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("server", "engine", "version", "state"):
        table.add_column(column, no_wrap=True)
    for column in ("req/s", "pages/s", "queue", "p50", "p95", "conf", "idle", "busy", "new", "zygote", "cells"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("ended badly, refused")
    for one in seen:
        if one.vitals is not None:
            for number, engine in enumerate(one.vitals.engines):
                table.add_row(one.address if number == 0 else "", *_row(one.vitals, engine))
    return Group(table, *(Text(one.why, "red") for one in seen if one.vitals is None))


def _row(server: Vitals, engine: EngineVitals) -> list[str]:
    state = "serving" if engine.serving and server.serving else "[red]NOT SERVING[/red]"
    if server.layers_off:
        state += f" [yellow]without {', '.join(server.layers_off)}[/yellow]"
    if server.retiring:
        state += f" ({server.retiring} retiring)"
    bad = {**engine.ends, **engine.refusals}
    return [
        engine.engine if engine.label == "stable" else f"{engine.engine}@{engine.label}",
        engine.version,
        state,
        f"{engine.requests:.1f}",
        f"{engine.pages:.1f}",
        f"{engine.queue}/{engine.queue_limit}",
        _ms(engine.p50_s),
        _ms(engine.p95_s),
        "-" if engine.confidence is None else f"{engine.confidence:.2f}",
        str(engine.idle),
        f"{engine.busy}/{engine.busy_limit}",
        str(engine.starting),
        _mib(engine.zygote_bytes),
        _mib(engine.cells_bytes),
        ", ".join(f"{name} {count}" for name, count in bad.items()),
    ]


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f} ms"


def _mib(size: int | None) -> str:
    return "-" if size is None else f"{size / _MIB:.0f} MiB"
