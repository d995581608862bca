"""Settings: a TOML file, over it the environment, under both defaults that are safe as they are.

A key ``pages`` of the section ``limits`` is ``[limits] pages = 100`` in the file and ``CLOISTER_LIMITS__PAGES=100`` in
the environment. ``deploy/cloister.toml`` shows all of them. A mistake in any is a `SettingsError` that names the key.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from jail.layers import Layer
from server import sizing
from server.addresses import is_local
from server.door.settings import Audit, Authentication, Tls
from server.queue.settings import Queue
from server.quotas import QuotaSettings
from server.section import Section as _Section

ENVIRONMENT_PREFIX = "CLOISTER_"
_NESTED = "__"
_MIB = 1024 * 1024


class SettingsError(Exception):
    """Settings the server can't start with. Each of ``problems`` names a key, what is wrong, and what to do."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class LogFormat(StrEnum):
    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class Listen(_Section):
    address: str = "127.0.0.1:50051"
    """host:port, or unix:/path; a host that others can reach takes credentials and TLS; port 0 takes a free one"""
    dangerously_without_credentials: bool = False
    """true lets whoever can reach the address from other hosts call, as whomever they say they are"""
    dangerously_without_tls: bool = False
    """true takes calls from other hosts in the clear, documents and credentials: for where a proxy or mesh has TLS"""


class Limits(_Section):
    document_bytes: Annotated[int, Field(gt=0, le=1024 * _MIB)] = 32 * _MIB
    """bytes of one document; 1 to 1 GiB"""
    pixels: Annotated[int, Field(gt=0)] = 50_000_000
    """pixels of one page, refused from its header before it is decoded"""
    pages: Annotated[int, Field(gt=0)] = 100
    """pages of one document"""
    queue: Annotated[int, Field(ge=0)] = 8
    """requests of one engine that may wait for a cell; further ones are refused with QUEUE_FULL. Each waiting one holds
    its document in memory, and makes those after it wait longer"""
    deadline_s: Annotated[float, Field(gt=0)] = 60.0
    """seconds a request may take when its caller sets no deadline"""
    deadline_cap_s: Annotated[float, Field(gt=0)] = 300.0
    """seconds a request may take whatever its caller asks for"""
    drain_s: Annotated[float, Field(ge=0)] = 30.0
    """seconds that requests in flight have to end after SIGTERM"""

    @model_validator(mode="after")
    def _cap_holds_the_default(self) -> Limits:
        if self.deadline_s > self.deadline_cap_s:
            raise ValueError("deadline_s is above deadline_cap_s; lower the first or raise the second")
        return self


def _sized(given: dict[str, Any]) -> int:
    """Cells that this host can hold; of any size where the one given is not valid, which is told elsewhere."""
    return sizing.cells(given.get("memory_bytes", 1024 * _MIB))


class Cells(_Section):
    memory_bytes: Annotated[int, Field(ge=64 * _MIB)] = 1024 * _MIB
    """memory one cell may take before it is killed, 64 MiB or more; an engine that needs more gets what it needs"""
    busy: Annotated[int, Field(gt=0)] = Field(default_factory=_sized)
    """cells of one engine that work at the same time; by default one for each CPU, as far as memory goes"""
    idle: Annotated[int, Field(gt=0)] = Field(default_factory=_sized)
    """cells of one engine kept ready; by default as many as may be busy by default"""
    per_document: Annotated[int, Field(gt=0)] = Field(default_factory=_sized)
    """cells of one engine that may read the pages of one document at the same time, where they are free; by default as
    many as may be busy by default"""
    pids: Annotated[int, Field(gt=0)] = 1
    """processes and threads one cell may have"""
    cpu_s: Annotated[int, Field(gt=0)] = 300
    """CPU seconds one cell may use, its set-up and rehearsal counted"""
    cpus: Annotated[float, Field(gt=0)] = 1.0
    """CPUs one cell may use at a time"""
    reply_bytes: Annotated[int, Field(gt=0)] = 64 * _MIB
    """bytes of everything one cell may answer"""


class Jail(_Section):
    cgroup_parent: str | None = None
    """the cgroup below which cells get theirs; by default the server's own"""
    dangerously_without: frozenset[Layer] = frozenset()
    """layers to go without, by name (cloister doctor lists them); shows in health, logs and every reply"""


class Experiments(_Section):
    flags: Path | None = None
    """file of flags in flagd's format that choose the engine; none: the default engine reads"""
    overriders: tuple[str, ...] = ("*",)
    """tenants whose requests may name their engine themselves, against the flags; "*" is all"""


class Shadow(_Section):
    engines: tuple[str, ...] = ()
    """candidates: engines that read documents again once they have been answered, as the flag "shadow" says"""
    queue: Annotated[int, Field(gt=0)] = 4
    """answered requests that may wait for a candidate, each with its document in memory; further ones are dropped"""
    cells: Annotated[int, Field(gt=0)] = 1
    """candidates that work at the same time, each in a cell of its own beside those of the engines"""
    deadline_s: Annotated[float, Field(gt=0)] = 60.0
    """seconds a candidate may take for a document"""
    ignore_case: bool = False
    """whether words that differ in case alone count as the same"""
    ignore_punctuation: bool = False
    """whether words that differ in punctuation alone count as the same"""
    ignore_white_space: bool = False
    """whether a word counts as the same as its pieces"""
    database: str = "sqlite:///cloister-shadow.db"
    """where comparisons are recorded, without text: sqlite:///FILE, or postgresql://HOST/NAME for several servers; ""
    for nowhere but the log"""
    keep_keys: Path | None = None
    """file of keys that seal documents of callers who consent to have them kept; without it none is kept"""
    keep_days: Annotated[float, Field(gt=0)] = 30.0
    """days after which a kept document is deleted"""


class Ramp(_Section):
    documents: Annotated[int, Field(gt=0)] = 200
    """documents that must have been compared before anything is recommended"""
    agreement: Annotated[float, Field(gt=0, le=1)] = 0.95
    """share of words that a candidate must read like the control, where the truth is not known"""
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """how much smaller a candidate's F1 against the truth may be than the control's"""
    failures: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """the error budget: share of documents a candidate may fail on that the control read"""
    slowdown: Annotated[float, Field(gt=0)] = 2.0
    """how many times the control's CPU time a candidate may take, at the median"""


class Metrics(_Section):
    address: str = ""
    """host:port where Prometheus finds /metrics, with a loopback host; "" for nowhere. Port 0 takes a free one"""
    beyond_loopback: bool = False
    """true lets hosts on the network read them; they hold figures and names of engines, nothing of any document"""

    @model_validator(mode="after")
    def _stays_on_this_host(self) -> Metrics:
        host, _, port = self.address.rpartition(":")
        if self.address and not (host and port.isdigit()):
            raise ValueError(f"metrics.address {self.address!r} is not host:port; take 127.0.0.1:9464, or nothing")
        if self.address and not is_local(self.address) and not self.beyond_loopback:
            raise ValueError(
                f"{self.address!r} can be reached from other hosts; take 127.0.0.1 or [::1], or set"
                " metrics.beyond_loopback = true if they may read it"
            )
        return self


class Tracing(_Section):
    endpoint: str = ""
    """where spans go by OTLP over gRPC, as http://localhost:4317; "" for nowhere. Wants cloister[tracing]"""
    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """share of requests that are traced where their caller has not decided it"""


class Health(_Section):
    self_test_s: Annotated[float, Field(ge=0)] = 60.0
    """seconds between an engine's self-tests, each a small page read in a cell that nobody waits for; 0 for none"""


class Log(_Section):
    format: LogFormat = LogFormat.AUTO
    """json, console, or auto: console on a terminal"""


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
    section = Settings.model_fields[keys[0]].annotation if len(keys) > 1 else Settings
    return section.model_fields if isinstance(section, type) and issubclass(section, BaseModel) else ()


def _meaning(keys: list[str]) -> str:
    section = Settings.model_fields[keys[0]].annotation
    if len(keys) > 1 and isinstance(section, type) and issubclass(section, BaseModel):
        field = section.model_fields.get(keys[1])
        if field is not None and field.description:
            return " ".join(field.description.split())
    return "deploy/cloister.toml has an example"
