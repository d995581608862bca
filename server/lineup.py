"""The engines of a server as they are at this moment: one stable version of each, and a canary where there is one.

A version that is replaced goes on until the last request that was given to it is over; only then does its pool close.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

from jail.policy import Phase
from server.hosts import EngineHost, Label


class Lineup:
    """Iterates over the versions that take requests: the stable ones in the order of the settings, then canaries.

    Belongs to one event loop.
    """

    def __init__(self) -> None:
        self._hosts: dict[tuple[str, Label], EngineHost] = {}
        self._users: Counter[EngineHost] = Counter()
        self._retiring: dict[EngineHost, asyncio.Task[None]] = {}
        self._left = asyncio.Event()
        self.fault: Callable[[EngineHost], str] = lambda host: ""
        """What is wrong with a version beside its pool, as its self-test finds; "" for nothing."""
        self._past: dict[tuple[str, Label], Counter[tuple[str, Phase]]] = {}

    def __iter__(self) -> Iterator[EngineHost]:
        hosts = list(self._hosts.values())
        yield from (host for host in hosts if host.label is Label.STABLE)
        yield from (host for host in hosts if host.label is Label.CANARY)

    @property
    def all(self) -> tuple[EngineHost, ...]:
        """Those that take requests, and those that only end what they have."""
        return (*self, *self._retiring)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(host.name for host in self)

    @property
    def has_canaries(self) -> bool:
        return any(host.label is Label.CANARY for host in self)

    def named(self, name: str) -> EngineHost | None:
        """The version that a request asked for: NAME, NAME@stable or NAME@canary."""
        engine, _, label = name.partition("@")
        if label not in ("", *Label):
            return None
        return self._hosts.get((engine, Label(label or Label.STABLE)))

    def chosen(self, name: str) -> EngineHost | None:
        """The version that a flag chose; the stable one where its canary is not there, or ill."""
        host = self.named(name)
        if host is None or (host.label is Label.CANARY and (not host.pool.healthy or self.fault(host))):
            return self.named(name.partition("@")[0])
        return host

    def use(self, host: EngineHost) -> None:
        """A request begins that will be read by ``host``, which is kept until `leave`."""
        self._users[host] += 1

    def leave(self, host: EngineHost) -> None:
        self._users[host] -= 1
        if not self._users[host]:
            del self._users[host]
            self._left.set()

    def take(self, host: EngineHost) -> None:
        """Give requests to ``host`` from now on, and let the version that had its place end what it has."""
        place = host.entry.name, host.label
        before = self._hosts.get(place)
        self._hosts[place] = host
        if before is not None:
            self._retire(before)

    def drop(self, host: EngineHost) -> None:
        """Give it no more requests, and close it once those it has are over."""
        del self._hosts[host.entry.name, host.label]
        self._retire(host)

    def violations(self, engine: str, label: Label) -> Counter[tuple[str, Phase]]:
        """What cells of this engine were stopped for since the server started, whichever version it was."""
        counts = Counter(self._past.get((engine, label), {}))
        for host in self.all:
            if (host.entry.name, host.label) == (engine, label):
                counts.update(host.pool.violations)
        return counts

    async def retired(self) -> None:
        """Wait until no version that was replaced is left."""
        while self._retiring:
            await asyncio.wait(list(self._retiring.values()))

    async def close(self) -> None:
        """End all cells and zygotes; requests that are left get no answer."""
        for task in list(self._retiring.values()):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        for host in list(self):
            await host.pool.close(grace_s=0)
        self._hosts.clear()

    def _retire(self, host: EngineHost) -> None:
        self._retiring[host] = asyncio.create_task(self._end(host))

    async def _end(self, host: EngineHost) -> None:
        host.pool.dwindle()
        try:
            while self._users[host]:
                self._left.clear()
                await self._left.wait()
        finally:
            await host.pool.close(grace_s=0)
            del self._retiring[host]
            self._past.setdefault((host.entry.name, host.label), Counter()).update(host.pool.violations)
