"""What the subcommands share: options, exit codes, and a server to talk to."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from jail.errors import JailError
from server import app, hosted, telemetry
from server.access import SYSTEM, Access, AccessError
from server.async_client import AsyncClient
from server.errors import CloisterError
from server.sections import Shadow
from server.settings import SettingsError, load

STDIN = "-"

errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)


class Exit(IntEnum):
    """Exit codes beside 0 and typer's 2 for a command line that can't be understood."""

    FAILED = 1
    """A document could not be read."""
    NO_SERVER = 3
    """No server could be started here."""


ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file of settings; deploy/cloister.toml shows all.")
]
ServerOption = Annotated[
    str | None,
    typer.Option("--server", help="Address of a running server. Without it one is started, jailed, for this call."),
]
JobServerOption = Annotated[
    str | None,
    typer.Option("--server", help="Address of a server that takes jobs. Without it the queue of the settings is used."),
]
CaOption = Annotated[
    str | None,
    typer.Option(
        "--ca", envvar="CLOISTER_CA", help=f"PEM file of who vouches for the server, or {SYSTEM}: the call is by TLS."
    ),
]
CertificateOption = Annotated[
    Path | None,
    typer.Option("--certificate", envvar="CLOISTER_CERTIFICATE", help="PEM file to show it (mTLS)."),
]
KeyOption = Annotated[
    Path | None, typer.Option("--key", envvar="CLOISTER_KEY", help="PEM file of the certificate's private key.")
]
# There is no option for the token itself: command lines can be seen by all users of a host.
TokenFileOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file", envvar="CLOISTER_TOKEN_FILE", help="File of an API key or a JWT; or put it in CLOISTER_TOKEN."
    ),
]
EngineOption = Annotated[str, typer.Option("--engine", help="Engine to read with; the server's default if not given.")]


@contextmanager
def explained() -> Iterator[None]:
    """End the command with a message instead of a traceback where no server can be started."""
    try:
        yield
    except (SettingsError, JailError, AccessError) as error:
        errors.print(f"cloister: {error}")
        raise typer.Exit(Exit.NO_SERVER) from error


@asynccontextmanager
async def connected(
    address: str | None, config: Path | None, engines: tuple[str, ...] = (), access: Access | None = None
) -> AsyncIterator[AsyncClient]:
    """A client of the server at ``address``, or of one that lives as long as the block and that only we can reach.

    ``engines`` are those that the latter runs; by default as the settings say. ``access`` is for the former; by default
    as the environment says.
    Raises `SettingsError` and `JailError` where a server can't be started, `AccessError` where one can't be called.
    """
    settings = load(config)
    if address is not None:
        async with AsyncClient(address, deadline_s=settings.limits.deadline_cap_s, access=access) as client:
            yield client
        return
    with tempfile.TemporaryDirectory(prefix="cloister-") as folder:
        # The folder is ours alone (mode 0700), and so is the socket in it.
        private = hosted.private(settings, f"unix:{folder}/socket")
        if engines:
            private = private.model_copy(update={"engines": engines, "default_engine": "", "shadow": Shadow()})
        async with (
            app.running(private, log=telemetry.logger(private.log.format, quiet=True)) as server,
            AsyncClient(server.address, deadline_s=private.limits.deadline_cap_s, access=Access()) as client,
        ):
            yield client


def access_of(ca: str | None, certificate: Path | None, key: Path | None, token_file: Path | None) -> Access:
    """What the options say, and the environment where they are silent."""
    return replace(Access.from_environment(), ca=ca or "", certificate=certificate, key=key, token_file=token_file)


def complain(name: str, error: CloisterError | OSError) -> None:
    text = str(error) if isinstance(error, CloisterError) else error.strerror or str(error)
    errors.print(f"cloister: {name}: {text}")


def read_document(name: str) -> bytes:
    """The bytes of the file ``name``, or of standard input for "-". Raises OSError."""
    if name == STDIN:
        return typer.get_binary_stream("stdin").read()
    return Path(name).read_bytes()
