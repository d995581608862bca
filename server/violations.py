"""Counts what cells were stopped for, whatever they were at: a request, a rehearsal, or nothing yet."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from weakref import WeakKeyDictionary

from structlog.typing import FilteringBoundLogger

from jail.policy import Phase
from server.hosts import EngineHost

_PERIOD_S = 5.0


async def watch(hosts: Iterable[EngineHost], log: FilteringBoundLogger, period_s: float = _PERIOD_S) -> None:
    """Follow the pools for ever; log each count that grew. A request's own line has the arguments too."""
    told: WeakKeyDictionary[EngineHost, Counter[tuple[str, Phase]]] = WeakKeyDictionary()
    while True:
        for host in hosts:
            known = told.setdefault(host, Counter())
            for (call, phase), count in (host.pool.violations - known).items():
                known[call, phase] += count
                log.error(
                    "violations",
                    engine=host.name,
                    call=call,
                    phase=phase.value,
                    new=count,
                    total=known[call, phase],
                )
        await asyncio.sleep(period_s)
