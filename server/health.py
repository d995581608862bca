"""The standard health service (`grpc.health.v1`), kept true to the pools of cells and the self-tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from structlog.typing import FilteringBoundLogger

from server.hosts import EngineHost, Label

SERVICE_NAME: str = health.SERVICE_NAME

_PERIOD_S = 0.5


JAIL = "cloister.jail"
"""Name under which health says whether every layer of the jail holds, beside the names of the services."""
ENGINE = "cloister.engine."
"""Begins the names under which it says which engines can serve: cloister.engine.scribe, ...scribe@canary."""


class Health:
    """NOT_SERVING until `watch` finds every engine able to serve; NOT_SERVING for good after `shut_down`.

    It answers for "" and for each of ``services``; for `JAIL` only while no layer is off either; for each of
    ``engines`` by itself. A canary that is ill does not make the server ill: the stable version takes its requests.
    """

    def __init__(self, services: Iterable[str], engines: Iterable[str] = ()) -> None:
        self._services = ("", *services)
        self._engines = tuple(engines)
        self._told: dict[str, bool] = {}
        # The published stubs know only the blocking servicer.
        self._servicer = health.aio.HealthServicer()  # type: ignore[attr-defined]

    @property
    def serving(self) -> bool:
        """What it says of the whole server."""
        return self._told.get("", False)

    def add_to(self, server: grpc.aio.Server) -> None:
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def start(self) -> None:
        """Answer, NOT_SERVING as yet, for all that is going to be there."""
        await self._tell(dict.fromkeys([*self._services, JAIL, *(ENGINE + name for name in self._engines)], False))

    async def watch(
        self, hosts: Iterable[EngineHost], log: FilteringBoundLogger, fault: Callable[[EngineHost], str] = lambda _: ""
    ) -> None:
        """Follow the pools for ever; log each change. ``fault`` is what else is wrong with one; "" for nothing."""
        known: dict[str, str] | None = None
        while True:
            now = {host.name: self._illness(host, fault) for host in hosts}
            ill = {name: why for name, why in now.items() if why}
            serving = not any(self._illness(host, fault) for host in hosts if host.label is Label.STABLE)
            whole = serving and not any(host.pool.layers_off for host in hosts)
            told = dict.fromkeys(self._services, serving) | {JAIL: whole}
            told |= {ENGINE + name: not why for name, why in now.items()}
            # A canary that was dropped is not there to serve.
            told |= {name: False for name in self._told if name.startswith(ENGINE) and name not in told}
            await self._tell(told)
            if known is None or known.keys() != ill.keys():
                (log.error if ill else log.info)("health", serving=serving, ill_engines=ill)
                known = ill
            await asyncio.sleep(_PERIOD_S)

    async def shut_down(self) -> None:
        self._told[""] = False
        await self._servicer.enter_graceful_shutdown()

    @staticmethod
    def _illness(host: EngineHost, fault: Callable[[EngineHost], str]) -> str:
        return fault(host) if host.pool.healthy else str(host.pool.error or "its pool is closed")

    async def _tell(self, told: dict[str, bool]) -> None:
        """Only what has changed: each wakes those who watch."""
        for name, serving in told.items():
            if self._told.get(name) is not serving:
                status = health_pb2.HealthCheckResponse
                await self._servicer.set(name, status.SERVING if serving else status.NOT_SERVING)
        self._told |= told
