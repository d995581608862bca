"""A server with the tiny job as a process of its own, for tests that send it signals. Takes seconds to load."""

import asyncio
import sys

from server.app import serve
from server.settings import load
from tests.server.conftest import tiny

if __name__ == "__main__":
    asyncio.run(serve(load(), (tiny(load_s=float(sys.argv[1])),)))
