"""``cloister keys``: API keys of a server's callers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from server.cli.common import ConfigOption, Exit, errors, explained
from server.door import keys as api_keys
from server.door.caller import ANY_TENANT
from server.settings import load

keys = typer.Typer(name="keys", help="API keys of a server's callers.", no_args_is_help=True, add_completion=False)

FileOption = Annotated[
    Path | None, typer.Option("--file", help="The file of keys; by default authentication.keys of the settings.")
]


@keys.command("add")
def add(
    *,
    tenant: Annotated[
        str, typer.Option("--tenant", help=f"Whose key it is; {ANY_TENANT} for one that may speak for each tenant.")
    ],
    days: Annotated[float | None, typer.Option("--days", help="After so many days it expires.", min=0)] = None,
    note: Annotated[str, typer.Option("--note", help="What it is for; shown by list.")] = "",
    file: FileOption = None,
    config: ConfigOption = None,
) -> None:
    """Make a key and print it. This is the only time: the file keeps its hash. Servers take it at once."""
    if not tenant:
        raise typer.BadParameter("a tenant must have a name")
    with _file(file, config) as path:
        typer.echo(api_keys.add(path, tenant, days=days, note=note))


@keys.command("list")
def list_(file: FileOption = None, config: ConfigOption = None) -> None:
    """List the keys there are, by id."""
    with _file(file, config) as path:
        found = api_keys.read(path)
    table = Table("id", "tenant", "made", "expires", "note", box=None)
    for key in found.values():
        expires = "" if key.expires is None else f"{key.expires:%Y-%m-%d %H:%M}{' (expired)' if key.expired else ''}"
        table.add_row(*(Text(text) for text in (key.id, key.tenant, f"{key.made:%Y-%m-%d %H:%M}", expires, key.note)))
    Console().print(table)


@keys.command("revoke")
def revoke(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as list shows it: what follows cloister_.")],
    file: FileOption = None,
    config: ConfigOption = None,
) -> None:
    """Take a key out. Servers refuse it from the next call on."""
    with _file(file, config) as path:
        gone = api_keys.revoke(path, id_)
    typer.echo(f"{gone.id} of {gone.tenant} is revoked")


@contextmanager
def _file(named: Path | None, config: Path | None) -> Iterator[Path]:
    """The file of keys. Ends the command with a message where it can't be used."""
    with explained():
        path = named or load(config).authentication.keys
    if path is None:
        raise typer.BadParameter("the settings name no authentication.keys; name the file by --file")
    try:
        yield path
    except (OSError, ValueError) as error:
        errors.print(f"cloister: {error}")
        raise typer.Exit(Exit.FAILED) from error
