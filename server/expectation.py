"""How long a turn takes, by what turns took lately; and how long the wait for one will be."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterable

# What turns took is known from so many at most, none of them older: a host, its load and its documents change.
_MEASURED = 64
_MEASURED_WITHIN_S = 60.0
# Documents differ: one is only sure to come too late if even one like the quickest tenth would.
_QUICKEST = 0.1


class Expectation:
    """Of turns, in seconds. What nobody has measured within a minute is not known, and expected to take 0.

    ``clock`` gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._measured: deque[tuple[float, float]] = deque(maxlen=_MEASURED)

    def add(self, took_s: float) -> None:
        """A turn has ended and took so long."""
        self._measured.append((self._clock(), took_s))

    @property
    def mean_s(self) -> float:
        known = self._known()
        return sum(known) / len(known) if known else 0.0

    @property
    def quickest_s(self) -> float:
        """What nine of ten turns took at least."""
        known = self._known()
        return sorted(known)[int(len(known) * _QUICKEST)] if known else 0.0

    def wait_s(self, running_s: Iterable[float], ahead: int) -> float:
        """Until a newcomer's turn, where all cells are busy since ``running_s`` and ``ahead`` turns come before."""
        mean_s = self.mean_s
        free_in = [max(0.0, mean_s - since_s) for since_s in running_s]
        heapq.heapify(free_in)
        for _ in range(ahead):
            heapq.heapreplace(free_in, free_in[0] + mean_s)
        return free_in[0]

    def _known(self) -> list[float]:
        since = self._clock() - _MEASURED_WITHIN_S
        while self._measured and self._measured[0][0] < since:
            self._measured.popleft()
        return [took_s for _, took_s in self._measured]
