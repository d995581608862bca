"""``cloister attack``."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from jail.attacks import ATTACKS
from jail.attacks.attack import Attack
from jail.attacks.suite import Suite, Verdict
from server.cli.common import ConfigOption, Exit, errors, explained
from server.settings import load

_UNPIPED_WIDTH = 160
_ALL_WELL = "\nEach was stopped, in a whole jail and by each barrier alone."


def attack(
    names: Annotated[
        list[str] | None, typer.Argument(help="Attacks whose name holds one of these; all if none.", metavar="NAME")
    ] = None,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write what was found as JSON.")] = False,
) -> None:
    """Attack the jail on this host, in cells made for that, and say what stopped each attack, and what else would have.

    It harms nothing: each attack aims at something that was made for it, in a cgroup of its own. Exits with 1 where one
    was not stopped.
    """
    chosen = [each for each in ATTACKS if not names or any(name in each.name for name in names)]
    if not chosen:
        raise typer.BadParameter("no attack has such a name; without NAME all are run and shown")
    with explained():
        settings = load(config)
        with Suite(settings.jail.cgroup_parent, settings.jail.dangerously_without) as suite:
            verdicts = _judged(suite, chosen)
    if as_json:
        typer.echo(json.dumps([_described(verdict) for verdict in verdicts], indent=2))
    else:
        _show(verdicts)
    if not all(verdict.stopped for verdict in verdicts):
        raise typer.Exit(Exit.FAILED)


def _judged(suite: Suite, chosen: list[Attack]) -> list[Verdict]:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=errors, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("", total=len(chosen))
        verdicts = []
        for each in chosen:
            progress.update(task, description=each.name)
            verdicts.append(suite.judge(each))
            progress.advance(task)
    return verdicts


def _described(verdict: Verdict) -> dict[str, object]:
    return {
        "attack": verdict.attack.name,
        "here": verdict.here,
        "stopped": verdict.stopped,
        "stopped_by": str(verdict.first),
        "second": _second(verdict),
        "each_alone": {str(barrier): attempt.outcome for barrier, attempt in verdict.alone.items()},
        "how": verdict.whole.how,
        "succeeds_without": verdict.bites if verdict.attack.provable else None,
    }


def _second(verdict: Verdict) -> str | None:
    return str(verdict.others[0]) if verdict.others else None


def _show(verdicts: list[Verdict]) -> None:
    console = Console(width=None if sys.stdout.isatty() else _UNPIPED_WIDTH)
    table = Table("attack", "stopped by", "second", "and each of these alone", "succeeds without them", box=None)
    for verdict in verdicts:
        table.add_row(verdict.attack.name, *_cells(verdict), style=None if verdict.stopped else "bold red")
    console.print(table)
    failed = [verdict.attack.name for verdict in verdicts if not verdict.stopped]
    console.print(f"\nNOT STOPPED: {', '.join(failed)}" if failed else _ALL_WELL)


def _cells(verdict: Verdict) -> tuple[str, str, str, str]:
    if not verdict.stopped:
        reached = [str(barrier) for barrier, attempt in verdict.alone.items() if attempt.outcome == "reached"]
        return "NOT STOPPED", "", f"not by {', '.join(reached)}" if reached else "", ""
    rest = ", ".join(map(str, verdict.others[1:]))
    return str(verdict.first), _second(verdict) or "-", rest, _proof(verdict)


def _proof(verdict: Verdict) -> str:
    if not verdict.attack.provable:
        return "can't be off"
    return ("yes" if verdict.bites else "NO") if verdict.here else "not on this host"
