"""A real server with a real pool of jailed cells, running `tests.server.jobs.TinyJob` instead of an engine."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest_asyncio

from engines.api import Limits
from jail.spec import ZygoteSpec
from server import telemetry
from server.app import RunningServer, running
from server.catalogue import EngineEntry
from server.sections import LogFormat
from server.settings import Settings

MIB = 1024 * 1024


def tiny(name: str = "tiny", **kwargs: float | bool | str) -> EngineEntry:
    return EngineEntry(
        name=name,
        version="1.0",
        model_version="tiny-1",
        languages=("en",),
        limits=Limits(memory_bytes=1 * MIB),
        zygote=ZygoteSpec(job="tests.server.jobs:TinyJob", kwargs=kwargs, policy="base"),
    )


def tiny_settings(**sections: dict[str, object]) -> Settings:
    """Small limits, one busy cell unless said otherwise, on a free loopback port."""
    base: dict[str, dict[str, object]] = {
        "listen": {"address": "127.0.0.1:0"},
        "limits": {"document_bytes": 1 * MIB, "pixels": 1_000_000, "pages": 10, "queue": 4, "drain_s": 5.0},
        "cells": {"busy": 1, "idle": 1, "memory_bytes": 128 * MIB, "cpu_s": 5},
    }
    merged = {name: {**base.get(name, {}), **sections.get(name, {})} for name in base.keys() | sections.keys()}
    return Settings.model_validate({"engines": ("tiny",), **merged})


@dataclass
class Tiny:
    """A running server and what it logged."""

    server: RunningServer
    stream: io.StringIO = field(default_factory=io.StringIO)

    @property
    def address(self) -> str:
        return self.server.address

    @property
    def log(self) -> str:
        return self.stream.getvalue()

    @property
    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.splitlines()]

    @property
    def requests(self) -> list[dict[str, object]]:
        return [line for line in self.lines if line["event"] == "request"]


@asynccontextmanager
async def tiny_server(settings: Settings | None = None, *entries: EngineEntry) -> AsyncIterator[Tiny]:
    stream = io.StringIO()
    log = telemetry.logger(LogFormat.JSON, stream)
    async with running(settings or tiny_settings(), entries or (tiny(),), log) as server:
        yield Tiny(server, stream)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[Tiny]:
    """One server for all tests of a module that leave it as they found it."""
    async with tiny_server() as server:
        yield server
