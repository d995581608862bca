"""API keys: ``cloister_ID_SECRET``, kept in a file as hashes, a line of JSON each.

A secret is 32 random bytes, so that one round of SHA-256 hides it: there is nothing to guess that a slow hash would
slow down. The id is no secret; it finds the line, and names the key in the audit log.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

PREFIX = "cloister_"
_FORM = re.compile(r"cloister_([0-9a-f]{8})_([\w-]{43})", re.ASCII)


class KeyFileError(ValueError):
    """A file of keys that can't be used. Says which line, and what to do."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key. ``made`` and ``expires`` are in UTC."""

    id: str
    tenant: str
    sha256: str
    made: datetime
    expires: datetime | None = None
    note: str = ""

    @property
    def expired(self) -> bool:
        return self.expires is not None and datetime.now(UTC) >= self.expires

    def line(self) -> str:
        fields = asdict(self) | {"made": self.made.isoformat(), "expires": self.expires and self.expires.isoformat()}
        return json.dumps(fields, ensure_ascii=False)

    @classmethod
    def of_line(cls, line: str) -> ApiKey:
        """Raises ValueError."""
        try:
            fields = json.loads(line)
            made, expires = fields.pop("made"), fields.pop("expires", None)
            key = cls(**fields, made=_moment(made), expires=None if expires is None else _moment(expires))
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not the line of a key: {error}") from error
        if not all(isinstance(text, str) for text in (key.id, key.tenant, key.sha256, key.note)) or not key.tenant:
            raise ValueError("id, tenant and sha256 must be texts, and tenant not empty")
        return key


def found(keys: Mapping[str, ApiKey], presented: str) -> ApiKey | None:
    """The key that was presented; None where it is none of ``keys``, by id."""
    match = _FORM.fullmatch(presented)
    key = keys.get(match[1]) if match is not None else None
    if key is None or not hmac.compare_digest(key.sha256, _hash(presented)):
        return None
    return key


def read(path: Path) -> dict[str, ApiKey]:
    """The keys in a file, by id. Raises `KeyFileError` and OSError."""
    keys: dict[str, ApiKey] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            key = ApiKey.of_line(line)
        except ValueError as error:
            raise KeyFileError(f"{path}, line {number}: {error}; take the line out, and add the key anew") from error
        keys[key.id] = key
    return keys


def add(path: Path, tenant: str, *, days: float | None = None, note: str = "") -> str:
    """Make a key for ``tenant`` that holds for ``days``, and return it: it is nowhere else. Raises as `read`."""
    with _changed(path) as keys:
        while (id_ := secrets.token_hex(4)) in keys:
            pass
        key = f"{PREFIX}{id_}_{secrets.token_urlsafe(32)}"
        now = datetime.now(UTC).replace(microsecond=0)
        expires = None if days is None else now + timedelta(days=days)
        keys[id_] = ApiKey(id_, tenant, _hash(key), now, expires, note)
    return key


def revoke(path: Path, id_: str) -> ApiKey:
    """Take a key out of the file. Raises `KeyFileError` where there is none of that id, else as `read`."""
    with _changed(path) as keys:
        if id_ not in keys:
            raise KeyFileError(f"{path} holds no key {id_}; `cloister keys list` shows those it does")
        return keys.pop(id_)


@contextmanager
def _changed(path: Path) -> Iterator[dict[str, ApiKey]]:
    """The keys, written back at the block's end: whole or not at all, and one change after the other."""
    path = path.resolve()  # where a link leads to it, the link stays
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        keys = read(path) if path.exists() else {}
        yield keys
        _write(path, "".join(f"{key.line()}\n" for key in keys.values()))
    finally:
        os.close(folder)


def _write(path: Path, text: str) -> None:
    """Replace the file, keeping its owner and mode: the server that reads it may be another user."""
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
            if path.exists():
                before = path.stat()
                os.fchmod(fd, before.st_mode & 0o7777)
                with suppress(PermissionError):
                    os.fchown(fd, before.st_uid, before.st_gid)
            file.flush()
            os.fsync(fd)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} names no time zone")
    return moment
