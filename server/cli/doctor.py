"""``cloister doctor``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from jail.doctor import Finding, examine
from jail.layers import OPTIONAL
from server.cli.common import ConfigOption, Exit, explained
from server.settings import load

_UNPIPED_WIDTH = 200


def doctor(
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write what was found as JSON.")] = False,
) -> None:
    """Try each layer of the jail on this host and say what to change. Exits with 1 where one is missing."""
    with explained():
        settings = load(config)
        findings = examine(settings.jail.cgroup_parent)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        console = Console(width=None if sys.stdout.isatty() else _UNPIPED_WIDTH)
        console.print(_table(findings))
    given_up = settings.jail.dangerously_without | OPTIONAL
    if any(finding.needed and not finding.present and finding.layer not in given_up for finding in findings):
        raise typer.Exit(Exit.FAILED)


def _table(findings: list[Finding]) -> Table:
    table = Table("layer", "here", "why not", "to change", title="The jail's layers on this host", title_justify="left")
    for finding in findings:
        table.add_row(finding.layer.value, _state(finding), finding.why, finding.fix)
    return table


def _state(finding: Finding) -> str:
    if finding.present:
        return "yes"
    if not finding.needed:
        return "not needed"
    return "no, optional" if finding.layer in OPTIONAL else "NO"
