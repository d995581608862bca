"""Which engine reads a request, and which one reads it again in the shadow: flags in a file, by OpenFeature's API.

The file is in flagd's format (https://flagd.dev/reference/flag-definitions/) and evaluated in this process. It is read
again when it changes; one that is broken, or names an engine that is not there, is reported and the last good one kept.
Three flags are looked for, all optional:

engine    string: the engine of requests that name none; NAME@canary for its canary, while there is one
shadow    string: the candidate that reads the document once it has been answered; "" for none
enabled   boolean: false ends all experiments at once: every request gets the default engine, no candidate runs

Rules may go by ``requestId``, by ``tenant``, as the caller's credential says where one is wanted, and by what callers
state: ``documentKind``, ``client`` and ``pages``. To count pages is to parse the document, which is for the cell of an
engine that is yet to be chosen. ``fractional`` sticks to the request's key. Bucketing is flagd's murmur3 of flag and
key: alike on every server.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openfeature import api
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode, OpenFeatureError
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, Metadata
from structlog.typing import FilteringBoundLogger

from cloister.v1 import ocr_pb2
from server.errors import OptionsError
from server.errors import Reason as Reasons
from server.hosts import Label
from server.settings import SettingsError

ENGINE, SHADOW, ENABLED = "engine", "shadow", "enabled"
OVERRIDE = "OVERRIDE"
ANYONE = "*"
_CHECK_PERIOD_S = 0.5
_VERSION_CHARS = 12


@dataclass(frozen=True, slots=True)
class Assignment:
    """The engine chosen for a request, why (OpenFeature's reason, or OVERRIDE), and the shadow's candidate or ""."""

    engine: str
    variant: str
    reason: str
    flags_version: str
    candidate: str = ""

    def message(self) -> ocr_pb2.Assignment:
        return ocr_pb2.Assignment(variant=self.variant, reason=self.reason, flags_version=self.flags_version)


class FlagsError(Exception):
    """A file of flags that can't be used. Says why."""


@dataclass(frozen=True, slots=True)
class _Flags:
    """One good version of the file."""

    core: FlagdCore
    version: str


class _Provider(AbstractProvider):
    """OpenFeature's view of the flags that ``current`` returns at this moment."""

    def __init__(self, current: Callable[[], FlagdCore]) -> None:
        super().__init__()
        self._current = current

    def get_metadata(self) -> Metadata:
        return Metadata(name="flags in a file")

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        return self._current().resolve_boolean_value(flag_key, default_value, evaluation_context)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        return self._current().resolve_string_value(flag_key, default_value, evaluation_context)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        return self._current().resolve_integer_value(flag_key, default_value, evaluation_context)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        return self._current().resolve_float_value(flag_key, default_value, evaluation_context)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        return self._current().resolve_object_value(flag_key, default_value, evaluation_context)


class Experiments:
    """Assigns engines by the flags in ``path``. Raises `SettingsError` where that file can't be used from the start.

    ``default`` reads where no flag decides; ``engines`` and ``candidates`` are what flags may name. ``overriders`` are
    the tenants whose requests may name their engine themselves, ``*`` all.
    """

    def __init__(
        self,
        path: Path,
        *,
        default: str,
        engines: Collection[str],
        candidates: Collection[str],
        overriders: Collection[str] = (ANYONE,),
        log: FilteringBoundLogger,
    ) -> None:
        self._path = path
        self._default = default
        labelled = {f"{name}@{label}" for name in engines for label in Label}
        self._allowed = {ENGINE: labelled | set(engines), SHADOW: frozenset(candidates) | {""}}
        self._overriders = frozenset(overriders)
        self._log = log
        self._seen: tuple[int, int, int] | None = None
        self._next_check_s = 0.0
        self._complaint = ""
        try:
            self._seen = self._stamp()
            self._flags = self._read()
        except FlagsError as error:
            raise SettingsError(f"experiments.flags: {path}: {error}") from error
        # A domain of its own: OpenFeature's providers are global to the process.
        domain = f"cloister-{uuid.uuid4().hex}"
        api.set_provider(_Provider(lambda: self._flags.core), domain)
        self._client = api.get_client(domain)

    @property
    def version(self) -> str:
        """Of the flags in force."""
        self._refresh()
        return self._flags.version

    @property
    def enabled(self) -> bool:
        """Whether experiments run at all."""
        self._refresh()
        return self._enabled(EvaluationContext())

    def assign(self, named: str, asked: ocr_pb2.RequestContext, request_id: str) -> Assignment:
        """The assignment of a request that itself names the engine ``named``, or none.

        Raises `OptionsError` where it names one and may not.
        """
        self._refresh()
        version = self._flags.version
        context = EvaluationContext(
            targeting_key=asked.key or asked.tenant or request_id,
            attributes={
                "tenant": asked.tenant,
                "documentKind": asked.document_kind,
                "client": asked.client,
                "requestId": request_id,
                "pages": asked.pages,
            },
        )
        overridden = bool(named)
        if overridden and not {ANYONE, asked.tenant} & self._overriders:
            raise OptionsError(
                Reasons.INVALID_OPTIONS, "this tenant may not name its engine: flags choose it; leave it out"
            )
        if not self._enabled(context):
            return Assignment(named if overridden else self._default, "", str(Reason.DISABLED), version)
        if overridden:
            return Assignment(named, "", OVERRIDE, version, self._candidate(context, named))
        details = self._client.get_string_details(ENGINE, self._default, context)
        engine = details.value
        # A flag that is not there decides nothing, and is no error.
        missing = details.error_code is ErrorCode.FLAG_NOT_FOUND
        reason = str(Reason.DEFAULT if missing else details.reason)
        if engine not in self._allowed[ENGINE]:
            engine, reason = self._default, str(Reason.ERROR)
        return Assignment(engine, details.variant or "", reason, version, self._candidate(context, engine))

    def _candidate(self, context: EvaluationContext, control: str) -> str:
        candidate = self._client.get_string_value(SHADOW, "", context)
        return candidate if candidate in self._allowed[SHADOW] and candidate != control else ""

    def _enabled(self, context: EvaluationContext) -> bool:
        details = self._client.get_boolean_details(ENABLED, True, context)
        # A kill switch that is itself disabled, as by flagd's state, is a switch thrown.
        return details.value and details.reason != Reason.DISABLED

    def _refresh(self) -> None:
        """Read the file again where it has changed, looking at most twice a second."""
        now_s = time.monotonic()
        if now_s < self._next_check_s:
            return
        self._next_check_s = now_s + _CHECK_PERIOD_S
        try:
            stamp = self._stamp()
            if stamp == self._seen:
                return
            self._seen = stamp
            self._flags = self._read()
        except FlagsError as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                self._log.error("flags refused", why=self._complaint, kept=self._flags.version)
        else:
            self._complaint = ""
            self._log.info("flags", version=self._flags.version)

    def _stamp(self) -> tuple[int, int, int]:
        try:
            status = self._path.stat()
        except OSError as error:
            raise FlagsError(f"{error.strerror}") from error
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _read(self) -> _Flags:
        try:
            raw = self._path.read_bytes()
            parsed: dict[str, Any] = json.loads(raw)
            core = FlagdCore()
            core.set_flags(parsed)
            stated = core.get_flag_set_metadata().get("version")
        except OSError as error:
            raise FlagsError(f"{error.strerror}") from error
        except (ValueError, TypeError, AttributeError, OpenFeatureError) as error:
            raise FlagsError(f"not flags in flagd's format: {error}") from error
        flags = parsed.get("flags", {})
        for key, allowed in self._allowed.items():
            strangers = set(map(str, flags.get(key, {}).get("variants", {}).values())) - allowed
            if strangers:
                raise FlagsError(f"{key}: no engine {', '.join(sorted(strangers))} to choose; add it to the settings")
        self._try(core, flags)
        return _Flags(core, str(stated or hashlib.sha256(raw).hexdigest()[:_VERSION_CHARS]))

    @staticmethod
    def _try(core: FlagdCore, flags: Mapping[str, object]) -> None:
        """Evaluate each flag once: mistakes in rules show only then."""
        context = EvaluationContext("trial", {})
        trials: Mapping[str, Callable[[], object]] = {
            ENGINE: lambda: core.resolve_string_value(ENGINE, "", context),
            SHADOW: lambda: core.resolve_string_value(SHADOW, "", context),
            ENABLED: lambda: core.resolve_boolean_value(ENABLED, True, context),
        }
        for key, trial in trials.items():
            if key in flags:
                try:
                    trial()
                except Exception as error:  # whatever the rule's evaluation raises, the rule is what is wrong
                    raise FlagsError(f"{key}: {error or type(error).__name__}") from error
