"""``cloister doctor``."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from jail.doctor import Finding, examine
from jail.host import Host
from jail.layers import OPTIONAL
from jail.proving import merged, prove
from jail.spec import Layers
from server.cli.common import ConfigOption, Exit, explained
from server.settings import load

_UNPIPED_WIDTH = 200


def doctor(
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write what was found as JSON.")] = False,
) -> None:
    """Try each layer of the jail on this host and say what to change. Exits with 1 where one is missing.

    Where none is, real cells are made, and try to get out.
    """
    with explained():
        settings = load(config)
        layers = Layers(settings.jail.dangerously_without, settings.jail.cgroup_parent)
        host, findings = Host.here(), examine(layers.cgroup_parent)
        tried = not _missing(findings, layers)
        if tried:
            findings = merged(findings, asyncio.run(prove(layers)))
    if as_json:
        layers_found = [asdict(finding) for finding in findings]
        typer.echo(json.dumps({"host": asdict(host), "layers": layers_found, "tried_in_cells": tried}, indent=2))
    else:
        console = Console(width=None if sys.stdout.isatty() else _UNPIPED_WIDTH)
        console.print(_table(findings))
        console.print(_summary(host, tried), markup=False, highlight=False)
    if _missing(findings, layers):
        raise typer.Exit(Exit.FAILED)


def _missing(findings: list[Finding], layers: Layers) -> bool:
    given_up = layers.dangerously_without | OPTIONAL
    return any(finding.needed and not finding.present and finding.layer not in given_up for finding in findings)


def _summary(host: Host, tried: bool) -> str:
    facts = [
        f"Linux {host.kernel}",
        f"cgroups version {host.cgroups}",
        f"in {host.container}" if host.container else "no known container",
        "under a seccomp profile from outside" if host.filtered else "",
        f"under the AppArmor profile {host.apparmor}" if host.apparmor else "",
        host.too_old,
        "real cells were made, and tried to get out" if tried else "no cell was made: a layer is missing",
    ]
    return "; ".join(filter(None, facts))


def _table(findings: list[Finding]) -> Table:
    table = Table("layer", "here", "why not", "to change", title="The jail's layers on this host", title_justify="left")
    for finding in findings:
        table.add_row(finding.layer.value, _state(finding), finding.why, finding.fix)
    return table


def _state(finding: Finding) -> str:
    if finding.present:
        return "yes, but" if finding.why else "yes"
    if not finding.needed:
        return "not needed"
    return "no, optional" if finding.layer in OPTIONAL else "NO"
