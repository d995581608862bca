"""The standard health service (`grpc.health.v1`), kept true to the pools of cells."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from structlog.typing import FilteringBoundLogger

from server.hosts import EngineHost

SERVICE_NAME: str = health.SERVICE_NAME

_PERIOD_S = 0.5


JAIL = "cloister.jail"
"""Name under which health says whether every layer of the jail holds, beside the names of the services."""


class Health:
    """NOT_SERVING until `watch` finds every engine able to serve; NOT_SERVING for good after `shut_down`.

    It answers for "" and for each of ``services``; for `JAIL` only while no layer is off either.
    """

    def __init__(self, services: Sequence[str]) -> None:
        self._services = ("", *services)
        # The published stubs know only the blocking servicer.
        self._servicer = health.aio.HealthServicer()  # type: ignore[attr-defined]

    def add_to(self, server: grpc.aio.Server) -> None:
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def set(self, serving: bool, fully_jailed: bool = False) -> None:
        status = health_pb2.HealthCheckResponse
        for name in self._services:
            await self._servicer.set(name, status.SERVING if serving else status.NOT_SERVING)
        await self._servicer.set(JAIL, status.SERVING if serving and fully_jailed else status.NOT_SERVING)

    async def watch(self, hosts: Sequence[EngineHost], log: FilteringBoundLogger) -> None:
        """Follow the pools for ever; log each change."""
        serving: bool | None = None
        while True:
            ill = {host.entry.name: str(host.pool.error or "") for host in hosts if not host.pool.healthy}
            if serving != (not ill):
                serving = not ill
                (log.info if serving else log.error)("health", serving=serving, ill_engines=ill)
                await self.set(serving, fully_jailed=not any(host.pool.layers_off for host in hosts))
            await asyncio.sleep(_PERIOD_S)

    async def shut_down(self) -> None:
        await self._servicer.enter_graceful_shutdown()
