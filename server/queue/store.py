"""Where documents and results lie, by URL: a folder, or anything that fsspec reaches, such as s3://BUCKET/PREFIX.

Names are slashed paths. What has a name never changes: it is written once, whole, under a name that says what it is.
Blocking. S3 takes the extra ``s3`` and finds its credentials as every AWS client does (environment, file, role).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from server.settings import SettingsError


class Store(Protocol):
    place: str

    def put(self, name: str, content: bytes) -> None:
        """Write; over what is there of that name. Either all of it is there afterwards, or nothing new. OSError."""

    def get(self, name: str) -> bytes:
        """Raises FileNotFoundError where there is none of that name, and OSError."""

    def has(self, name: str) -> bool: ...

    def delete(self, name: str) -> None:
        """Where there is none, nothing happens."""

    def names(self, folder: str) -> list[str]:
        """All names below ``folder``, in order; none where there is no such folder."""


def store_at(url: str, options: Mapping[str, Any]) -> Store:
    """The store at ``url``: a path, file:///PATH, or a URL of fsspec's, which ``options`` are for.

    Nothing is connected to yet. Raises `SettingsError`.
    """
    protocol, _, rest = url.rpartition("://")
    if protocol in ("", "file"):
        return FolderStore(Path(rest))
    return RemoteStore(url, options)


class FolderStore:
    """A folder of this host, or one that several mount. Readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.place = str(folder)

    def put(self, name: str, content: bytes) -> None:
        try:
            self._put(self._path(name), content)
        except FileNotFoundError:
            # Another deleted the last of its folder, and with it the folder, between its making and its use.
            self._put(self._path(name), content)

    def _put(self, target: Path, content: bytes) -> None:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        try:
            descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.rename(target)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise

    def get(self, name: str) -> bytes:
        return self._path(name).read_bytes()

    def has(self, name: str) -> bool:
        return self._path(name).exists()

    def delete(self, name: str) -> None:
        path = self._path(name)
        path.unlink(missing_ok=True)
        with suppress(OSError):  # others are in it
            path.parent.rmdir()

    def names(self, folder: str) -> list[str]:
        found = (path for path in self._path(folder).rglob("*") if path.is_file() and not path.name.startswith("."))
        return sorted(str(path.relative_to(self._folder)) for path in found)

    def _path(self, name: str) -> Path:
        return self._folder / name


class RemoteStore:
    """A bucket or the like. Its writes are whole by themselves: an object shows once it has been taken."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        import fsspec

        try:
            # Not the class's cached instance: another thread's may belong to a process that forked since.
            self._files, self._root = fsspec.core.url_to_fs(url, use_listings_cache=False, **options)
        except (ImportError, ValueError) as error:
            raise SettingsError(f"queue.store: {error}; for s3:// install cloister[s3]") from error
        self.place = url

    def put(self, name: str, content: bytes) -> None:
        self._files.pipe_file(self._path(name), content)

    def get(self, name: str) -> bytes:
        content: bytes = self._files.cat_file(self._path(name))
        return content

    def has(self, name: str) -> bool:
        return bool(self._files.exists(self._path(name)))

    def delete(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._files.rm_file(self._path(name))

    def names(self, folder: str) -> list[str]:
        try:
            found = self._files.find(self._path(folder))
        except FileNotFoundError:
            return []
        return sorted(path.removeprefix(f"{self._root}/") for path in found)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"
