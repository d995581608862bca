"""Who may come in, whose turn it is, and how long they may stay.

A request first holds a place (`Admission.place`), then a turn for each cell it takes (`Place.turn`). Places are
bounded, and with them the documents in memory. Turns go by priority, and fairly between tenants. What can't be done in
time is refused while it is cheap to: before its document is taken, or when its turn comes too late.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from server.errors import DeadlineError, OverloadedError, Reason
from server.expectation import Expectation
from server.fairness import FairQueue, Priority
from server.quotas import Quotas

# A caller that is turned away waits at least this long, however quick requests have been.
_SHORTEST_RETRY_S = 0.1


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point in time, in seconds of `time.monotonic`, by which a request has its answer."""

    at_s: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(time.monotonic() + seconds)

    @classmethod
    def of_call(cls, asked_s: float | None, default_s: float, cap_s: float) -> Deadline:
        """For a caller that asked for ``asked_s`` seconds, or for none; never more than ``cap_s``."""
        return cls.after(min(default_s if asked_s is None else asked_s, cap_s))

    @property
    def remaining_s(self) -> float:
        """Seconds until the deadline, 0 once it has passed."""
        return max(0.0, self.at_s - time.monotonic())

    @property
    def passed(self) -> bool:
        return self.remaining_s == 0.0

    def timeout(self) -> asyncio.Timeout:
        """A context manager that ends its block with TimeoutError at the deadline."""
        return asyncio.timeout(self.remaining_s)

    def error(self, doing: str) -> DeadlineError:
        return DeadlineError(
            Reason.DEADLINE_EXCEEDED,
            f"the deadline passed while {doing}; allow more time or send less",
            {"while": doing},
        )


@dataclass(eq=False, slots=True)
class Place:
    """A request that was let in. Made by `Admission.place`."""

    admission: Admission
    tenant: str
    priority: Priority
    deadline: Deadline
    task: asyncio.Task[object]
    started: bool = False
    """Whether it has had a turn. Until then it may have to leave for another."""
    refusal: OverloadedError | None = None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[float]:
        """Have a cell for the length of the block; gives the seconds that were waited for it.

        The first one is waited for in line. Those after it, for more cells to read the same document, go before the
        line: the document is half read. Raises `OverloadedError` (DEADLINE_TOO_SHORT) where it came too late.
        """
        came_s = time.monotonic()
        turn = await self.admission.acquire(self)
        try:
            yield turn.began_s - came_s
        finally:
            self.admission.release(turn)

    def evict(self, refusal: OverloadedError) -> None:
        """End the request, which has had no turn, with ``refusal``."""
        self.refusal = refusal
        self.task.cancel()


@dataclass(frozen=True, eq=False, slots=True)
class Turn:
    """A cell's worth of work that goes on. ``expected_s`` is what its tenant was charged with for it."""

    place: Place
    expected_s: float
    began_s: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, eq=False, slots=True)
class _Wait:
    """Somebody who waits for a turn."""

    place: Place
    end: asyncio.Future[Turn | OverloadedError] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Admission:
    """Bounds the requests of one engine: ``busy`` turns at a time, and ``queue`` places for those that wait for one.

    When all places are taken, a newcomer that is no batch gets that of a batch; else that of the tenant who holds most,
    if that is more than its own would hold then; else none. Who has had a turn is never put out.
    """

    def __init__(self, busy: int, queue: int, quotas: Quotas | None = None) -> None:
        self.capacity = busy + queue
        self._busy = busy
        self._quotas = quotas or Quotas()
        self._places: dict[Place, None] = {}
        self._turns: set[Turn] = set()
        self._line: FairQueue[_Wait] = FairQueue(self._quotas.share)
        self._more: deque[_Wait] = deque()
        self._expected = Expectation()

    @property
    def inside(self) -> int:
        """Requests that hold a place."""
        return len(self._places)

    @property
    def waiting(self) -> int:
        """Requests whose document is here, and that wait for their first turn."""
        return len(self._line)

    @property
    def free(self) -> int:
        """Turns that nobody has and nobody waits for."""
        return max(0, self._busy - len(self._turns) - len(self._more) - len(self._line))

    @contextmanager
    def place(self, deadline: Deadline, tenant: str = "", priority: Priority = Priority.INTERACTIVE) -> Iterator[Place]:
        """Hold a place while a request is served, in the task that asks for it.

        Raises `OverloadedError`: TENANT_AT_LIMIT, RATE_LIMITED, DEADLINE_TOO_SHORT; QUEUE_FULL at once, or, before its
        first turn, from within the block when the place goes to another.
        """
        self._quotas.check_room(tenant, self._retry_after_s)
        late = self._too_late(deadline, self._wait_s(tenant, priority))
        if late is not None:
            raise late
        leaver = None
        if self.inside >= self.capacity:
            leaver = self._leaver(tenant, priority)
            if leaver is None:
                raise self._full()
        self._quotas.spend(tenant)
        if leaver is not None:
            self._remove(leaver)
            leaver.evict(self._full())
        task = asyncio.current_task()
        assert task is not None, "a request runs in a task"
        place = Place(self, tenant, priority, deadline, task)
        self._places[place] = None
        self._quotas.enter(tenant)
        try:
            yield place
        except asyncio.CancelledError:
            if place.refusal is None:
                raise
            task.uncancel()
            raise place.refusal from None
        finally:
            self._remove(place)

    async def acquire(self, place: Place) -> Turn:
        """A turn for ``place``, which is owed a `release`. Raises `OverloadedError` (DEADLINE_TOO_SHORT)."""
        wait = _Wait(place)
        if place.started:
            self._more.append(wait)
        else:
            self._line.push(wait, place.tenant, place.priority)
        self._grant()
        try:
            end = await wait.end
        except asyncio.CancelledError:
            if wait.end.done() and not wait.end.cancelled() and isinstance(late := wait.end.result(), Turn):
                self.release(late, used=False)  # too late for this one, not for the next
            raise
        finally:
            if wait in self._more:
                self._more.remove(wait)
            self._line.remove(wait, place.tenant, place.priority)
        if isinstance(end, OverloadedError):
            raise end
        return end

    def release(self, turn: Turn, *, used: bool = True) -> None:
        """A turn is over."""
        self._turns.remove(turn)
        took_s = time.monotonic() - turn.began_s if used else 0.0
        self._line.settle(turn.place.tenant, turn.expected_s, took_s)
        if used:
            self._expected.add(took_s)
        self._grant()

    def _grant(self) -> None:
        """Give the turns that are free to who is next, and refuse those for whom it would be in vain."""
        while len(self._turns) < self._busy:
            expected_s = self._expected.mean_s
            if self._more:
                wait = self._more.popleft()
                self._line.extend(wait.place.tenant, expected_s)
            elif (first := self._line.pop(expected_s)) is not None:
                wait = first
            else:
                return
            late = None if wait.place.started else self._too_late(wait.place.deadline, 0.0)
            if late is None and not wait.end.done():
                turn = Turn(wait.place, expected_s)
                self._turns.add(turn)
                wait.place.started = True
                wait.end.set_result(turn)
                continue
            self._line.settle(wait.place.tenant, expected_s, 0.0)
            if late is not None and not wait.end.done():
                wait.end.set_result(late)

    def _wait_s(self, tenant: str, priority: Priority) -> float:
        """Seconds that a newcomer would wait for a turn, as far as is known."""
        if self.free:
            return 0.0
        now_s = time.monotonic()
        ahead = len(self._more) + self._line.ahead(tenant, priority)
        return self._expected.wait_s([now_s - turn.began_s for turn in self._turns], ahead)

    def _too_late(self, deadline: Deadline, wait_s: float) -> OverloadedError | None:
        """Why a request that waits so long from now can't be answered by ``deadline``; None where it may be."""
        expected_s = wait_s + self._expected.quickest_s
        remaining_s = deadline.remaining_s
        if expected_s <= remaining_s:
            return None
        return OverloadedError(
            Reason.DEADLINE_TOO_SHORT,
            f"an answer takes {expected_s:.2f} s at least and {remaining_s:.2f} s are left; allow more, or try later",
            {"expected_s": f"{expected_s:.3f}", "remaining_s": f"{remaining_s:.3f}"},
            max(_SHORTEST_RETRY_S, wait_s),
        )

    def _leaver(self, tenant: str, priority: Priority) -> Place | None:
        """Whose place a newcomer gets."""
        waiting = [place for place in self._places if not place.started]
        batches = [place for place in waiting if place.priority > priority]
        rivals = batches or [place for place in waiting if place.priority == priority]
        held: dict[str, float] = dict.fromkeys((place.tenant for place in rivals), 0.0)
        for place in rivals:
            held[place.tenant] += 1 / self._quotas.share(place.tenant)
        largest = max(held, key=held.__getitem__, default=None)
        if largest is None:
            return None
        if not batches and held[largest] <= held.get(tenant, 0.0) + 1 / self._quotas.share(tenant):
            return None
        # The one that came last has lost least.
        return next(place for place in reversed(rivals) if place.tenant == largest)

    @property
    def _retry_after_s(self) -> float:
        """After what a turn takes, each busy cell has freed a place."""
        return max(_SHORTEST_RETRY_S, self._expected.mean_s)

    def _full(self) -> OverloadedError:
        return OverloadedError(
            Reason.QUEUE_FULL,
            f"all {self.capacity} places are taken; try again later",
            {"capacity": str(self.capacity)},
            self._retry_after_s,
        )

    def _remove(self, place: Place) -> None:
        if place in self._places:
            del self._places[place]
            self._quotas.leave(place.tenant)
