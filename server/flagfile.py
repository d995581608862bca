"""Changes a candidate's share in a file of flags, and nothing else of it: every other character stays as it is.

The flag ``engine`` gives the share by flagd's ``fractional``, two variants with weights; anywhere in its targeting, so
that a rule may limit it to some requests. Where it has no targeting yet, one is written.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import OpenFeatureError

STEPS = (1, 5, 25, 50, 100)
_ENGINE = "engine"
_STATE = "; "
_SPACE = re.compile(r"\s*")

Path_: TypeAlias = "tuple[str | int, ...]"
Spans: TypeAlias = "Mapping[Path_, tuple[int, int]]"


class FlagFileError(Exception):
    """A file of flags that can't be changed in this way. Says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Share:
    """A candidate's share of a control's requests, in percent."""

    control: str
    candidate: str
    percent: float

    @property
    def next_step(self) -> int | None:
        """The next of `STEPS`; None where all is the candidate's already."""
        return next((step for step in STEPS if step > self.percent), None)


class FlagFile:
    """The file at ``path``, as it was when it was read. Raises `FlagFileError` where it is not of flagd's format."""

    def __init__(self, path: Path) -> None:
        # The file itself, where a link leads to it: a link that was replaced would no longer follow.
        self._path = path.resolve()
        try:
            self._text = self._path.read_bytes().decode()
            self._flags: dict[str, Any] = json.loads(self._text)
            flag = self._flags["flags"][_ENGINE]
            self._variants: dict[str, str] = dict(flag["variants"])
            self._default: str = flag["defaultVariant"]
        except OSError as error:
            raise FlagFileError(f"{path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise FlagFileError(f'{path}: no flag "{_ENGINE}" in flagd\'s format: {error}') from error
        self._targeting = flag.get("targeting") or {}

    def share(self, candidate: str) -> Share:
        """Who answers what share of requests now. Raises `FlagFileError` where that is not plain to see."""
        control = str(self._variants[self._default])
        if candidate == control:
            raise FlagFileError(f"{candidate} is what the flag gives by default; name another as the candidate")
        variant = self._variant(candidate)
        found = self._fractional(variant)
        if found is None:
            return Share(control, candidate, 0.0)
        _, buckets = found
        weights = {name: weight for name, weight, _ in buckets}
        (other,) = (name for name in weights if name != variant)
        return Share(str(self._variants[other]), candidate, 100 * weights[variant] / (sum(weights.values()) or 1))

    def write(self, candidate: str, percent: int) -> None:
        """Give ``candidate`` that share, at once: readers see the old file or the new one, whole.

        Raises `FlagFileError` where the file changed since it was read, or the new one would not do.
        """
        changed = self.changed(candidate, percent)
        _evaluated(changed)
        try:
            before = self._path.stat()
            if self._path.read_bytes().decode() != self._text:
                raise FlagFileError(f"{self._path} has changed since it was read; look at it and try again")
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(changed.encode())
                    os.fchmod(file.fileno(), before.st_mode & 0o7777)
                    with suppress(PermissionError):
                        os.fchown(file.fileno(), before.st_uid, before.st_gid)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(name, self._path)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(name)
                raise
        except OSError as error:
            raise FlagFileError(f"{self._path}: {error.strerror}") from error

    def changed(self, candidate: str, percent: int) -> str:
        """The file's text with that share, and with its version, where it states one, saying so."""
        variant = self._variant(candidate)
        spans = dict(_spans(self._text))
        edits: list[tuple[tuple[int, int], str]] = []
        found = self._fractional(variant)
        if found is None:
            edits.append(self._new_targeting(variant, percent, spans))
        else:
            where, buckets = found
            for name, _, index in buckets:
                span = spans[("flags", _ENGINE, "targeting", *where, index)]
                weight = percent if name == variant else 100 - percent
                edits.append((span, json.dumps([name, weight])))
        stated = ("metadata", "version")
        if stated in spans:
            base = str(self._flags["metadata"]["version"]).partition(_STATE)[0]
            edits.append((spans[stated], json.dumps(f"{base}{_STATE}{candidate} {percent} %", ensure_ascii=False)))
        text = self._text
        for (start, end), new in sorted(edits, reverse=True):
            text = text[:start] + new + text[end:]
        return text

    def _variant(self, candidate: str) -> str:
        names = [name for name, engine in self._variants.items() if engine == candidate]
        if len(names) != 1:
            raise FlagFileError(
                f'{self._path}: the flag "{_ENGINE}" has {len(names)} variants for {candidate}; let it have one'
            )
        return names[0]

    def _fractional(self, variant: str) -> tuple[Path_, list[tuple[str, float, int]]] | None:
        """Where ``variant`` gets its share: path below targeting, and (variant, weight, index) of the two buckets."""
        if not self._targeting:
            return None
        found = [
            (path, buckets)
            for path, node in _nodes(self._targeting)
            if path and path[-1] == "fractional" and (buckets := _buckets(node)) and variant in {b[0] for b in buckets}
        ]
        if len(found) != 1 or len(found[0][1]) != 2:
            raise FlagFileError(
                f'{self._path}: the targeting of "{_ENGINE}" is not one fractional of two variants, one of them '
                f"{variant}: change its weights by hand"
            )
        return found[0]

    def _new_targeting(self, variant: str, percent: int, spans: Spans) -> tuple[tuple[int, int], str]:
        targeting = json.dumps({"fractional": [[variant, percent], [self._default, 100 - percent]]})
        present = spans.get(("flags", _ENGINE, "targeting"))
        if present is not None:
            return present, targeting
        _, end = spans[("flags", _ENGINE, "defaultVariant")]
        start = spans[("flags", _ENGINE, "defaultVariant")][0]
        line = self._text[self._text.rfind("\n", 0, start) + 1 : start]
        indent = line[: len(line) - len(line.lstrip())]
        between = f"\n{indent}" if "\n" in self._text and indent else " "
        return (end, end), f',{between}"targeting": {targeting}'


def _evaluated(text: str) -> None:
    """Raises `FlagFileError` where flagd's evaluation refuses the flags."""
    core = FlagdCore()
    try:
        core.set_flags(json.loads(text))
        core.resolve_string_value(_ENGINE, "", EvaluationContext("trial", {}))
    except (ValueError, TypeError, AttributeError, OpenFeatureError) as error:
        raise FlagFileError(f"the changed flags would be refused: {error}") from error


def _buckets(node: Any) -> list[tuple[str, float, int]]:
    """(variant, weight, index) of the buckets of a fractional; [] where it is written otherwise."""
    if not isinstance(node, list):
        return []
    # A first entry that is no bucket is what requests are told apart by.
    first = 1 if node and isinstance(node[0], dict) else 0
    buckets = node[first:]
    if not all(isinstance(b, list) and len(b) == 2 and isinstance(b[0], str) for b in buckets):
        return []
    if not all(isinstance(b[1], int | float) for b in buckets):
        return []
    return [(name, weight, first + i) for i, (name, weight) in enumerate(buckets)]


def _nodes(node: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    yield path, node
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _nodes(value, (*path, key))


def _spans(text: str) -> Iterator[tuple[Path_, tuple[int, int]]]:
    """Where each value of a JSON text that is known to be right stands: its path, start and end."""
    found: list[tuple[Path_, tuple[int, int]]] = []
    decoder = json.JSONDecoder()

    def value(start: int, path: Path_) -> int:
        if text[start] in "{[":
            end = members(start, path)
        else:
            _, end = decoder.raw_decode(text, start)
        found.append((path, (start, end)))
        return end

    def members(start: int, path: Path_) -> int:
        at, number = skip(start + 1), 0
        while text[at] not in "}]":
            key: str | int = number
            if text[start] == "{":
                key, at = decoder.raw_decode(text, at)
                at = skip(skip(at) + 1)
            at = skip(value(at, (*path, key)))
            if text[at] == ",":
                at = skip(at + 1)
            number += 1
        return at + 1

    def skip(at: int) -> int:
        matched = _SPACE.match(text, at)
        return at if matched is None else matched.end()

    value(skip(0), ())
    return iter(found)
