"""Takes new settings and models into a server that is running, and takes them back, without losing a request.

New zygotes are loaded and warmed beside the old ones; only when all are ready do they take over, and the old ones end
once the requests that they have are over. Where one does not load, all stays as it was. For a while there are two
zygotes of an engine: that memory must be there.

What can change so is in `RELOADED`: engines' own options, with the files that they name, canaries, most limits. All
else takes a restart; the log says what. An engine's code is not read anew: zygotes would have it, the server not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from structlog.typing import FilteringBoundLogger

from jail.errors import JailError
from server import catalogue
from server.catalogue import EngineEntry
from server.hosts import EngineHost, Label
from server.lineup import Lineup
from server.metrics import Metrics
from server.settings import Settings, SettingsError

RELOADED: Mapping[str, frozenset[str] | None] = {
    "engine": None,
    "canary": None,
    "cells": frozenset({"idle", "per_document", "memory_bytes", "pids", "cpu_s", "cpus", "reply_bytes"}),
    "limits": frozenset({"pixels", "pages", "deadline_s", "deadline_cap_s"}),
}
"""Sections that a reload takes, and their keys; None for all."""


class ReloadError(Exception):
    """Nothing was changed. Says why."""


def _engines(settings: Settings) -> Iterable[EngineEntry]:
    return catalogue.installed(settings)


def _canaries(settings: Settings) -> Iterable[EngineEntry]:
    return catalogue.canaries(settings)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where settings come from, and engines from settings. Asked again at each reload."""

    settings: Callable[[], Settings]
    engines: Callable[[Settings], Iterable[EngineEntry]] = _engines
    canaries: Callable[[Settings], Iterable[EngineEntry]] = _canaries

    @classmethod
    def fixed(cls, settings: Settings, entries: Iterable[EngineEntry] | None) -> Sources:
        """The same at each reload. ``entries`` are the engines where the settings are not to name them."""
        if entries is None:
            return cls(lambda: settings)
        given = tuple(entries)
        return cls(lambda: settings, lambda _: given, lambda _: ())


class Reloader:
    """Reloads one server, one time after the other. ``start`` makes a version that is ready to take requests."""

    def __init__(
        self,
        lineup: Lineup,
        settings: Settings,
        *,
        sources: Sources,
        start: Callable[[Settings, EngineEntry, Label], Awaitable[EngineHost]],
        apply: Callable[[Settings], None],
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._lineup = lineup
        self._settings = settings
        self._before: Settings | None = None
        self._sources = sources
        self._start = start
        self._apply = apply
        self._metrics = metrics
        self._log = log
        self._alone = asyncio.Lock()
        self._asked: set[asyncio.Task[None]] = set()

    def ask(self, change: Callable[[], Awaitable[None]]) -> None:
        """Have `reload` or `roll_back` done, for one who can't wait for it: the log says how it went."""
        task = asyncio.get_running_loop().create_task(_quietly(change))
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    async def close(self) -> None:
        """Leave what was asked for and is not done: all stays as it is."""
        for task in list(self._asked):
            task.cancel()
            await asyncio.wait([task])

    async def reload(self) -> None:
        """Take the settings as they are now. Raises `ReloadError`."""
        async with self._turn():
            try:
                wanted, kept = merged(self._settings, self._sources.settings())
            except SettingsError as error:
                raise ReloadError(str(error)) from error
            await self._change(wanted)
            if kept:
                self._log.warning("takes a restart", settings=kept)

    async def roll_back(self) -> None:
        """Drop the canaries; where there are none, go back to the settings before the last change.

        Raises `ReloadError`. The next reload takes the settings as they are then: mend them.
        """
        async with self._turn():
            if self._lineup.has_canaries:
                await self._change(self._settings.model_copy(update={"canary": {}}), fresh=False)
            elif self._before is not None:
                await self._change(self._before)
            else:
                raise ReloadError("there is nothing to go back to: no canary runs, and nothing was reloaded")

    async def _change(self, settings: Settings, fresh: bool = True) -> None:
        """Have engines by these settings; ``fresh`` says whether those that run are not to be kept."""
        started: list[EngineHost] = []
        try:
            for label, entries in self._entries(settings, fresh):
                for entry in entries:
                    started.append(await self._start(settings, entry, label))
        except BaseException as error:
            for host in started:
                await host.pool.close(grace_s=0)
            if isinstance(error, (JailError, SettingsError)):
                raise ReloadError(str(error)) from error
            raise
        for host in started:
            self._lineup.take(host)
        for host in list(self._lineup):
            if host.label is Label.CANARY and host.entry.name not in settings.canary:
                self._lineup.drop(host)
        self._apply(settings)
        self._before, self._settings = self._settings, settings

    def _entries(self, settings: Settings, fresh: bool) -> list[tuple[Label, tuple[EngineEntry, ...]]]:
        if not fresh:
            return []
        return [
            (Label.STABLE, tuple(self._sources.engines(settings))),
            (Label.CANARY, tuple(self._sources.canaries(settings))),
        ]

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One at a time; and what the block came to is told, for those who are not there to hear."""
        async with self._alone:
            try:
                yield
            except ReloadError as error:
                self._metrics.reload(done=False)
                self._log.error("not reloaded", why=str(error))
                raise
            self._metrics.reload(done=True)
            versions = {host.name: f"{host.entry.version} {host.entry.model_version}".strip() for host in self._lineup}
            self._log.info("reloaded", versions=versions)


async def _quietly(change: Callable[[], Awaitable[None]]) -> None:
    with suppress(ReloadError):
        await change()


def merged(running: Settings, wanted: Settings) -> tuple[Settings, list[str]]:
    """``running`` with all of ``wanted`` that a reload takes, and the names of what else differs."""
    update: dict[str, Any] = {}
    kept: list[str] = []
    for name in Settings.model_fields:
        old, new = getattr(running, name), getattr(wanted, name)
        taken = RELOADED.get(name, frozenset())
        if taken is None:
            update[name] = new
        elif isinstance(old, BaseModel):
            keys = [key for key in type(old).model_fields if getattr(old, key) != getattr(new, key)]
            kept += [f"{name}.{key}" for key in keys if key not in taken]
            update[name] = old.model_copy(update={key: getattr(new, key) for key in keys if key in taken})
        elif old != new:
            kept.append(name)
    # Candidates in the shadow go on as they were started.
    shadows = set(running.shadow.engines) - set(running.engines)
    kept += [f"engine.{name}" for name in sorted(shadows) if running.engine.get(name) != wanted.engine.get(name)]
    return running.model_copy(update=update), kept
