"""Attacks on the host's memory and time, and what a cell does to itself."""

from __future__ import annotations

import ctypes
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from jail.attacks.attack import Answer, Arguments, Attack, Guard, Scene, Target, number, text
from jail.attacks.machine import Machine
from jail.layers import Layer
from jail.result import Status

MEMORY_BYTES = 64 << 20
"""What a cell of the stage may have."""
SCRATCH_BYTES = 2 << 20
"""Room for files that a program's cell has."""
PROCESSES = 4
"""And processes."""
CPU_S = 1
"""CPU seconds that a cell of the stage may use."""
DEADLINE_S = 0.4
"""The deadline, where it is what is attacked."""

_HOARD_BYTES = 2 * MEMORY_BYTES
_BLOCK = 4 << 20
_SPIN_S = 3.0 * CPU_S
_PLACE = ctypes.create_string_buffer(64)
_TRIAL = 300
_TRIALS = 5


# Deeds, in the cell.


def _hoard(machine: Machine, arguments: Arguments) -> bytes:
    for _ in range(_HOARD_BYTES // _BLOCK):
        block = machine.call("mmap", 0, _BLOCK, 3, 0x22, -1, 0)
        ctypes.memset(block, 1, _BLOCK)
    return b"hoarded"


def _spin(machine: Machine, arguments: Arguments) -> bytes:
    _burn(number(arguments, "turns"))
    return b"spun"


def _burn(turns: int) -> None:
    """As many turns of work. A cell can't ask how much CPU it has used."""
    for _ in range(turns):
        sum(range(1000))


def _spin_deaf(machine: Machine, arguments: Arguments) -> bytes:
    """Ignores every signal that can be ignored, by libc's signal(3)."""
    libc = ctypes.CDLL(None)
    for each in sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}):
        libc.signal(int(each), ctypes.c_void_p(1))
    return _spin(machine, arguments)


def _overflow(machine: Machine, arguments: Arguments) -> bytes:
    machine.overflow()
    return b"done"


def _read_nothing(machine: Machine, arguments: Arguments) -> bytes:
    machine.need_x86_64()
    return ctypes.string_at(0)


def _break_down(machine: Machine, arguments: Arguments) -> bytes:
    machine.break_down()
    return b"done"


def _remember(machine: Machine, arguments: Arguments) -> bytes:
    """Brings out what lies in the zygote's memory, at a place that all its cells know, and leaves something there."""
    found = _PLACE.value
    if "content" in arguments:
        _PLACE.value = text(arguments, "content").encode()
    return found


# Targets, outside.


@contextmanager
def _leftover(scene: Scene) -> Iterator[Target]:
    left = secrets.token_hex(8)
    yield Target({}, lambda answer: left.encode() in answer.loot, before={"content": left})


@contextmanager
def _memory(scene: Scene) -> Iterator[Target]:
    yield Target({}, lambda answer: answer.loot == b"hoarded")


@contextmanager
def _time(scene: Scene) -> Iterator[Target]:
    # The quickest trial: on a machine that is slow for a moment, too few turns would be taken for enough.
    trial_s = min(_trial_s() for _ in range(_TRIALS))
    yield Target({"turns": int(_SPIN_S / trial_s * _TRIAL)}, lambda answer: answer.loot == b"spun")


def _trial_s() -> float:
    started = time.process_time()
    _burn(_TRIAL)
    return time.process_time() - started


@contextmanager
def _pool(scene: Scene) -> Iterator[Target]:
    """The pool itself: hurt where it is not whole, or where the fault was not seen as what it is."""

    def hurt(answer: Answer) -> bool:
        return not scene.pool.healthy or answer.result.status is not Status.CRASHED

    yield Target({}, hurt)


ATTACKS = (
    Attack("use up memory", _memory, _hoard, (Layer.CGROUPS,)),
    Attack("use up time", _time, _spin, (Guard.DEADLINE, Layer.RLIMITS)),
    Attack(
        "use up time, deaf to signals",
        _time,
        _spin_deaf,
        (Layer.SECCOMP, Guard.DEADLINE, Layer.RLIMITS),
    ),
    Attack("find what an earlier request left in memory", _leftover, _remember, (Guard.OWN_PROCESS,)),
    Attack("overflow the stack", _pool, _overflow, (Guard.OWN_PROCESS,)),
    Attack("read where nothing is", _pool, _read_nothing, (Guard.OWN_PROCESS,)),
    Attack("execute what is no instruction", _pool, _break_down, (Guard.OWN_PROCESS,)),
)
