"""What a server is at the moment when Prometheus asks: queues, pools, memory, layers given up, versions at work."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import TimeoutError as LateError
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from jail.layers import Layer
from jail.memory import Processes, held_bytes
from jail.policy import Phase
from server.hosts import EngineHost, Label
from server.lineup import Lineup
from server.shadow import Tally

_LOOP_S = 5.0
_VERSION = ("engine", "label")


@dataclass(frozen=True, slots=True)
class Sight:
    """Where to look. ``serving`` is what health says of the whole server, ``tally`` the shadows' so far."""

    lineup: Lineup
    serving: Callable[[], bool]
    passes: Callable[[EngineHost], bool]
    tally: Callable[[], Tally | None]


class Gauges(Collector):
    """Looks when asked, in the thread that asks: at the server in its event loop ``loop``, at memory beside it."""

    def __init__(self, sight: Sight, loop: asyncio.AbstractEventLoop) -> None:
        self._sight = sight
        self._loop = loop

    def add_to(self, registry: CollectorRegistry) -> None:
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Nothing: whoever registers must not have to wait for the event loop."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Raises TimeoutError where the event loop does not come round: a server in that state is not well."""
        looked = asyncio.run_coroutine_threadsafe(self._look(), self._loop)
        try:
            metrics, processes = looked.result(_LOOP_S)
        except LateError:
            looked.cancel()
            raise TimeoutError(f"the server's event loop did not come round in {_LOOP_S:.0f} s") from None
        yield from metrics
        memory = GaugeMetricFamily(
            "cloister_memory_proportional_bytes",
            "Proportional set size of a pool's processes; not there where the server may not see it.",
            labels=(*_VERSION, "process"),
        )
        for (engine, label), found in processes.items():
            for kind, pids in (("zygote", found.zygote), ("cells", found.cells)):
                held = held_bytes(pids) if pids else 0
                if held is not None:
                    memory.add_metric((engine, label, kind), held)
        yield memory

    async def _look(self) -> tuple[list[Metric], Mapping[tuple[str, str], Processes]]:
        hosts = tuple(self._sight.lineup)
        metrics = [*self._of_server(hosts), *_of_pools(hosts), *self._of_health(hosts)]
        processes: dict[tuple[str, str], Processes] = {}
        for host in self._sight.lineup.all:
            kind = "retiring" if host not in hosts else host.label.value
            processes[host.entry.name, kind] = host.pool.processes
        return metrics, processes

    def _of_server(self, hosts: Iterable[EngineHost]) -> Iterator[Metric]:
        sight = self._sight
        yield GaugeMetricFamily("cloister_serving", "Whether health says SERVING.", value=sight.serving())
        yield GaugeMetricFamily(
            "cloister_process_id", "As the server's own PID namespace counts; for cloister reload.", value=os.getpid()
        )
        versions = GaugeMetricFamily(
            "cloister_engine_info", "1 for each version at work.", labels=(*_VERSION, "version", "model_version")
        )
        for host in hosts:
            entry = host.entry
            versions.add_metric((entry.name, host.label, entry.version, entry.model_version), 1)
        yield versions
        yield GaugeMetricFamily(
            "cloister_versions_retiring",
            "Versions that were replaced and still end requests.",
            value=len(sight.lineup.all) - len(tuple(hosts)),
        )
        length = GaugeMetricFamily("cloister_queue_length", "Requests that wait for a cell.", labels=("engine",))
        inside = GaugeMetricFamily("cloister_requests_inside", "Requests that wait or are read.", labels=("engine",))
        places = GaugeMetricFamily("cloister_requests_limit", "As many may wait or be read.", labels=("engine",))
        for host in hosts:
            if host.label is Label.STABLE:
                name = (host.entry.name,)
                length.add_metric(name, host.admission.waiting)
                inside.add_metric(name, host.admission.inside)
                places.add_metric(name, host.admission.capacity)
        yield from (length, inside, places)
        tally = sight.tally()
        if tally is not None:
            shadows = CounterMetricFamily(
                "cloister_shadows", "What became of readings in the shadow.", labels=("outcome", "why")
            )
            shadows.add_metric(("compared", ""), tally.compared)
            shadows.add_metric(("failed", ""), tally.failed)
            for why, count in tally.dropped.items():
                shadows.add_metric(("dropped", why), count)
            yield shadows

    def _of_health(self, hosts: Iterable[EngineHost]) -> Iterator[Metric]:
        serving = GaugeMetricFamily(
            "cloister_engine_serving", "Whether an engine's pool is healthy and its self-test passes.", labels=_VERSION
        )
        off = GaugeMetricFamily(
            "cloister_jail_layer_off", "1 for a layer of the jail that cells do without.", labels=(*_VERSION, "layer")
        )
        stopped = CounterMetricFamily(
            "cloister_violations",
            "Cells stopped for a system call; idle ones and those that are being made too. The log names the call.",
            labels=(*_VERSION, "phase"),
        )
        for host in hosts:
            version = host.entry.name, host.label.value
            serving.add_metric(version, host.pool.healthy and self._sight.passes(host))
            for layer in Layer:
                off.add_metric((*version, layer.value), layer in host.pool.layers_off)
            counts = self._sight.lineup.violations(host.entry.name, host.label)
            for phase in Phase:
                stopped.add_metric(
                    (*version, phase.value), sum(count for (_, when), count in counts.items() if when is phase)
                )
        yield from (serving, off, stopped)


def _of_pools(hosts: Iterable[EngineHost]) -> Iterator[Metric]:
    cells = GaugeMetricFamily("cloister_cells", "Cells by what they are at.", labels=(*_VERSION, "state"))
    limit = GaugeMetricFamily("cloister_cells_limit", "As many may be busy.", labels=_VERSION)
    for host in hosts:
        version = host.entry.name, host.label.value
        pool = host.pool
        for state, count in (("idle", pool.idle_cells), ("busy", pool.busy_cells), ("starting", pool.starting_cells)):
            cells.add_metric((*version, state), count)
        limit.add_metric(version, pool.busy_limit)
    yield from (cells, limit)
