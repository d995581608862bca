"""Counts what cells were stopped for, whatever they were at: a request, a rehearsal, or nothing yet."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from structlog.typing import FilteringBoundLogger

from jail.policy import Phase
from server.hosts import EngineHost

_PERIOD_S = 5.0


async def watch(hosts: Sequence[EngineHost], log: FilteringBoundLogger, period_s: float = _PERIOD_S) -> None:
    """Follow the pools for ever; log each count that grew. A request's own line has the arguments too."""
    told: dict[str, Counter[tuple[str, Phase]]] = {host.entry.name: Counter() for host in hosts}
    while True:
        for host in hosts:
            known = told[host.entry.name]
            for (call, phase), count in (host.pool.violations - known).items():
                known[call, phase] += count
                log.error(
                    "violations",
                    engine=host.entry.name,
                    call=call,
                    phase=phase.value,
                    new=count,
                    total=known[call, phase],
                )
        await asyncio.sleep(period_s)
