"""Keeps a worker's claims alive while it works on them, and ends work that is no longer wanted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from threading import Event, Lock

from sqlalchemy.exc import SQLAlchemyError
from structlog.typing import FilteringBoundLogger

from server.queue.leases import Claim, Leases

_RENEWALS = 3
"""Words that a lease may miss, less one, before it is lost."""


class End(Enum):
    LOST = "lost"
    """The reading was cancelled, or others took it over."""
    STOPPED = "stopped"
    """This worker goes."""


class Hold:
    """One claim while it is worked on."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.since_s = time.monotonic()
        self._lock = Lock()
        self._cancel: Callable[[], None] | None = None
        self._end: End | None = None

    @property
    def ended(self) -> End | None:
        return self._end

    def cancels(self, cancel: Callable[[], None]) -> None:
        """Have ``cancel`` called when the work is to end; at once where that is so already."""
        with self._lock:
            self._cancel = cancel
            if self._end is not None:
                cancel()

    def end(self, why: End) -> None:
        with self._lock:
            if self._end is None:
                self._end = why
                if self._cancel is not None:
                    self._cancel()


class Keeper:
    """Renews the leases of all that is held. `run` is for a thread of its own.

    What goes on for more than ``longest_s`` seconds is stuck, and is left for others.
    """

    def __init__(self, leases: Leases, lease_s: float, longest_s: float, log: FilteringBoundLogger) -> None:
        self._leases = leases
        self._period_s = lease_s / _RENEWALS
        self._longest_s = longest_s
        self._log = log
        self._lock = Lock()
        self._holds: dict[str, Hold] = {}

    @property
    def busy(self) -> int:
        """Claims that are held."""
        return len(self._holds)

    @contextmanager
    def hold(self, claim: Claim) -> Iterator[Hold]:
        hold = Hold(claim)
        with self._lock:
            self._holds[claim.owner] = hold
        try:
            yield hold
        finally:
            with self._lock:
                del self._holds[claim.owner]

    def run(self, stop: Event, drain_s: float, done: Event) -> None:
        """Until ``done``. ``drain_s`` seconds after ``stop`` what is held still is ended, to be tried elsewhere."""
        stopped_at_s: float | None = None
        renewed_at_s = 0.0
        while not done.wait(min(1.0, self._period_s)):
            now_s = time.monotonic()
            if stop.is_set() and stopped_at_s is None:
                stopped_at_s = now_s
            if stopped_at_s is not None and now_s - stopped_at_s >= drain_s:
                for hold in self._held():
                    hold.end(End.STOPPED)
            if now_s - renewed_at_s >= self._period_s:
                renewed_at_s = now_s
                self._renew()

    def _renew(self) -> None:
        stuck_since_s = time.monotonic() - self._longest_s
        holds = {}
        for hold in self._held():
            if hold.since_s > stuck_since_s:
                holds[hold.claim.owner] = hold
            elif hold.ended is None:
                self._log.error("stuck", reading=hold.claim.reading)
                hold.end(End.LOST)
        if not holds:
            return
        try:
            kept = self._leases.renew(holds)
        except SQLAlchemyError as error:
            # The work goes on: whoever is done first has it, should others take it over meanwhile.
            self._log.warning("leases not renewed", error=type(error).__name__, held=len(holds))
            return
        for owner in holds.keys() - kept:
            holds[owner].end(End.LOST)

    def _held(self) -> list[Hold]:
        with self._lock:
            return list(self._holds.values())
