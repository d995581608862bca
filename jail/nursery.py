"""Where cells come from: one zygote, started again when it is lost, and each cell's way from the fork to its end."""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import Any, Protocol

from jail import control, violations, wire
from jail.errors import JailError, RehearsalError, SetUpError, ZygoteError
from jail.layers import Layer
from jail.memory import Processes
from jail.process import ZygoteProcess
from jail.remote import READ_BYTES, RemoteCell, SetUp
from jail.result import Exit, Usage, Violation, classify
from jail.spec import Layers, Limits, ZygoteSpec

_READY_TIMEOUT_S = 60.0
_FIRST_DELAY_S = 0.2
_MAX_DELAY_S = 30.0


def delay_s(failures: int) -> float:
    """How long to wait after so many failures in a row before the next try, in s."""
    return min(_FIRST_DELAY_S * 2.0 ** (failures - 1), _MAX_DELAY_S) if failures else 0.0


class Parent(Protocol):
    """Whom a nursery tells of its cells."""

    def cell_ready(self, cell: RemoteCell) -> None: ...

    def cell_failed(self, error: JailError) -> None:
        """A cell never became ready, and is gone."""

    def cell_gone(self, cell: RemoteCell) -> None:
        """A cell that had been ready has ended and is reaped; its pidfd is closed, its pipes are not."""

    def cell_violated(self, violation: Violation) -> None:
        """A cell was stopped for a system call, whatever it was at."""

    def zygote_lost(self, error: JailError) -> None:
        """The zygote ended, or could not be started again. All its cells are going; another try follows."""

    def zygote_back(self) -> None: ...


class Nursery:
    """Makes cells when asked. Belongs to one event loop."""

    def __init__(self, spec: ZygoteSpec, limits: Limits, layers: Layers, parent: Parent) -> None:
        self._spec = spec
        self._limits = limits
        self._layers = layers
        self._parent = parent
        self._zygote: ZygoteProcess | None = None
        self._cells: dict[int, RemoteCell] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._restart: asyncio.Task[None] | None = None
        self._last_number = 0
        self._buffer = bytearray(READ_BYTES)
        self._proven = False
        """Whether a cell of this zygote has rehearsed behind all its layers: one is enough to know that the job can."""
        self.starting = 0
        """Cells asked for that are not ready yet."""
        self.loaded = False
        """Whether there is a zygote that can fork."""
        self.missing: frozenset[Layer] = frozenset()
        """Layers that this kernel lacks."""
        self.cgroup = ""

    @property
    def cells(self) -> int:
        """All that are not yet known to be gone."""
        return len(self._cells)

    @property
    def processes(self) -> Processes:
        keeper = None if self._zygote is None else self._zygote.pid
        return Processes(keeper, tuple(pid for cell in self._cells.values() if (pid := cell.pid) is not None))

    @property
    def ending(self) -> bool:
        """Whether the zygote has begun to end, or there is none."""
        return self._zygote is None or self._zygote.ending

    async def start(self) -> None:
        """Start the zygote and wait until its job is loaded. Raises a `JailError` where it can't be."""
        zygote = ZygoteProcess(self._spec, self._limits, self._layers, self._hear, self._lose)
        self._zygote = zygote
        loaded = await zygote.loaded()
        self.missing = frozenset(Layer(name) for name in loaded.missing)
        self.cgroup = loaded.cgroup
        self._proven = False
        self.loaded = True

    async def stop(self) -> None:
        """End the zygote and every cell, and wait until nothing of them is there."""
        self.loaded = False
        if self._restart is not None:
            self._restart.cancel()
            await asyncio.wait([self._restart])
        if self._zygote is not None:
            await self._zygote.stop()
            self._zygote = None
        self._orphan()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def kill(self) -> None:
        """The zygote does not do what it must: end it, to be started again."""
        if self._zygote is not None:
            self._zygote.kill()

    def spawn(self) -> None:
        """Have a cell made. The parent hears of it when it is ready, or failed."""
        if self._zygote is None or not self.loaded:
            return
        self._last_number += 1
        cell = RemoteCell(self._last_number, self._limits.reply_bytes, self._buffer)
        try:
            self._zygote.spawn(control.Spawn(cell.number, rehearse=not self._proven), cell.cell_ends)
        except ZygoteError:
            cell.close_pipes()
            self._zygote.kill()
            return
        cell.close_cell_ends()
        self._cells[cell.number] = cell
        self.starting += 1
        task = asyncio.get_running_loop().create_task(self._tend(cell))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tend(self, cell: RemoteCell) -> None:
        """All of a cell's life, as the server sees it."""
        error = await self._bring_up(cell)
        self.starting -= 1
        if error is None:
            self._proven = True
            self._parent.cell_ready(cell)
        end = await cell.ended
        del self._cells[cell.number]
        cell.close_pidfd()
        if error is None:
            self._parent.cell_gone(cell)
        else:
            cell.close_pipes()
            if self.loaded:
                self._parent.cell_failed(error if end is None else _explain(error, end, self._limits.cpu_s))

    async def _bring_up(self, cell: RemoteCell) -> JailError | None:
        """Wait for READY. None, or why it will not come."""
        started = time.perf_counter()
        try:
            async with asyncio.timeout(_READY_TIMEOUT_S):
                frame = await cell.next_frame()
                spawned = await asyncio.shield(cell.spawned)
            if frame is None:
                return RehearsalError("a cell ended before it was ready")
            if frame.kind is wire.Kind.FAILED:
                return _refusal(frame.content)
            cell.set_up = _set_up(frame.content, spawned, time.perf_counter() - started)
        except JailError as error:
            return error
        except (TimeoutError, wire.MalformedFrameError, ValueError) as error:
            cell.kill()
            return RehearsalError(f"a cell did not become ready: {error or f'not within {_READY_TIMEOUT_S:.0f} s'}")
        return None

    def _hear(self, message: control.Message, descriptors: list[int]) -> None:
        match message:
            case control.Spawned():
                cell = self._cells[message.cell]
                cell.take_pidfd(descriptors[0])
                cell.spawned.set_result(message)
            case control.SpawnFailed():
                cell = self._cells[message.cell]
                cell.spawned.set_exception(SetUpError(Layer(message.layer), message.why, message.fix))
                cell.ended.set_result(None)
            case control.Exited():
                usage = Usage(message.cpu_s, message.memory_peak_bytes, message.faults)
                cell = self._cells[message.cell]
                violation = None if message.violation is None else violations.named(message.violation, cell.phase)
                if violation is not None:
                    self._parent.cell_violated(violation)
                cell.ended.set_result(Exit(message.wait_status, message.oom_kills, usage, violation))
            case _:
                self.kill()

    def _orphan(self) -> None:
        """No more will be heard of any cell: the zygote is gone, and they with it."""
        for cell in self._cells.values():
            if not cell.spawned.done():
                cell.spawned.set_exception(ZygoteError("the zygote ended"))
            if not cell.ended.done():
                cell.ended.set_result(None)

    def _lose(self) -> None:
        if not self.loaded:
            return  # whoever waits for it to load, or to stop, hears of it there
        self.loaded = False
        self._orphan()
        self._parent.zygote_lost(ZygoteError("the zygote ended; see its output above"))
        self._restart = asyncio.get_running_loop().create_task(self._start_again())

    async def _start_again(self) -> None:
        attempt = 1
        while not self.loaded:
            if self._zygote is not None:
                await self._zygote.stop()
                self._zygote = None  # not before: whoever cancels this must still be able to wait for its end
            await asyncio.sleep(delay_s(attempt))
            attempt += 1
            try:
                await self.start()
            except JailError as error:
                self._parent.zygote_lost(error)
        self._parent.zygote_back()


def _refusal(content: bytes) -> JailError:
    """What a FAILED frame says. It left the cell before any document came to it."""
    layer, why, fix = json.loads(content)
    return RehearsalError(f"the rehearsal raised {why}") if layer is None else SetUpError(Layer(layer), why, fix)


def _explain(error: JailError, end: Exit, cpu_s: int) -> JailError:
    if not isinstance(error, RehearsalError) or os.WIFEXITED(end.wait_status):
        return error
    result = classify(end, cpu_s=cpu_s, complete=False)
    return RehearsalError(f"a cell died while it rehearsed: {result.status} ({result.reason})")


def _set_up(report: bytes, spawned: control.Spawned, ready_s: float) -> SetUp:
    """What a READY frame says. ValueError where it is not what a cell of ours writes."""
    parsed: dict[str, Any] = json.loads(report)
    steps = [("cgroup made", spawned.cgroup_s), ("fork", spawned.fork_s)]
    steps += [(str(name), float(seconds)) for name, seconds in parsed["steps"]]
    return SetUp(tuple(steps), float(parsed["rehearsal"]), ready_s, frozenset(Layer(name) for name in parsed["layers"]))
