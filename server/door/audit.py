"""Who asked for what, one line a call: never what a document holds, only how large it is and its SHA-256.

The hash is for whoever holds a document to show that it was, or was not, the one. A call that is refused for its
credential has a line too. Hashing and writing are done in a thread of their own, one call after the other.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from structlog.typing import FilteringBoundLogger

from server.settings import SettingsError

# The fields of requests that hold a document, or a part of one.
_DOCUMENTS = ("document", "chunk")


class Sink(Protocol):
    """Where lines go."""

    def write(self, fields: Mapping[str, object]) -> None: ...

    def close(self) -> None: ...


class Audit:
    """Takes down calls, in lines of ``sink``."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="audit")

    def entry(self) -> Entry:
        """A call begins."""
        return Entry(self._sink, self._thread)

    def close(self) -> None:
        """Wait for the last lines."""
        self._thread.shutdown()
        self._sink.close()


class Entry:
    """What is taken down of one call."""

    def __init__(self, sink: Sink, thread: ThreadPoolExecutor) -> None:
        self._sink = sink
        self._thread = thread
        self._hash = hashlib.sha256()
        self._document_bytes = 0
        self._request_bytes = 0
        self._response_bytes = 0

    def received(self, message: Message, size: int) -> None:
        """A message came, of ``size`` bytes."""
        self._request_bytes += size
        for part in _document_parts(message):
            self._document_bytes += len(part)
            self._thread.submit(self._hash.update, part)

    def sent(self, size: int) -> None:
        """A message went, of ``size`` bytes."""
        self._response_bytes += size

    def end(self, fields: Mapping[str, object]) -> None:
        """The call is over; ``fields`` say whose it was and how it ended."""
        self._thread.submit(self._write, dict(fields))

    def _write(self, fields: Mapping[str, object]) -> None:
        sizes: dict[str, object] = {"request_bytes": self._request_bytes, "response_bytes": self._response_bytes}
        if self._document_bytes:
            sizes |= {"document_bytes": self._document_bytes, "document_sha256": self._hash.hexdigest()}
        self._sink.write({**fields, **sizes})


class LogSink:
    """Lines among the server's own, as the event "audit"."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log

    def write(self, fields: Mapping[str, object]) -> None:
        self._log.info("audit", **fields)

    def close(self) -> None:
        pass


class FileSink:
    """Lines of JSON at the end of a file that only its owner may read; made anew when it was moved away.

    Raises `SettingsError` where it can't be opened. A line that can't be written goes to ``log``, as an error.
    """

    def __init__(self, path: Path, log: FilteringBoundLogger) -> None:
        self._path = path
        self._log = log
        try:
            self._fd = self._open()
        except OSError as error:
            raise SettingsError(f"audit.to: {path}: {error.strerror}; name a file that can be written") from error

    def write(self, fields: Mapping[str, object]) -> None:
        line = json.dumps({"timestamp": datetime.now(UTC).isoformat(), **fields}, ensure_ascii=False) + "\n"
        try:
            if not self._in_place():
                os.close(self._fd)
                self._fd = self._open()
            # In one write: lines of servers that share the file do not mix.
            os.write(self._fd, line.encode(errors="backslashreplace"))
        except OSError as error:
            self._log.error("an audit line could not be written", file=str(self._path), why=error.strerror, **fields)

    def close(self) -> None:
        os.close(self._fd)

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _in_place(self) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._fd))
        except FileNotFoundError:
            return False


def audit(to: str, log: FilteringBoundLogger) -> Audit | None:
    """As ``to`` of the settings says. Raises `SettingsError`."""
    match to:
        case "off":
            return None
        case "log":
            return Audit(LogSink(log))
        case _:
            return Audit(FileSink(Path(to), log))


def _document_parts(message: Message) -> Iterator[bytes]:
    for name in _DOCUMENTS:
        field = message.DESCRIPTOR.fields_by_name.get(name)
        if field is not None and field.type == FieldDescriptor.TYPE_BYTES and (part := getattr(message, name)):
            yield part
