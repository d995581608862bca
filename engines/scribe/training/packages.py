"""Debian packages as data: fetched and unpacked, not installed."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def unpacked(names: Sequence[str]) -> Iterator[Path]:
    """A folder that holds the packages' files, until the block ends. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(["apt-get", "download", *names], cwd=scratch, check=True)
        for package in sorted(Path(scratch).glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", package.name, "out"], cwd=scratch, check=True)
        yield Path(scratch, "out")
