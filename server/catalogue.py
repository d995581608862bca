"""What a server knows of an engine without loading it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from engines import registry
from engines.api import Limits
from engines.errors import EngineError
from jail.errors import SpecError
from jail.spec import Program, ZygoteSpec
from server.settings import Settings, SettingsError

JOB = "engines.job:OcrJob"
THREADS = ("job", "tf_*")
"""TensorFlow's, of no use to a fork (`engines.scribe.session`). It can name them only where /proc shows its own PID
namespace: without that layer."""


@dataclass(frozen=True, slots=True)
class EngineEntry:
    """An engine's names, and what its zygote loads."""

    name: str
    version: str
    model_version: str
    languages: tuple[str, ...]
    limits: Limits
    zygote: ZygoteSpec


def installed(settings: Settings) -> tuple[EngineEntry, ...]:
    """Entries of the engines that ``settings`` name. Raises `SettingsError` where one can't be made."""
    return tuple(_entry(name, settings.engine.get(name, {})) for name in settings.engines)


def candidates(settings: Settings) -> tuple[EngineEntry, ...]:
    """Entries of the engines that run in the shadow. Raises `SettingsError` where one can't be made."""
    return tuple(_entry(name, settings.engine.get(name, {})) for name in settings.shadow.engines)


def canaries(settings: Settings) -> tuple[EngineEntry, ...]:
    """Entries of the canaries: engines under other options. Raises `SettingsError` where one can't be made."""
    return tuple(
        _entry(name, {**settings.engine.get(name, {}), **options}) for name, options in settings.canary.items()
    )


def _entry(name: str, options: Mapping[str, Any]) -> EngineEntry:
    try:
        engine = registry.create(name, options)
    except EngineError as error:
        raise SettingsError(f"engines: {error}") from error
    try:
        zygote = ZygoteSpec(
            job=JOB,
            kwargs={"engine": name, "options": dict(options)},
            policy=engine.policy,
            threads=THREADS,
            program=None if engine.program is None else Program(**asdict(engine.program)),
        )
    except SpecError as error:
        raise SettingsError(f"engine.{name}: {error}") from error
    return EngineEntry(
        name=name,
        version=engine.version,
        model_version=engine.model_version,
        languages=engine.languages,
        limits=engine.limits,
        zygote=zygote,
    )
