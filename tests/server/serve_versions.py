"""A server with the tiny job as a process of its own, which takes its version from a file at each reload.

A version "broken" does not load.
"""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from server.app import serve
from server.catalogue import EngineEntry
from server.reload import Sources
from server.settings import Settings, load
from tests.server.conftest import tiny


def entries(settings: Settings) -> tuple[EngineEntry, ...]:
    version = Path(sys.argv[1]).read_text()
    return (replace(tiny(broken=version == "broken"), version=version),)


if __name__ == "__main__":
    asyncio.run(serve(load(), sources=Sources(load, entries, lambda _: ())))
