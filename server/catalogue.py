"""What a server knows of an engine without loading it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engines import registry
from engines.registry import UnknownEngineError
from jail.spec import ZygoteSpec
from server.settings import SettingsError

JOB = "engines.job:OcrJob"


@dataclass(frozen=True, slots=True)
class EngineEntry:
    """An engine's names, and what its zygote loads."""

    name: str
    version: str
    model_version: str
    languages: tuple[str, ...]
    zygote: ZygoteSpec


def installed(names: Iterable[str]) -> tuple[EngineEntry, ...]:
    """Entries of the engines called ``names``. Raises `SettingsError` where one is not installed."""
    return tuple(_entry(name) for name in names)


def _entry(name: str) -> EngineEntry:
    try:
        engine = registry.create(name)
    except UnknownEngineError as error:
        raise SettingsError(f"engines: {error}") from error
    return EngineEntry(
        name=name,
        version=engine.version,
        model_version=engine.model_version,
        languages=engine.languages,
        zygote=ZygoteSpec(job=JOB, kwargs={"engine": name}, policy=engine.policy),
    )
