"""Runs attacks and judges the jail by them: does an attack bite where nothing stops it, and what stops it where."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from jail import capabilities
from jail.attacks.attack import SWITCHES, Attack, Barrier
from jail.attacks.fence import Fence
from jail.attacks.stage import Attempt, Outcome
from jail.environment import zygote_environment
from jail.errors import ZygoteError
from jail.layers import Layer
from jail.result import Status

_ROOM = "/var/tmp"
"""Not /tmp, which cells with a program have one of their own of."""
_OPEN_S = 60.0
_ATTEMPT_S = 240.0
_CLOSE_S = 20.0

EVERYTHING: frozenset[Barrier] = frozenset(Layer) - {Layer.USER_NAMESPACE} | SWITCHES
"""All that can be off. The user namespace is not: an ordinary user can build no other layer without it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one attack: with all barriers; with none; with each of its own alone; without the ``first``.

    ``first`` is what stopped it in a whole jail. ``bare`` and ``without_first`` are None where nothing can be off.
    """

    attack: Attack
    first: Barrier
    whole: Attempt
    bare: Attempt | None
    alone: dict[Barrier, Attempt]
    without_first: Attempt | None

    @property
    def others(self) -> list[Barrier]:
        """What would have stopped it without the first."""
        return [barrier for barrier in self.alone if barrier is not self.first]

    @property
    def here(self) -> bool:
        """Whether this host has what is attacked."""
        return self.whole.outcome is not Outcome.NOT_HERE and (
            self.bare is None or (self.bare.outcome is not Outcome.NOT_HERE and self.bare.how != "ENOSYS")
        )

    @property
    def stopped(self) -> bool:
        """Whether it failed wherever something was to stop it."""
        tried = [self.whole, *self.alone.values(), *([self.without_first] if self.without_first else [])]
        return all(attempt.outcome is not Outcome.REACHED for attempt in tried)

    @property
    def bites(self) -> bool:
        """Whether it was seen to succeed where nothing was in its way."""
        return self.bare is not None and self.bare.outcome is Outcome.REACHED


def _idle() -> frozenset[Barrier]:
    """Barriers that stop nothing by themselves for an ordinary user, who is that user already, with rights to spare."""
    return frozenset() if capabilities.is_privileged() else frozenset({Layer.IDENTITY})


class Suite:
    """For the time of a ``with`` block. Raises `JailError` where the jail can't be set up at all.

    ``given_up`` are layers that the operator runs without: a whole jail is one without them.
    """

    def __init__(self, cgroup_parent: str | None = None, given_up: frozenset[Layer] = frozenset()) -> None:
        self._cgroup_parent = cgroup_parent
        self._given_up = given_up
        self._stack = ExitStack()
        self.cgroup = ""
        """Name of the cgroup that holds all that is made."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="cloister-stage-", dir=_ROOM))
            fence = stack.enter_context(Fence(self._cgroup_parent))
            self.cgroup = fence.name
            self._channel, theirs = socket.socketpair()
            stack.enter_context(self._channel)
            with theirs:
                process = subprocess.Popen(
                    [
                        *(sys.executable, "-m", "jail.attacks.stage", str(theirs.fileno()), folder),
                        *(",".join(sorted(self._given_up)), *fence.gates),
                    ],
                    env=zygote_environment({}),
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    cwd="/",
                )
            stack.callback(self._end, process)
            self._channel.settimeout(_OPEN_S)
            self._answers = stack.enter_context(self._channel.makefile("r"))
            self._hear()
            self._channel.settimeout(_ATTEMPT_S)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def attempt(self, attack: Attack, off: frozenset[Barrier]) -> Attempt:
        """Try it once in a cell behind all barriers but ``off``. Raises `ZygoteError`."""
        asked = {"attack": attack.name, "off": sorted(map(str, off))}
        self._channel.sendall(json.dumps(asked).encode() + b"\n")
        said = self._hear()
        return Attempt(Outcome(said["outcome"]), said["how"])

    def judge(self, attack: Attack, *, most: int | None = None) -> Verdict:
        """Try it with all barriers, without any, with each of its own alone (``most`` of them), and without the first.

        Raises `ZygoteError`.
        """
        everything = EVERYTHING - attack.given
        whole = self.attempt(attack, self._given_up)
        first = Layer.SECCOMP if whole.how == Status.VIOLATION else attack.barriers[0]
        if not attack.provable or whole.outcome is Outcome.NOT_HERE:
            return Verdict(attack, first, whole, None, {}, None)
        bare = self.attempt(attack, everything)
        own = [barrier for barrier in attack.barriers if barrier in everything - self._given_up - _idle()][:most]
        alone = {barrier: self.attempt(attack, everything - {barrier}) for barrier in own}
        others = set(attack.barriers) - {first} - self._given_up
        without_first = self.attempt(attack, self._given_up | {first}) if others else None
        return Verdict(attack, first, whole, bare, alone, without_first)

    def _hear(self) -> dict[str, Any]:
        try:
            line = self._answers.readline()
        except TimeoutError:
            raise ZygoteError("the stage fell silent") from None
        if not line:
            raise ZygoteError("the stage ended; see its output above")
        said: dict[str, Any] = json.loads(line)
        if "error" in said:
            raise ZygoteError(said["error"])
        return said

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        self._channel.shutdown(socket.SHUT_RDWR)
        try:
            process.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
