"""Settings: a TOML file, over it the environment, under both defaults that are safe as they are.

A key ``pages`` of the section ``limits`` is ``[limits] pages = 100`` in the file and ``CLOISTER_LIMITS__PAGES=100`` in
the environment. ``deploy/cloister.toml`` shows all of them. A mistake in any is a `SettingsError` that names the key.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from server.addresses import is_local
from server.door.settings import Audit, Authentication, Tls
from server.queue.settings import Queue
from server.quotas import QuotaSettings
from server.sections import (
    Cells,
    Experiments,
    Health,
    Jail,
    Limits,
    Listen,
    Log,
    Metrics,
    Ramp,
    Shadow,
    Tracing,
)

ENVIRONMENT_PREFIX = "CLOISTER_"
_NESTED = "__"


class SettingsError(Exception):
    """Settings the server can't start with. Each of ``problems`` names a key, what is wrong, and what to do."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Settings(BaseSettings):
    """All settings of a server. Made by `load`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter=_NESTED
    )

    engines: Annotated[tuple[str, ...], Field(min_length=1)] = ("scribe",)
    default_engine: str = ""
    engine: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """options of each engine, as it defines them: [engine.NAME]"""
    listen: Listen = Field(default_factory=Listen)
    tls: Tls = Field(default_factory=Tls)
    authentication: Authentication = Field(default_factory=Authentication)
    audit: Audit = Field(default_factory=Audit)
    limits: Limits = Field(default_factory=Limits)
    quotas: QuotaSettings = Field(default_factory=QuotaSettings)
    cells: Cells = Field(default_factory=Cells)
    jail: Jail = Field(default_factory=Jail)
    experiments: Experiments = Field(default_factory=Experiments)
    shadow: Shadow = Field(default_factory=Shadow)
    ramp: Ramp = Field(default_factory=Ramp)
    queue: Queue = Field(default_factory=Queue)
    log: Log = Field(default_factory=Log)
    health: Health = Field(default_factory=Health)
    metrics: Metrics = Field(default_factory=Metrics)
    tracing: Tracing = Field(default_factory=Tracing)
    canary: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """options in which an engine's canary differs from the engine: [canary.NAME]; where there is no table there is no
    canary"""

    @field_validator("engines")
    @classmethod
    def _names_differ(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names):
            raise ValueError("an engine is named twice; name each once")
        return names

    @model_validator(mode="after")
    def _others_show_who_they_are(self) -> Settings:
        if self.authentication.certificates and self.tls.clients_ca is None:
            raise ValueError("authentication.certificates is true but no tls.clients_ca says whose; name that")
        if is_local(self.listen.address):
            return self
        where = f"listen.address {self.listen.address!r} can be reached from other hosts"
        if not self.authentication.on and not self.listen.dangerously_without_credentials:
            raise ValueError(
                f"{where}; set authentication.keys, authentication.jwks or authentication.certificates, or take"
                " 127.0.0.1, [::1], localhost or unix:/path; listen.dangerously_without_credentials lets everybody call"
            )
        if not self.tls.on and not self.listen.dangerously_without_tls:
            raise ValueError(
                f"{where}; set tls.certificate and tls.key; where a proxy or mesh has TLS,"
                " listen.dangerously_without_tls takes calls in the clear"
            )
        return self

    @model_validator(mode="after")
    def _default_is_enabled(self) -> Settings:
        if self.default_engine and self.default_engine not in self.engines:
            raise ValueError(
                f"default_engine {self.default_engine!r} is not one of engines; add it there or mend its name"
            )
        return self

    @model_validator(mode="after")
    def _options_are_of_engines(self) -> Settings:
        strangers = self.engine.keys() - {*self.engines, *self.shadow.engines}
        if strangers:
            raise ValueError(
                f"there are options for {', '.join(sorted(strangers))}, not named in engines; add it there"
            )
        unfounded = self.canary.keys() - set(self.engines)
        if unfounded:
            raise ValueError(
                f"there are canaries of {', '.join(sorted(unfounded))}, not named in engines; mend the name or add it"
            )
        return self

    @model_validator(mode="after")
    def _candidates_need_flags(self) -> Settings:
        if self.shadow.engines and self.experiments.flags is None:
            raise ValueError("shadow.engines are named, but no experiments.flags say when they run; set it")
        return self

    @property
    def default(self) -> str:
        """The engine of requests that name none: the first where the settings name none either."""
        return self.default_engine or self.engines[0]

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings


def load(path: Path | None = None) -> Settings:
    """Read the TOML file at ``path``, if any, and the environment over it. Raises `SettingsError`."""
    unknown = list(_unknown_variables(os.environ))
    if unknown:
        raise SettingsError(*unknown)
    values = {} if path is None else _toml(path)
    try:
        # Their types are for pydantic to find out.
        return Settings(**values)  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError(*(_describe(detail) for detail in error.errors())) from error
    except SourceError as error:
        example = f"{ENVIRONMENT_PREFIX}ENGINES='[\"scribe\"]'"
        raise SettingsError(f"environment: {error}; give lists as JSON, as in {example}") from error


def _toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; name a file that can be read") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not TOML: {error}; mend that line") from error


def _unknown_variables(names: Iterable[str]) -> Iterator[str]:
    """Only names with a section in them: Kubernetes sets CLOISTER_PORT and the like for a service of our name."""
    known = {f"{ENVIRONMENT_PREFIX}{name}".upper() for name in Settings.model_fields}
    for name in names:
        section, nested, _ = name.upper().partition(_NESTED)
        if nested and section.startswith(ENVIRONMENT_PREFIX) and section not in known:
            yield f"{name}: no such section; {_nearest(section, known)}"


def _describe(detail: ErrorDetails) -> str:
    keys = [str(part) for part in detail["loc"]]
    key = ".".join(keys) or "settings"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        return f"{key}: no such setting; {_nearest(keys[-1], _siblings(keys))}"
    if detail["type"] == "value_error":
        return f"{key}: {message}"
    return f"{key}: {message[0].lower()}{message[1:]}, but it is {detail['input']!r} ({_meaning(keys)})"


def _nearest(name: str, known: Iterable[str]) -> str:
    ordered = sorted(known)
    near = difflib.get_close_matches(name, ordered, n=1)
    return f"did you mean {near[0]}?" if near else f"there are: {', '.join(ordered)}"


def _siblings(keys: list[str]) -> Iterable[str]:
    section = _annotation(keys[:-1]) if len(keys) > 1 else Settings
    return section.model_fields if isinstance(section, type) and issubclass(section, BaseModel) else ()


def _meaning(keys: list[str]) -> str:
    section = _annotation(keys[:-1]) if len(keys) > 1 else None
    if isinstance(section, type) and issubclass(section, BaseModel):
        field = section.model_fields.get(keys[-1])
        if field is not None and field.description:
            return " ".join(field.description.split())
    return "deploy/cloister.toml has an example"


def _annotation(keys: list[str]) -> object:
    """What is to be at ``keys``; None where that is not one section in another."""
    section: object = Settings
    for key in keys:
        if not (isinstance(section, type) and issubclass(section, BaseModel) and key in section.model_fields):
            return None
        section = section.model_fields[key].annotation
    return section
