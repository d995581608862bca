"""Zygotes and cells that stand still where a test wants to see what becomes of them; all else of them is real."""

from __future__ import annotations

import mmap
import os
import signal
import sys
from collections.abc import Callable

from jail import cell, zygote
from jail.cell import Enclosure, Step
from jail.layers import Layer

PLACES = next(place for place, step in enumerate(cell.STEPS) if step.layer is Layer.SECCOMP) + 1
"""How many places there are to stop at: before each step, up to the first that forbids it."""


class Halting:
    """Each cell stops at the place of its number, and marks in ``marks`` how far it has come: a byte for each."""

    def __init__(self, marks: str) -> None:
        self._path = marks

    def load(self) -> None:
        fd = os.open(self._path, os.O_RDWR)
        self._marks = mmap.mmap(fd, PLACES)
        os.close(fd)
        steps: list[Step] = []
        for place, step in enumerate(cell.STEPS):
            if place < PLACES:
                steps.append(Step(Layer.PROCESS, f"place {place}", self._halt(place)))
            steps.append(step)
        cell.STEPS = tuple(steps)

    def _halt(self, place: int) -> Callable[[Enclosure, str], None]:
        def enter(walls: Enclosure, group: str) -> None:
            self._marks[int(group)] = place
            if int(group) == place:
                os.kill(os.getpid(), signal.SIGSTOP)

        return enter

    def rehearse(self) -> None:
        """Nothing to rehearse."""

    def run(self, header: bytes, body: memoryview, reply: Callable[[bytes], None]) -> None:
        """Nothing to do."""


def _main() -> None:
    """A keeper whose zygote, as soon as it is forked, waits until somebody writes to the descriptor of our second
    argument; it says over that of the third that it does."""
    fork = os.fork

    def halted() -> int:
        pid = fork()
        if pid == 0:
            os.write(int(sys.argv[3]), b"here")
            os.read(int(sys.argv[2]), 1)
        return pid

    os.fork = halted
    zygote.main()


if __name__ == "__main__":
    _main()
