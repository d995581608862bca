"""``cloister serve``."""

from __future__ import annotations

import asyncio

from server import app
from server.cli.common import ConfigOption, explained
from server.memory import give_back_large_blocks
from server.reload import Sources
from server.settings import load


def serve(config: ConfigOption = None) -> None:
    """Run the server until SIGTERM or Ctrl-C; a second one ends what is in flight.

    SIGHUP, or cloister reload, takes settings and models anew without losing a request.
    """
    give_back_large_blocks()
    with explained():
        asyncio.run(app.serve(load(config), sources=Sources(lambda: load(config))))
