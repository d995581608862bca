"""Files that are read again when they change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from structlog.typing import FilteringBoundLogger

T = TypeVar("T")
Stamp = tuple[int, int, int]


class Watched(Generic[T]):
    """What ``read`` makes of ``paths``, again whenever one of them has changed. Safe to ask from any thread.

    A change that can't be read is reported once, and the last good one kept: with half a file written, or one of two,
    nobody is shut out. ``read`` raises OSError or ValueError; so does making this, where there is no good one yet.
    """

    def __init__(self, paths: tuple[Path, ...], read: Callable[[], T], log: FilteringBoundLogger) -> None:
        self._paths = paths
        self._read = read
        self._log = log
        # Stamped before reading: what is written meanwhile is seen as a change the next time.
        self._seen = self._stamps()
        self._value = read()
        self.version = 1
        """How many good ones there have been."""

    def get(self) -> T:
        """The newest good one."""
        stamps = self._stamps()
        if stamps != self._seen:
            self._seen = stamps
            names = [str(path) for path in self._paths]
            try:
                self._value = self._read()
            except (OSError, ValueError) as error:
                self._log.error("can't be read any more; what it held stays in force", files=names, why=str(error))
            else:
                self.version += 1
                self._log.info("read again", files=names)
        return self._value

    def _stamps(self) -> tuple[Stamp | None, ...]:
        return tuple(_stamp(path) for path in self._paths)


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
