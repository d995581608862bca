"""An engine that works, or fails in the way that it is told: a candidate for shadows, in a package of its own."""

import contextlib
import ctypes
import os
import time
from enum import StrEnum

import numpy as np

from engines.api import Engine, Page, PageText
from engines.boxes import Box, BoxedWord, lines


class Deed(StrEnum):
    READ = "read"
    """Says "dark" or "light" of each quarter of the page."""
    ERR = "err"
    """Reads, and takes "light" for "1ight"."""
    HANG = "hang"
    SPIN = "spin"
    RAISE = "raise"
    CRASH = "crash"
    LEAK = "leak"
    OPEN = "open"
    """Does what its policy forbids."""
    NONSENSE = "nonsense"
    """Says more than a reply may hold."""
    PRINT = "print"
    """Prints garbage, and then reads as it should."""
    FORK = "fork"
    """Forks, and forks again; a few times, where nothing stops it."""
    BY_WIDTH = "by_width"
    """One of `MISDEEDS`: the first on a page that is 1 px wider than a good one may be, and so on."""


MISDEEDS = tuple(Deed)[2:-1]
_FORKS = 8


class Vandal(Engine):
    """Misbehaves on pages wider than ``wider_than`` px, so that a zygote can load and rehearse it."""

    name = "vandal"
    version = "1.0"
    languages = ("en",)

    def __init__(self, deed: str = "read", wider_than: int = 640) -> None:
        self._deed = Deed(deed)
        self._wider_than = wider_than

    def load(self) -> None:
        """Nothing to load."""

    def recognize(self, page: Page) -> PageText:
        if page.pixels.shape[1] > self._wider_than:
            self._misbehave(page.pixels.shape[1] - self._wider_than - 1)
        return self._read(page)

    def _read(self, page: Page) -> PageText:
        height, width = page.pixels.shape[:2]
        light = "1ight" if self._deed is Deed.ERR else "light"
        rows = []
        for top, bottom in ((0, height // 2), (height // 2, height)):
            words = []
            for left, right in ((0, width // 2), (width // 2, width)):
                part = page.pixels[top:bottom, left:right]
                if part.size and np.ptp(page.pixels):
                    words.append(BoxedWord(light if part.mean() > 127 else "dark", 0.9, Box(left, top, right, bottom)))
            rows.append(words)
        return PageText(lines=lines(rows, width, height))

    def _misbehave(self, place: int) -> None:  # noqa: PLR0912 - a deed a case
        match MISDEEDS[place % len(MISDEEDS)] if self._deed is Deed.BY_WIDTH else self._deed:
            case Deed.HANG:
                # To sleep is a system call that cells may not make; to wait for a request that never comes is not.
                os.read(3, 1)
                time.sleep(3600)
            case Deed.SPIN:
                while True:
                    pass
            case Deed.RAISE:
                raise RuntimeError("as told")
            case Deed.CRASH:
                ctypes.string_at(0)
            case Deed.LEAK:
                kept = []
                while True:
                    kept.append(bytearray(b"x" * (16 << 20)))
            case Deed.OPEN:
                os.open("/etc/passwd", os.O_RDONLY)
            case Deed.NONSENSE:
                os.write(4, b"\xff" * 4096)
                os._exit(0)
            case Deed.PRINT:
                for fd in (1, 2):
                    with contextlib.suppress(OSError):
                        os.write(fd, b"\x1b[2J\xff\xfe garbage")
            case Deed.FORK:
                for _ in range(_FORKS):
                    if os.fork() == 0:
                        os._exit(0)
