"""``cloister policy``: what cells may ask of the kernel, for those who must approve of it."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable, Sequence
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from jail import audit, lint
from jail.audit import Risk, Row
from jail.dump import dump as dumped
from jail.policy import Phase
from jail.profile import Profile
from jail.seccomp import is_call
from server import catalogue
from server.cli.common import ConfigOption, Exit, errors, explained
from server.settings import Settings, load

_UNPIPED_WIDTH = 240
_COLOURS = {Risk.HIGH: "yellow", Risk.FORBIDDEN: "red", Risk.NONE: "dim"}

app = typer.Typer(name="policy", help="Read, compare and check what cells may ask of the kernel.", no_args_is_help=True)

NamesArgument = Annotated[
    list[str] | None, typer.Argument(help="Names of policies, or files; all that come with the jail if none.")
]


class Format(StrEnum):
    JSON = "json"
    CSV = "csv"
    SARIF = "sarif"


def _path(name: str) -> Path:
    """The file of a policy's name; a name with a slash or a dot is a file's own."""
    if "/" in name or "." in name:
        return Path(name)
    path = lint.POLICIES / f"{name}.policy"
    if not path.exists():
        known = ", ".join(sorted(known.stem for known in lint.POLICIES.glob("*.policy")))
        raise typer.BadParameter(f"there is no policy {name!r}; there are: {known}")
    return path


def _paths(names: list[str] | None) -> list[Path]:
    return [_path(name) for name in names] if names else lint.own_policies()


@app.command("show")
def show(names: NamesArgument = None, config: ConfigOption = None) -> None:
    """Print a table: system call, condition, reason, risk, and which engines live under it."""
    with explained():
        engines = _engines(load(config))
        tables = [(path, audit.rows(path)) for path in _paths(names)]
    console = Console(width=None if sys.stdout.isatty() else _UNPIPED_WIDTH)
    for path, rows in tables:
        allowed = {row.call for row in rows if row.phase is Phase.WORK and row.action == "allow"}
        engine = ", ".join(engines.get(path.resolve(), [])) or "none here"
        table = Table("call", "condition", "answer", "risk", "phase", "reason", title_justify="left")
        table.title = f"{path.stem}: {len(allowed)} calls at work. Engines: {engine}"
        for row in rows:
            phase = "set-up only" if row.phase is Phase.SET_UP else ""
            risk = f"[{_COLOURS[row.risk]}]{row.risk}[/]" if row.risk in _COLOURS else row.risk.value
            table.add_row(row.call, _escaped(row.condition), row.action, risk, phase, _escaped(row.reason))
        console.print(table)


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")


def _engines(settings: Settings) -> dict[Path, list[str]]:
    """Names of the engines that the settings run, by the policy's file."""
    found: dict[Path, list[str]] = {}
    for entry in (*catalogue.installed(settings), *catalogue.candidates(settings)):
        found.setdefault(entry.zygote.policy_path.resolve(), []).append(entry.name)
    return found


@app.command("dump")
def dump(name: Annotated[str, typer.Argument(help="Name of a policy, or a file.")]) -> None:
    """Print what a policy compiles to, an instruction a line; jail/policy/compiled holds those that come with it."""
    with explained():
        typer.echo(dumped(_path(name)), nl=False)


@app.command("lint")
def check(names: NamesArgument = None) -> None:
    """Find what no reason excuses, and say whether a security review is due. Exits with 1 where one errs."""
    if lint.main([str(path) for path in _paths(names)]):
        raise typer.Exit(Exit.FAILED)


@app.command("explain")
def explain(call: Annotated[str, typer.Argument(help="Name of a system call.")], names: NamesArgument = None) -> None:
    """Say what a system call could do, and what each policy makes of it."""
    if not is_call(call):
        raise typer.BadParameter(f"{call!r} is no system call that libseccomp knows")
    with explained():
        typer.echo(audit.explain(call, _paths(names)))


@app.command("diff")
def diff(first: Annotated[str, typer.Argument()], second: Annotated[str, typer.Argument()]) -> None:
    """Print the rules that only one of two policies has. Exits with 1 where there are any."""
    with explained():
        found = audit.diff(_path(first), _path(second))
    for difference in found:
        typer.echo(str(difference))
    if found:
        raise typer.Exit(Exit.FAILED)


@app.command("export")
def export(
    names: NamesArgument = None,
    form: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.JSON,
) -> None:
    """Write policies for other tools."""
    paths = _paths(names)
    writers: dict[Format, Callable[[Sequence[Row]], str]] = {Format.JSON: audit.to_json, Format.CSV: audit.to_csv}
    with explained():
        if form is Format.SARIF:
            typer.echo(audit.to_sarif(paths, version("cloister")), nl=False)
        else:
            typer.echo(writers[form]([row for path in paths for row in audit.rows(path)]), nl=False)


@app.command("profile")
def profile(
    files: Annotated[list[Path], typer.Argument(help="Documents that you trust.", exists=True, dir_okay=False)],
    *,
    let_pass: Annotated[
        bool, typer.Option("--dangerously-let-pass", help="Required: no system call is stopped while this runs.")
    ] = False,
    engine: Annotated[
        str, typer.Option("--engine", help="Whose policy to profile; the default one if not given.")
    ] = "",
    config: ConfigOption = None,
) -> None:
    """DANGER: read documents, damaged ones too, in cells whose policy records instead of kills. For files you trust."""
    if not let_pass:
        raise typer.BadParameter("cells will not be held by their policy: say --dangerously-let-pass")
    errors.print("DANGER: cells may make any system call while this profile is made; their other layers hold")
    from server import profiling

    with explained(), tempfile.TemporaryDirectory(prefix="cloister-profile-") as folder:
        settings = load(config)
        name = engine or settings.default
        settings = settings.model_copy(update={"engines": (name,), "default_engine": ""})
        (entry,) = catalogue.installed(settings)
        documents = [path.read_bytes() for path in files]
        found = asyncio.run(profiling.dangerously_profile(entry, documents, settings, Path(folder)))
        rows = audit.rows(entry.zygote.policy_path)
    typer.echo(f"DANGER: a profile of {entry.zygote.policy_path.stem}, by {name}, with nothing stopped\n")
    for ending, count in sorted(found.endings.items()):
        typer.echo(f"{count:5d}  {ending}")
    _print_profile(found.profile, rows)
    if found.profile.forbidden:
        raise typer.Exit(Exit.FAILED)


def _print_profile(found: Profile, rows: Sequence[Row]) -> None:
    typer.echo("\nused but not allowed:")
    for use in found.forbidden:
        typer.echo(f"{use.count:7d}  {use}  during {use.phase}")
    typer.echo("" if found.forbidden else "   none")
    typer.echo("\nallowed but never used at work:")
    for row in found.unused:
        typer.echo(f"   {row.call}: {row.condition}  # {row.reason} ({row.path}:{row.line})")
    typer.echo("" if found.unused else "   none")
    typer.echo("\nallowed and used, at work and in all:")
    for row in rows:
        if found.count(row):
            typer.echo(
                f"{found.working(row):7d} {found.count(row):7d}  {row.call}: {row.condition}  ({row.path}:{row.line})"
            )
    typer.echo("\narguments:")
    for use in found.uses:
        typer.echo(f"{use.count:7d}  {use.phase}  {use}")
