"""Whose turn it is: a queue that is fair between tenants and keeps interactive requests before those of batches.

Each tenant has an account of the cell time it has used, over its share (start-time fair queueing: Goyal, Vin, Cheng,
1996). The next turn is for the tenant that has used least. One that comes back after a rest starts level with those
that are there: nobody saves up time by staying away. A turn is charged at its start with what turns take on average,
and settled at its end, when it is known.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Generic, TypeVar

# Of the turns for which requests of both priorities wait, one in so many is for a batch: it is slowed, not starved.
_BATCH_EVERY = 8
_MOST_ACCOUNTS = 1024

T = TypeVar("T")


class Priority(IntEnum):
    """The lower goes first."""

    INTERACTIVE = 0
    BATCH = 1


class FairQueue(Generic[T]):
    """Items of tenants, handed out by `pop`. ``share`` says how much of the cells a tenant gets beside others of 1."""

    def __init__(self, share: Callable[[str], float] = lambda tenant: 1.0) -> None:
        self._share = share
        self._lines: dict[Priority, OrderedDict[str, deque[T]]] = {priority: OrderedDict() for priority in Priority}
        self._used_s: dict[str, float] = {}
        self._running: Counter[str] = Counter()
        self._floor_s = 0.0
        self._interactive_in_a_row = 0

    def __len__(self) -> int:
        return sum(len(line) for lines in self._lines.values() for line in lines.values())

    def __iter__(self) -> Iterator[T]:
        for lines in self._lines.values():
            for line in lines.values():
                yield from line

    def push(self, item: T, tenant: str, priority: Priority) -> None:
        """Let ``item`` wait behind those of its tenant and priority."""
        self._enter(tenant)
        self._lines[priority].setdefault(tenant, deque()).append(item)

    def remove(self, item: T, tenant: str, priority: Priority) -> None:
        """Take ``item`` out, if it waits."""
        line = self._lines[priority].get(tenant)
        if line is not None and item in line:
            line.remove(item)
            self._tidy(priority, tenant)

    def pop(self, expected_s: float) -> T | None:
        """Who is next, charged with ``expected_s``; None where nobody waits. `settle` is owed at the turn's end."""
        priority = self._next_priority()
        if priority is None:
            return None
        lines = self._lines[priority]
        # Of tenants that have used alike, the one whose line has been there longest: dicts keep their order.
        tenant = min(lines, key=lambda name: self._used_s[name])
        item = lines[tenant].popleft()
        # A tenant with more waiting goes behind its equals.
        lines.move_to_end(tenant)
        self._floor_s = max(self._floor_s, self._used_s[tenant])
        self._running[tenant] += 1
        self._charge(tenant, expected_s)
        self._tidy(priority, tenant)
        return item

    def extend(self, tenant: str, expected_s: float) -> None:
        """A running request of ``tenant`` takes one more turn, outside the line. `settle` is owed for it too."""
        self._enter(tenant)
        self._running[tenant] += 1
        self._charge(tenant, expected_s)

    def settle(self, tenant: str, expected_s: float, took_s: float) -> None:
        """A turn that was charged with ``expected_s`` has ended and took ``took_s``."""
        self._charge(tenant, took_s - expected_s)
        self._running[tenant] -= 1
        if not self._running[tenant]:
            del self._running[tenant]
        self._forget()

    def ahead(self, tenant: str, priority: Priority) -> int:
        """How many of those that wait would have their turn before a newcomer."""
        mine = len(self._lines[priority].get(tenant, ()))
        same = sum(min(len(line), mine + 1) for name, line in self._lines[priority].items() if name != tenant)
        higher = sum(len(line) for other in Priority if other < priority for line in self._lines[other].values())
        return higher + mine + same

    def _next_priority(self) -> Priority | None:
        waiting = [priority for priority in Priority if self._lines[priority]]
        if not waiting:
            return None
        if len(waiting) == 1:
            self._interactive_in_a_row = 0
            return waiting[0]
        self._interactive_in_a_row += 1
        if self._interactive_in_a_row < _BATCH_EVERY:
            return Priority.INTERACTIVE
        self._interactive_in_a_row = 0
        return Priority.BATCH

    def _enter(self, tenant: str) -> None:
        if not self._present(tenant):
            self._used_s[tenant] = max(self._used_s.get(tenant, 0.0), self._floor_s)

    def _present(self, tenant: str) -> bool:
        return tenant in self._running or any(tenant in lines for lines in self._lines.values())

    def _charge(self, tenant: str, seconds: float) -> None:
        self._used_s[tenant] += seconds / self._share(tenant)

    def _tidy(self, priority: Priority, tenant: str) -> None:
        if not self._lines[priority][tenant]:
            del self._lines[priority][tenant]
        self._forget()

    def _forget(self) -> None:
        """Drop the accounts of tenants that are away and owe nothing: they would come back level all the same.

        With so many that memory counts, those too that owe a little.
        """
        many = len(self._used_s) > _MOST_ACCOUNTS
        for name, used_s in list(self._used_s.items()):
            if (many or used_s <= self._floor_s) and not self._present(name):
                del self._used_s[name]
