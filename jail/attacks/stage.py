"""Where attacks take place, the server of this play: a process of its own, ``python -m jail.attacks.stage FD ...``.

It keeps a pool for each set of barriers that are off, and in its cells has attacks tried, one at a time, as it is told
over a socket: a line of JSON each way. See `jail.attacks.suite`, which speaks with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import socket
import struct
import sys
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from jail import capabilities, namespaces, syscalls
from jail.attacks import CATALOGUE, replies, resources
from jail.attacks.attack import SWITCHES, Answer, Arguments, Attack, Barrier, Cells, Guard, Scene
from jail.attacks.job import KEEPSAKE, LOOT, NOT_HERE, REFUSED
from jail.attacks.machine import NotHereError
from jail.attacks.victim import SECRET
from jail.errors import JailError, ZygoteError
from jail.layers import Layer
from jail.pool import Pool
from jail.result import Status
from jail.run import Run
from jail.spec import SCRATCH, Layers, Limits, Program, ZygoteSpec

_PROGRAM = os.path.realpath("/bin/sh")
"""What a program's cells may execute: it need not do anything."""
_POLICIES = {Cells.PLAIN: "base", Cells.PROGRAM: "program", Cells.NETWORK: "program-network"}
_ROOM = "size=32m,nr_inodes=512,mode=755"
_MOST_POOLS = 16
_TIMEOUT_S = 90.0
"""Of an attack that no deadline is to stop: on a busy machine it takes its time, and must not be cut short."""
_SETTLE_S = 60.0
_SETTLE_STEP_S = 0.005
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_IFREQ = struct.Struct("16sh14x")


class Outcome(StrEnum):
    REACHED = "reached"
    """The attack got to its target."""
    STOPPED = "stopped"
    NOT_HERE = "not here"
    """This host does not have what is attacked."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """``how`` it ended: the error that refused it, or what became of the cell."""

    outcome: Outcome
    how: str


class Stage:
    """In one event loop. ``folder`` is its own. What no attack comes from does without ``given_up`` alone."""

    def __init__(self, folder: Path, given_up: frozenset[Barrier]) -> None:
        self._folder = folder
        self._shelf = folder / "shelf"
        self._scratch = folder / "scratch"
        for made in (self._shelf, self._scratch):
            made.mkdir()
            made.chmod(0o777)
        self._pools: dict[tuple[Cells, frozenset[Barrier]], Pool] = {}
        self._neighbours = self._make(Cells.PLAIN, given_up)
        self._keeper = 0

    async def open(self) -> None:
        """Start the pool that no attack comes from. Raises `JailError`."""
        await self._neighbours.start()
        (self._keeper,) = _children(os.getpid())

    async def close(self) -> None:
        for pool in (*self._pools.values(), self._neighbours):
            await pool.close()

    async def attempt(self, attack: Attack, off: frozenset[Barrier]) -> Attempt:
        """Have a cell behind all barriers but those try it. Raises `JailError`."""
        pool = await self._pool(attack.cells, off)
        zygote, neighbour = await self._neighbour()
        scratch = self._scratch if Layer.MOUNTS in off else Path(SCRATCH)
        scene = Scene(self._folder, pool, neighbour, zygote, self._shelf, scratch)
        deadline = Guard.DEADLINE in attack.barriers and Guard.DEADLINE not in off
        try:
            with attack.aim(scene) as target:
                timeout_s = resources.DEADLINE_S if deadline else _TIMEOUT_S
                if target.before is not None:
                    await self._request(pool, attack, target.before, timeout_s)
                    await self._settle(pool)
                answer = await self._request(pool, attack, target.arguments, timeout_s)
                reached = target.reached(answer)
        except NotHereError as error:
            return Attempt(Outcome.NOT_HERE, str(error))
        await self._settle(pool)
        last = answer.payloads[-1] if answer.payloads else b""
        if last.startswith(NOT_HERE):
            return Attempt(Outcome.NOT_HERE, last[1:].decode())
        return Attempt(Outcome.REACHED if reached else Outcome.STOPPED, _how(answer, last, reached=reached))

    @staticmethod
    async def _request(pool: Pool, attack: Attack, arguments: Arguments, timeout_s: float) -> Answer:
        """What came of one cell's doing the deed, once it is reaped."""
        async with pool.run(attack.name.encode(), json.dumps(arguments).encode(), timeout_s=timeout_s) as run:
            payloads = tuple([payload async for payload in run])
        if run.ended is not None:
            await asyncio.shield(run.ended)
        return _answer(run, payloads)

    async def _pool(self, cells: Cells, off: frozenset[Barrier]) -> Pool:
        """The pool for that; of many, those that were used last are kept: all would not fit inside the fence."""
        key = (cells, off - {Guard.DEADLINE})
        pool = self._pools.pop(key, None)
        if pool is None:
            if len(self._pools) >= _MOST_POOLS:
                await self._pools.pop(next(iter(self._pools))).close()
            pool = self._make(*key)
            await pool.start()
        self._pools[key] = pool  # the last in order
        return pool

    def _make(self, cells: Cells, off: frozenset[Barrier]) -> Pool:
        unbounded = Guard.REPLY_BOUND in off
        program = None
        if cells is not Cells.PLAIN:
            # Behind Landlock, but not in a root of its own, a cell would have the host's files below its scratch.
            scratch_bytes = 0 if Layer.MOUNTS in off and Layer.LANDLOCK not in off else resources.SCRATCH_BYTES
            program = Program(
                _PROGRAM, (str(self._shelf),), network=cells is Cells.NETWORK, scratch_bytes=scratch_bytes
            )
        spec = ZygoteSpec(
            "jail.attacks.job:Attacker",
            {KEEPSAKE: str(self._folder / KEEPSAKE)},
            policy=_POLICIES[cells],
            environment={SECRET: os.environ[SECRET]} if Guard.ENVIRONMENT in off else {},
            program=program,
        )
        limits = Limits(
            memory_bytes=resources.MEMORY_BYTES,
            pids=1 if program is None else resources.PROCESSES,
            cpu_s=resources.CPU_S,
            reply_bytes=16 * replies.REPLY_BYTES if unbounded else replies.REPLY_BYTES,
        )
        layers = frozenset(barrier for barrier in off if isinstance(barrier, Layer))
        # The stage's own processes are in a group beside those of the pools: jail.attacks.fence.
        return Pool(spec, limits, busy=1, idle=1, layers=Layers(layers, cgroup_parent=".."))

    async def _neighbour(self) -> tuple[int, int]:
        """Process ids of the zygote, and of an idle cell, of the pool that no attack comes from."""
        await self._settle(self._neighbours)
        (zygote,) = _children(self._keeper)
        (cell,) = _children(zygote)
        return zygote, cell

    @staticmethod
    async def _settle(pool: Pool) -> None:
        """Wait until the pool is as it was before an attack."""
        async with asyncio.timeout(_SETTLE_S):
            while pool.idle_cells != 1 or pool.busy_cells:
                await asyncio.sleep(_SETTLE_STEP_S)


def _answer(run: Run, payloads: tuple[bytes, ...]) -> Answer:
    if run.result is None:
        raise ZygoteError("a request ended without a result")
    loot = payloads[-1][1:] if payloads and payloads[-1].startswith(LOOT) else b""
    return Answer(run.result, payloads, loot)


def _how(answer: Answer, last: bytes, *, reached: bool) -> str:
    if reached:
        return ""
    if answer.result.status is Status.OK:
        return last[1:].decode(errors="replace") if last.startswith(REFUSED) else "no effect"
    return answer.result.status.value.replace("_", " ")


def _children(pid: int) -> list[int]:
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


def _set(folder: Path) -> None:
    """Enter namespaces of the stage's own, where it may: an ordinary user's attacks could change nothing there.

    And a keyring of its own, that its pools are started with.
    """
    if capabilities.is_privileged():
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        for point in (folder, Path("/dev/shm")):
            if point.is_dir():
                syscalls.mount("stage", str(point), "tmpfs", 0, _ROOM)
        namespaces.enter_network()
        namespaces.enter_ipc()
        namespaces.enter_uts()
        _raise_loopback()
    with contextlib.suppress(OSError):  # where there are no keys, that attack says so
        syscalls.leave_session_keyring()
    os.environ[SECRET] = secrets.token_hex(8)
    (folder / KEEPSAKE).write_text(secrets.token_hex(8))


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        name, flags = _IFREQ.unpack(fcntl.ioctl(any_socket, _SIOCGIFFLAGS, _IFREQ.pack(b"lo", 0)))
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, _IFREQ.pack(name, flags | _IFF_UP))


def barriers(names: list[str]) -> frozenset[Barrier]:
    """From their names, layers' or guards'."""
    known: dict[str, Barrier] = {str(each): each for each in (*Layer, *SWITCHES)}
    return frozenset(known[name] for name in names)


async def _play(channel: socket.socket, folder: Path, given_up: frozenset[Barrier]) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=channel)
    stage = Stage(folder, given_up)
    try:
        await stage.open()
        writer.write(b"{}\n")
        while line := await reader.readline():
            asked: dict[str, Any] = json.loads(line)
            try:
                attempt = await stage.attempt(CATALOGUE[asked["attack"]], barriers(asked["off"]))
                said = asdict(attempt)
            except JailError as error:
                said = {"error": str(error)}
            writer.write(json.dumps(said).encode() + b"\n")
            await writer.drain()
    except JailError as error:
        writer.write(json.dumps({"error": str(error)}).encode() + b"\n")
    finally:
        await stage.close()
        writer.close()


def main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    folder, given_up, *gates = sys.argv[2:]
    for gate in gates:
        Path(gate).write_text("0")
    _set(Path(folder))
    asyncio.run(_play(channel, Path(folder), barriers(given_up.split(",") if given_up else [])))


if __name__ == "__main__":
    main()
