"""``cloister worker``."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

import typer
from structlog.typing import FilteringBoundLogger

from server import telemetry
from server.access import Access
from server.cli.common import (
    CaOption,
    CertificateOption,
    ConfigOption,
    KeyOption,
    TokenFileOption,
    access_of,
    explained,
)
from server.cli.desk import queued
from server.hosted import hosted
from server.memory import give_back_large_blocks
from server.sections import Metrics
from server.settings import Settings, load


def worker(
    *,
    server: Annotated[
        str | None,
        typer.Option("--server", help="Address of the server to read with; by default as queue.server says."),
    ] = None,
    ca: CaOption = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    token_file: TokenFileOption = None,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="End once no document waits.")] = False,
    helper: Annotated[bool, typer.Option("--helper", hidden=True)] = False,
    config: ConfigOption = None,
) -> None:
    """Have documents of the queue read, until SIGTERM or Ctrl-C."""
    give_back_large_blocks()
    with explained():
        settings = load(config)
        log = telemetry.logger(settings.log.format)
        address = server or settings.queue.server
        access = access_of(ca, certificate, key, token_file)
        if helper:
            _help(settings, address, access, log)
        else:
            _work(settings, address, access, log, until_idle=until_idle)


def _work(settings: Settings, address: str, access: Access, log: FilteringBoundLogger, *, until_idle: bool) -> None:
    # Celery is loaded where there is work for it alone.
    from server.queue.worker import work

    with ExitStack() as stack:
        if not address:
            own = telemetry.logger(settings.log.format, quiet=True)
            address, access = stack.enter_context(hosted(settings, own)), Access()
        code = work(settings, address, log, access=access, until_idle=until_idle)
    if code:
        raise typer.Exit(code)


def _help(settings: Settings, address: str, access: Access, log: FilteringBoundLogger) -> None:
    """Work until nothing waits, unless another helper does already."""
    from server.queue.helper import alone
    from server.queue.leases import Leases

    # The port may be another worker's, which runs for good.
    settings = settings.model_copy(update={"queue": settings.queue.model_copy(update={"metrics": Metrics()})})
    with queued(settings) as queue:
        leases = Leases(queue.ledger.prepare(), settings.queue.lease_s)
        # Who handed in while the last helper was about to end has found it there: so look once more after it.
        while leases.unended():
            with alone(settings.queue) as first:
                if not first:
                    return
                _work(settings, address, access, log, until_idle=True)
