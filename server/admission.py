"""Who may come in, and how long they may stay."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from server.errors import DeadlineError, OverloadedError, Reason

# A caller that is turned away waits at least this long, however quick requests have been.
_SHORTEST_RETRY_S = 0.1
# Weight of the newest request in the running mean of how long one takes.
_NEWEST = 0.2


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


class Admission:
    """Bounds the requests of one engine: those in cells and those that wait for one.

    Whoever holds a place holds a document in memory, so the bound is one on memory too.
    """

    def __init__(self, busy: int, queue: int) -> None:
        self.capacity = busy + queue
        self._busy = busy
        self._inside = 0
        self._mean_s = 0.0

    @property
    def inside(self) -> int:
        """Requests that hold a place."""
        return self._inside

    @property
    def waiting(self) -> int:
        """Requests that hold a place and no cell."""
        return max(0, self._inside - self._busy)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place while a request is served. Raises `OverloadedError` (QUEUE_FULL) where none is free."""
        if self._inside >= self.capacity:
            raise OverloadedError(
                Reason.QUEUE_FULL,
                f"all {self.capacity} places are taken; try again later",
                {"capacity": str(self.capacity)},
                self._until_a_place_is_free_s(),
            )
        self._inside += 1
        started = time.monotonic()
        try:
            yield
        finally:
            self._inside -= 1
            self._mean_s += _NEWEST * (time.monotonic() - started - self._mean_s)

    def _until_a_place_is_free_s(self) -> float:
        """By Little's law the time one request works in a cell: after it, each busy cell has freed a place."""
        return max(_SHORTEST_RETRY_S, self._mean_s * self._busy / self.capacity)
