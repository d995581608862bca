"""Sends the broker a message for every reading that waits, again where one was lost; takes back what nobody works on.

The pattern is known as the transactional outbox. Every worker runs one; they do not get in each other's way.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from threading import Event
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError
from structlog.typing import FilteringBoundLogger

from server.queue.leases import Leases
from server.queue.ledger import Ledger
from server.queue.store import Store

WINDOW = 1000
"""Messages that may be out at a time; what waits beyond that is in the ledger alone."""

_DAY_S = 86_400
_CLEANING_S = 600.0


class BrokerError(Exception):
    """The broker can't be reached, or does not take a message."""


class Broker(Protocol):
    def send(self, reading: str) -> None:
        """Raises `BrokerError`."""

    def depth(self) -> int:
        """Messages that wait there. Raises `BrokerError`."""


class Relay:
    """`run` is for a thread of its own. ``lost`` is told how many attempts it found to be nobody's any more."""

    def __init__(
        self,
        ledger: Ledger,
        leases: Leases,
        store: Store,
        broker: Broker,
        log: FilteringBoundLogger,
        *,
        losses: int,
        resend_s: float,
        keep_days: float,
        lost: Callable[[int], None],
    ) -> None:
        self._ledger = ledger
        self._leases = leases
        self._store = store
        self._broker = broker
        self._log = log
        self._losses = losses
        self._resend_s = resend_s
        self._keep_s = keep_days * _DAY_S
        self._lost = lost
        self._counted_at_s = 0.0
        self._cleaned_at_s = 0.0
        self._ailing = False

    def run(self, poll_s: float, stop: Event) -> None:
        while not stop.wait(poll_s * random.uniform(0.8, 1.2)):
            try:
                self.once()
            except (SQLAlchemyError, BrokerError, OSError) as error:
                if not self._ailing:  # once for each time it goes away
                    why = str(error) if isinstance(error, BrokerError) else type(error).__name__
                    self._log.warning("nothing can be sent to workers", why=why)
                self._ailing = True
            else:
                if self._ailing:
                    self._log.info("messages are sent to workers again")
                self._ailing = False

    def once(self) -> None:
        """Do all that is due. Raises `BrokerError`, SQLAlchemyError, OSError: what is left is done the next time."""
        taken = self._leases.expire(self._losses)
        if taken:
            self._log.warning("workers lost", readings=taken)
            self._lost(taken)
        self._send()
        now_s = time.monotonic()
        if now_s - self._counted_at_s >= self._resend_s / 2:
            self._counted_at_s = now_s
            self._send_lost()
        if now_s - self._cleaned_at_s >= _CLEANING_S:
            self._cleaned_at_s = now_s
            self._clean()

    def _send(self) -> None:
        while ids := self._leases.to_send(WINDOW):
            for place, reading in enumerate(ids):
                try:
                    self._broker.send(reading)
                except BrokerError:
                    self._leases.not_sent(ids[place:])
                    raise

    def _send_lost(self) -> None:
        """Where fewer messages wait in the broker than were sent and not come, some were lost with it.

        Which ones it does not say, so the oldest are taken for them: one too many finds its reading claimed.
        """
        long_out = self._leases.out(self._resend_s)
        if long_out == 0:
            return
        lost = min(long_out, self._leases.out() - self._broker.depth())
        if lost > 0:
            count = self._leases.send_again(lost, self._resend_s)
            self._log.warning("messages lost", sent_again=count)

    def _clean(self) -> None:
        while (gone := self._ledger.forget(time.time() - self._keep_s)).readings:
            for name in gone.documents:
                self._store.delete(name)
            for reading in gone.readings:
                for name in self._store.names(f"results/{reading}"):
                    self._store.delete(name)
