"""The job whose cells attack: does the deed that the header names, and answers with what it brought out."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable

from jail.attacks import CATALOGUE
from jail.attacks.machine import Machine, NotHereError, RefusedError

LOOT, REFUSED, NOT_HERE = b"+", b"-", b"?"
"""What a payload begins with: what was brought out follows, or the error's name, or what is missing."""
KEEPSAKE = "keepsake"
_CLEAR = 32
"""A descriptor's number above those that a cell puts its own at."""


class Attacker:
    """``keepsake`` is a file that the zygote has open, as zygotes have their libraries' databases and logs open."""

    def __init__(self, keepsake: str) -> None:
        self._path = keepsake
        self._keepsake = -1

    def load(self) -> None:
        self._machine = Machine()
        fd = os.open(self._path, os.O_RDONLY)
        self._keepsake = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _CLEAR)

    def rehearse(self) -> None:
        """Nothing to rehearse."""

    def run(self, header: bytes, body: memoryview, reply: Callable[[bytes], None]) -> None:
        attack = CATALOGUE[header.decode()]
        arguments = {KEEPSAKE: self._keepsake} | json.loads(bytes(body))
        try:
            loot = attack.deed(self._machine, arguments)
        except RefusedError as error:
            reply(REFUSED + str(error).encode())
        except NotHereError as error:
            reply(NOT_HERE + str(error).encode())
        else:
            reply(LOOT + loot)
