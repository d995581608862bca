"""``cloister ramp``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from server.cli.common import ConfigOption, Exit, errors, explained
from server.cli.shadow import recorded, reported
from server.flagfile import FlagFile, FlagFileError, Share
from server.report import text
from server.report.recommendation import Verdict
from server.settings import load

_DAY_S = 86_400


def ramp(
    candidate: Annotated[str, typer.Argument(help="The engine whose share grows.")],
    *,
    flags: Annotated[Path | None, typer.Option("--flags", help="The file of flags, by default the settings'.")] = None,
    days: Annotated[float, typer.Option("--days", help="How far back the report goes.", min=0)] = 30.0,
    back: Annotated[bool, typer.Option("--back", help="Take it back to nothing, whatever the report says.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and leave the file.")] = False,
    config: ConfigOption = None,
) -> None:
    """Give a candidate the next share of requests, 1, 5, 25, 50, then 100 %, if the report on it says ramp.

    Servers see the changed file within a second.
    """
    with explained():
        settings = load(config)
    path = flags or settings.experiments.flags
    if path is None:
        raise typer.BadParameter("the settings name no experiments.flags; name the file by --flags")
    try:
        file = FlagFile(path)
        share = file.share(candidate)
        step = 0 if back else share.next_step
        if step is None or step == share.percent:
            typer.echo(f"{candidate} has {share.percent:g} % already")
            return
        # To take it back needs no report, and no database that could be lost.
        if not back:
            _check_report(share, days, config)
        if not dry_run:
            file.write(candidate, step)
    except FlagFileError as error:
        errors.print(f"cloister: {error}")
        raise typer.Exit(Exit.FAILED) from error
    typer.echo(f"{candidate}: {share.percent:g} % -> {step} % of what {share.control} answers, in {path}")


def _check_report(share: Share, days: float, config: Path | None) -> None:
    """End the command where the report on the candidate does not say ramp."""
    with recorded(config) as (settings, store):
        compared = store.comparisons(share.control, share.candidate, since_s=time.time() - days * _DAY_S)
        made = next(reported(compared, settings), None)
    if made is None:
        errors.print(f"cloister: {share.candidate} was not compared with {share.control} in {days:g} days: no ramp")
        raise typer.Exit(Exit.FAILED)
    if made.verdict is not Verdict.RAMP:
        text.show_verdict(made, Console(stderr=True))
        errors.print(f"cloister: the report says {made.verdict}: {share.candidate} stays at {share.percent:g} %")
        raise typer.Exit(Exit.FAILED)
