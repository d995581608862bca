"""``cloister reload``."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from server.cli.common import ConfigOption, Exit, errors, explained
from server.settings import load
from server.watching.scrape import Scrape, ScrapeError, scrape, url_of

_LOOK_S = 0.2
_SAME_S = 1.0


def reload(
    config: ConfigOption = None,
    address: Annotated[
        str | None, typer.Option("--metrics", metavar="HOST:PORT", help="The server's metrics; by default as set.")
    ] = None,
    roll_back: Annotated[
        bool, typer.Option("--roll-back", help="Drop the canaries, or go back to the settings before the last reload.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for the new engines.")] = 300.0,
) -> None:
    """Have the server on this host take its settings and models anew, and wait until it has. No request is lost.

    The same as SIGHUP, and with --roll-back SIGUSR2. Exits with 1 where the server refused; its log says why.
    """
    with explained():
        settings = load(config)
    url = url_of(address or settings.metrics.address)
    try:
        before = scrape(url)
        os.kill(_process(url, before), signal.SIGUSR2 if roll_back else signal.SIGHUP)
        outcome, now = _outcome(url, before, timeout)
    except (ScrapeError, OSError) as error:
        errors.print(f"cloister: {error}")
        raise typer.Exit(Exit.NO_SERVER) from error
    for found, _ in now.series("cloister_engine_info"):
        typer.echo(f"{found['engine']} {found['label']}: {found['version']} {found['model_version']}".rstrip())
    if outcome != "done":
        errors.print(f"cloister: {outcome}; the server goes on as it was, and its log says why")
        raise typer.Exit(Exit.FAILED)


def _process(url: str, seen: Scrape) -> int:
    """The server's process. Raises `ScrapeError` where it does not live on this host, in this PID namespace."""
    pid = int(seen.sum("cloister_process_id"))
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        booted_s = next(
            int(line.split()[1]) for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime")
        )
        started_s = booted_s + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        started_s = 0.0
    if abs(started_s - seen.sum("process_start_time_seconds")) > _SAME_S:
        raise ScrapeError(
            f"{url}: process {pid} of that server is not one of this host's; send it SIGHUP where it runs"
        )
    return pid


def _outcome(url: str, before: Scrape, timeout_s: float) -> tuple[str, Scrape]:
    until_s = time.monotonic() + timeout_s
    while True:
        time.sleep(_LOOK_S)
        now = scrape(url)
        for outcome in ("done", "refused"):
            if now.sum("cloister_reloads_total", outcome=outcome) > before.sum(
                "cloister_reloads_total", outcome=outcome
            ):
                return outcome, now
        if time.monotonic() > until_s:
            return f"not done within {timeout_s:.0f} s", now
