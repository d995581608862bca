"""The sections of the settings, each a table of their file; those of the door, the queue and quotas are theirs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from jail.layers import Layer
from server import sizing
from server.addresses import is_local

_MIB = 1024 * 1024


class Section(BaseModel):
    """A table of the settings' file. The docstring of a field is what its user is told when a value is wrong."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class LogFormat(StrEnum):
    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class Listen(Section):
    address: str = "127.0.0.1:50051"
    """host:port, or unix:/path; a host that others can reach takes credentials and TLS; port 0 takes a free one"""
    dangerously_without_credentials: bool = False
    """true lets whoever can reach the address from other hosts call, as whomever they say they are"""
    dangerously_without_tls: bool = False
    """true takes calls from other hosts in the clear, documents and credentials: for where a proxy or mesh has TLS"""


class Limits(Section):
    document_bytes: Annotated[int, Field(gt=0, le=1024 * _MIB)] = 32 * _MIB
    """bytes of one document; 1 to 1 GiB"""
    pixels: Annotated[int, Field(gt=0)] = 50_000_000
    """pixels of one page, refused from its header before it is decoded"""
    pages: Annotated[int, Field(gt=0)] = 100
    """pages of one document"""
    queue: Annotated[int, Field(ge=0)] = 8
    """requests of one engine that may wait for a cell; further ones are refused with QUEUE_FULL. Each waiting one holds
    its document in memory, and makes those after it wait longer"""
    refusals_per_s: Annotated[float, Field(ge=0)] = 10.0
    """refusals a second that callers of one host get at once; further ones are held back for up to a second, so that
    callers who come again at once take less of the CPU; 0 to hold none back"""
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


class Cells(Section):
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


class Jail(Section):
    cgroup_parent: str | None = None
    """the cgroup below which cells get theirs; by default the server's own"""
    dangerously_without: frozenset[Layer] = frozenset()
    """layers to go without, by name (cloister doctor lists them); shows in health, logs and every reply"""


class Experiments(Section):
    flags: Path | None = None
    """file of flags in flagd's format that choose the engine; none: the default engine reads"""
    overriders: tuple[str, ...] = ("*",)
    """tenants whose requests may name their engine themselves, against the flags; "*" is all"""


class Shadow(Section):
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


class Ramp(Section):
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


class Metrics(Section):
    address: str = ""
    """host:port where Prometheus finds /metrics, with a loopback host; "" for nowhere. Port 0 takes a free one"""
    beyond_loopback: bool = False
    """true lets hosts on the network read them; they hold figures and names of engines, nothing of any document"""

    @model_validator(mode="after")
    def _stays_on_this_host(self) -> Metrics:
        host, _, port = self.address.rpartition(":")
        if self.address and not (host and port.isdigit()):
            raise ValueError(f"address {self.address!r} is not host:port; take 127.0.0.1:9464, or nothing")
        if self.address and not is_local(self.address) and not self.beyond_loopback:
            raise ValueError(
                f"address {self.address!r} can be reached from other hosts; take 127.0.0.1 or [::1], or set"
                " beyond_loopback = true beside it if they may read it"
            )
        return self


class Tracing(Section):
    endpoint: str = ""
    """where spans go by OTLP over gRPC, as http://localhost:4317; "" for nowhere. Wants cloister[tracing]"""
    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """share of requests that are traced where their caller has not decided it"""


class Health(Section):
    self_test_s: Annotated[float, Field(ge=0)] = 60.0
    """seconds between an engine's self-tests, each a small page read in a cell that nobody waits for; 0 for none"""


class Log(Section):
    format: LogFormat = LogFormat.AUTO
    """json, console, or auto: console on a terminal"""
