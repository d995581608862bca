"""What runs in a cell: the one thing the jail asks of its user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Job(Protocol):
    """Work on untrusted bytes. Made and loaded once in the zygote; `run` is called once in each cell forked from it."""

    def load(self) -> None:
        """Read what `run` will need and use it once. In the zygote: files may be opened, modules imported."""

    def rehearse(self) -> None:
        """Touch the memory that `run` will write. In a jailed idle cell, before any request: its cost is hidden."""

    def run(self, header: bytes, body: memoryview, reply: Callable[[bytes], None]) -> None:
        """Do the work on one request, calling ``reply`` with each payload of the answer as soon as it is there.

        In a jailed cell: nothing can be opened or imported, no thread made. An exception ends the cell as a crash.
        """
