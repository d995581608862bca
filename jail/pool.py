"""A pool of cells, ready and waiting; made and remade in the background. For the server's event loop."""

from __future__ import annotations

import asyncio
from collections import Counter, deque

from jail.errors import JailError, PoolClosedError, SpecError
from jail.layers import Layer
from jail.memory import Processes
from jail.nursery import Nursery, delay_s
from jail.policy import Phase
from jail.remote import RemoteCell
from jail.result import Result, Status, Violation
from jail.run import Run
from jail.spec import Layers, Limits, ZygoteSpec

_EXIT_TIMEOUT_S = 2.0
"""How long a cell may take to end once its reply is complete."""
_REFILL_DELAY_S = 0.005
"""Before a cell that was taken is replaced: a zygote that wakes may take this core to fork; the request goes first."""
_UNHURRIED_S = 0.5
"""Before a cell is replaced while whoever may come next finds one: making it disturbs the request that runs."""
_MAX_FAILURES = 3
"""So many cells that never became ready, one after the other, make the pool unhealthy."""
_CLOSED = Result(Status.CANCELLED, "the pool closed")


class Pool:
    """Runs requests, each in a cell of its own that was ready before the request came.

    ``busy`` bounds the requests that run at a time, ``idle`` the cells that wait for one. Belongs to the event loop
    that `start` runs in. A cell that ends is replaced; so is a zygote, after a pause. While either keeps failing the
    pool is not ``healthy``, ``error`` says why, and requests end at once: nobody waits for what is not coming.
    """

    def __init__(
        self,
        spec: ZygoteSpec,
        limits: Limits | None = None,
        *,
        busy: int = 2,
        idle: int = 2,
        layers: Layers | None = None,
    ) -> None:
        if busy < 1 or idle < 1:
            raise SpecError(f"a pool of {busy} busy and {idle} idle cells: each must be 1 or more")
        self._limits = limits or Limits()
        self._networked = spec.program is not None and spec.program.network
        self._layers = layers or Layers()
        self._idle_target = idle
        self.busy_limit = busy
        """As many requests may run at a time."""
        self._slots = asyncio.Semaphore(busy)
        self._nursery = Nursery(spec, self._limits, self._layers, self)
        self._idle: deque[RemoteCell] = deque()
        self._in_use: set[RemoteCell] = set()
        self._runs: dict[Run, RemoteCell] = {}
        self._waiters: deque[asyncio.Future[RemoteCell | Result]] = deque()
        self._failures = 0
        self._pause: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self._open = False
        self.layers_in_force: frozenset[Layer] = frozenset()
        """What every cell is behind; empty before `start`."""
        self.error: JailError | None = None
        """Why cells can't be made; None while they can."""
        self.violations: Counter[tuple[str, Phase]] = Counter()
        """How many cells were stopped for a system call, by its name and when: idle cells and cells that failed too."""

    @property
    def healthy(self) -> bool:
        """Whether a request can be expected to find a cell."""
        return self._open and self._nursery.loaded and self._failures < _MAX_FAILURES

    @property
    def idle_cells(self) -> int:
        return len(self._idle)

    @property
    def busy_cells(self) -> int:
        """Cells at work on a request, or about to end after one."""
        return self._nursery.cells - self._nursery.starting - len(self._idle)

    @property
    def starting_cells(self) -> int:
        """Cells that are being made."""
        return self._nursery.starting

    @property
    def processes(self) -> Processes:
        """The processes of this pool at this moment."""
        return self._nursery.processes

    @property
    def layers_off(self) -> frozenset[Layer]:
        """What cells do without: given up by the operator, missing from the kernel, or in their program's way."""
        off = self._layers.dangerously_without | self._nursery.missing
        if self._layers.dangerously_record is not None:
            off |= {Layer.SECCOMP}
        return off | {Layer.NETWORK_NAMESPACE} if self._networked else off

    @property
    def cgroup(self) -> str:
        """Name of the cgroup that holds all cells' own; "" where there is none."""
        return self._nursery.cgroup

    @property
    def cpu_s(self) -> int:
        return self._limits.cpu_s

    async def start(self) -> None:
        """Start the zygote, load the job, make the first cells. Raises a `JailError` where any of it fails."""
        self._open = True
        try:
            await self._nursery.start()
            self._fill()
            while self.error is None and len(self._idle) < self._idle_target:
                self._changed.clear()
                await self._changed.wait()
            if self.error is not None:
                raise self.error
        except BaseException:
            await self.close()
            raise

    async def close(self, *, grace_s: float = 0.0) -> None:
        """Let running requests end for up to ``grace_s``, kill what is left, and wait until nothing of it is there."""
        if not self._open:
            return
        self._open = False
        self._refuse_waiters(_CLOSED)
        try:
            async with asyncio.timeout(grace_s):
                while self._runs:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            for run in list(self._runs):
                run.kill(_CLOSED)
        if self._pause is not None:
            self._pause.cancel()
        await self._nursery.stop()

    def dwindle(self) -> None:
        """Keep no more cells ready, and end those that are. Requests still get a cell, made when they come."""
        self._idle_target = 0
        while self._idle:
            self._idle.popleft().kill()

    def run(self, header: bytes, body: bytes | memoryview, *, timeout_s: float) -> Run:
        """A request, for ``async with``. ``timeout_s`` counts from its entry, waiting for a cell included."""
        if not self._open:
            raise PoolClosedError("the pool is closed, or was never started")
        return Run(self, header, body, timeout_s)

    # What a run asks of it.

    @property
    def ending(self) -> bool:
        """Whether the zygote has begun to end."""
        return self._nursery.ending

    async def acquire(self, run: Run) -> RemoteCell | Result:
        """A cell that is ready, or why there is none. May be cancelled."""
        await self._slots.acquire()
        given: RemoteCell | Result | None = None
        try:
            given = await self._next_cell()
        finally:
            if not isinstance(given, RemoteCell):
                self._slots.release()
        if isinstance(given, RemoteCell):
            self._runs[run] = given
        return given

    def release(self, run: Run) -> None:
        """The request is over, and nobody reads from its cell or writes to it. The cell may live on a little."""
        cell = self._runs.pop(run)
        self._in_use.discard(cell)
        cell.close_pipes()
        self._slots.release()
        self._changed.set()
        if not cell.ended.done():
            fate = asyncio.get_running_loop().call_later(_EXIT_TIMEOUT_S, cell.kill)
            cell.ended.add_done_callback(lambda _: fate.cancel())

    def suspect(self) -> None:
        """A cell's end was not reported in time: the zygote does not do its work."""
        self._nursery.kill()

    async def _next_cell(self) -> RemoteCell | Result:
        if not self._open:
            return _CLOSED
        if not self._nursery.loaded:
            return Result(Status.ZYGOTE_LOST, str(self.error))
        if self._idle:
            cell = self._idle.popleft()
            self._in_use.add(cell)
            # Of a request that ends before, the end replaces it too.
            asyncio.get_running_loop().call_later(_UNHURRIED_S if self._enough else _REFILL_DELAY_S, self._fill)
            return cell
        if not self.healthy:
            return Result(Status.SETUP_ERROR, str(self.error))
        waiter: asyncio.Future[RemoteCell | Result] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._fill()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and isinstance(late := waiter.result(), RemoteCell):
                self._in_use.discard(late)
                self._offer(late)  # too late for this one, not for the next
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    @property
    def _enough(self) -> bool:
        """Whether all that may still come in find a cell, or where none may, the first after one that leaves.

        In the background nobody waits for one.
        """
        free = self.busy_limit - len(self._in_use)
        return self._limits.background or len(self._idle) >= max(1, free)

    # What the nursery tells it.

    def cell_ready(self, cell: RemoteCell) -> None:
        self._failures = 0
        self.error = None
        if cell.set_up is not None:
            self.layers_in_force = cell.set_up.layers
        self._offer(cell)

    def cell_failed(self, error: JailError) -> None:
        self._failures += 1
        self.error = error
        if self._failures >= _MAX_FAILURES:
            self._refuse_waiters(Result(Status.SETUP_ERROR, str(error)))
        if self._pause is None:
            self._pause = asyncio.get_running_loop().call_later(delay_s(self._failures), self._resume)
        self._changed.set()

    def cell_gone(self, cell: RemoteCell) -> None:
        if cell in self._idle:
            self._idle.remove(cell)
        if cell not in self._in_use:
            cell.close_pipes()
        self._fill()
        self._changed.set()

    def cell_violated(self, violation: Violation) -> None:
        self.violations[violation.call, violation.phase] += 1

    def zygote_lost(self, error: JailError) -> None:
        self.error = error
        self._refuse_waiters(Result(Status.ZYGOTE_LOST, str(error)))

    def zygote_back(self) -> None:
        self._failures = 0
        self._fill()

    def _fill(self) -> None:
        """Ask for as many cells as are wanted and not yet under way, unless the last ones failed just now."""
        if not self._open or self._pause is not None:
            return
        wanted = max(self._idle_target, len(self._waiters))
        for _ in range(wanted - len(self._idle) - self._nursery.starting):
            self._nursery.spawn()

    def _resume(self) -> None:
        self._pause = None
        self._fill()

    def _offer(self, cell: RemoteCell) -> None:
        """Give a ready cell to whoever has waited longest, or let it wait."""
        self._changed.set()
        if cell.ended.done():
            cell.close_pipes()
            return
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._in_use.add(cell)
                waiter.set_result(cell)
                return
        self._idle.append(cell)

    def _refuse_waiters(self, result: Result) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(result)
