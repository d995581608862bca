"""What an attack is: a deed in a cell, a target outside that was made for it, and what is known to keep them apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from jail.attacks.machine import Machine
from jail.layers import Layer
from jail.result import Result
from jail.spec import Json

if TYPE_CHECKING:
    from jail.pool import Pool  # the server's side, of which a zygote imports nothing


class Guard(StrEnum):
    """What stops attacks beside the layers, and can't be given up in a server."""

    FRAMES = "reply parser"
    """`jail.wire.ReplyParser`: frames of known kinds, in one order, none longer than it was told to take."""
    REPLY_BOUND = "reply bound"
    """The bytes that all of a cell's reply may have."""
    DEADLINE = "deadline"
    """The server's, by SIGKILL."""
    ENVIRONMENT = "clean environment"
    """Of the zygote: nothing of the server's."""
    OWN_PROCESS = "own process"
    """A process for each request: what it breaks or leaves in its memory is gone with it."""


SWITCHES = frozenset({Guard.REPLY_BOUND, Guard.DEADLINE, Guard.ENVIRONMENT})
"""Guards that the stage can do without, to show that an attack bites."""

Barrier: TypeAlias = Layer | Guard
Arguments: TypeAlias = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a deed: the cell's result and payloads, and what the deed brought out ("" where it brought none)."""

    result: Result
    payloads: tuple[bytes, ...]
    loot: bytes


class Cells(StrEnum):
    """Which cells an attack comes from."""

    PLAIN = "plain"
    """Cells that execute nothing, as most engines have."""
    PROGRAM = "program"
    """Cells that may execute one program (`jail.spec.Program`), under the policy for that."""
    NETWORK = "network"
    """The same, in the server's network, under the policy for that."""


@dataclass(frozen=True, slots=True)
class Target:
    """``arguments`` tell the deed where to aim; ``reached`` says whether it got there.

    ``before`` are those of an earlier request, for another cell of the same pool; None where one is enough.
    """

    arguments: Arguments
    reached: Callable[[Answer], bool]
    before: Arguments | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """Where an attack takes place: a folder of the stage's own, and the pool whose cell attacks.

    ``neighbour`` is the process id of a cell of another pool, that waits behind all its layers; ``zygote`` of its
    zygote. ``shelf`` is what a program's cells may read, ``scratch`` where they write: without a root of their own, in
    the stage's folder.
    """

    folder: Path
    pool: Pool
    neighbour: int
    zygote: int
    shelf: Path
    scratch: Path


@dataclass(frozen=True, slots=True)
class Attack:
    """One trick. Each of ``barriers`` stops it alone, all other layers off; most telling first.

    ``aim`` is a target's making, ``deed`` runs in the cell and returns its loot. Layers in ``given`` stay on: without
    them there would be nothing to attack.
    """

    name: str
    aim: Callable[[Scene], AbstractContextManager[Target]]
    deed: Callable[[Machine, Arguments], bytes]
    barriers: tuple[Barrier, ...]
    given: frozenset[Layer] = frozenset()
    cells: Cells = Cells.PLAIN

    @property
    def provable(self) -> bool:
        """Whether some barrier can be switched off, so that the attack can be shown to succeed."""
        return any(isinstance(barrier, Layer) or barrier in SWITCHES for barrier in self.barriers)


def text(arguments: Arguments, name: str) -> str:
    """An argument that is a text. Raises KeyError, TypeError."""
    value = arguments[name]
    if not isinstance(value, str):
        raise TypeError(name)
    return value


def number(arguments: Arguments, name: str) -> int:
    """An argument that is a number. Raises KeyError, TypeError."""
    value = arguments[name]
    if not isinstance(value, int):
        raise TypeError(name)
    return value
