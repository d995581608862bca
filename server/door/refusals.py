"""Refusals held back from callers that come again at once, whatever they are told.

A full server says when to try again. Of those that do not heed it each refusal brings the same document again, and
receiving documents takes CPU time from the cells. Most callers wait for one answer before they ask anew, and gRPC
bounds the calls of a connection: so the later a refusal comes, the fewer documents do. The first of each second are
told at once, which is all that callers get who heed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from server.errors import CloisterError, Reason

_PACED = frozenset({Reason.QUEUE_FULL, Reason.RATE_LIMITED, Reason.TENANT_AT_LIMIT, Reason.DEADLINE_TOO_SHORT})
_LONGEST_S = 1.0
_OF_WHAT_IS_LEFT = 0.5
"""Part of a caller's time that a refusal may take: it is to come before the deadline."""
_MOST_HELD = 256
"""Calls held at a time, none with its document. Beyond, refusals come at once."""
_MOST_PEERS = 1024
"""Of those that have not been refused for a second nothing is kept; they are looked for when there are so many."""


class Refusals:
    """Paces those of a server: ``per_s`` a second for one peer, and as many at once after a rest; 0 holds none back.

    A peer is a host, or all callers of a unix socket. ``clock`` gives seconds.
    """

    def __init__(self, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._clock = clock
        self._next_s: dict[str, float] = {}
        """By peer: when its next refusal is due. A second before that all of its burst is there (GCRA)."""
        self._held = 0

    async def pace(self, refusal: CloisterError, peer: str, remaining_s: float | None) -> None:
        """Return when ``refusal`` may go to gRPC's ``peer``, whose call has ``remaining_s`` seconds left."""
        if not self._per_s or refusal.reason not in _PACED:
            return
        hold_s = self.hold_s(_host(peer))
        if remaining_s is not None:
            hold_s = min(hold_s, _OF_WHAT_IS_LEFT * remaining_s)
        if hold_s <= 0 or self._held >= _MOST_HELD:
            return
        self._held += 1
        try:
            await asyncio.sleep(hold_s)
        finally:
            self._held -= 1

    def hold_s(self, host: str) -> float:
        """Seconds for which another refusal is to be held; it counts as given."""
        now_s = self._clock()
        due_s = min(max(self._next_s.get(host, 0.0), now_s - 1.0), now_s + _LONGEST_S)
        self._next_s[host] = due_s + 1 / self._per_s
        if len(self._next_s) > _MOST_PEERS:
            self._next_s = {peer: at_s for peer, at_s in self._next_s.items() if at_s > now_s - 1.0}
        return due_s - now_s


def _host(peer: str) -> str:
    """Of ``ipv4:127.0.0.1:4711`` all but the port: a new connection is no new peer."""
    return peer.rpartition(":")[0] if peer.startswith("ip") else peer
