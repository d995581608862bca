"""A worker that starts when it is needed and ends when nothing waits, for a queue that needs no service.

Where the broker is a folder, whoever hands in a document starts one in the background. There is one at a time: it holds
a lock on a file in the queue's folder.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from server.queue.settings import Queue as QueueSettings

_LOCK = "worker.lock"
_LOG = "worker.log"
_TRIES = 3
_BETWEEN_S = 0.1


def start(settings: QueueSettings, config: Path | None) -> Path | None:
    """Start one in the background unless it runs; the file that it logs to, or None where the broker is a service."""
    if settings.broker:
        return None
    log = settings.folder / _LOG
    command = [sys.executable, "-m", "server.cli", "worker", "--helper"]
    if config is not None:
        command += ["--config", str(config.absolute())]
    # Of a session of its own, so that it outlives the terminal.
    os.posix_spawn(
        sys.executable,
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    return log


def runs(settings: QueueSettings) -> bool:
    if settings.broker:
        return False
    with alone(settings) as first:
        return not first


@contextmanager
def alone(settings: QueueSettings) -> Iterator[bool]:
    """Whether no other helper runs. For the length of the block none does but this."""
    with (settings.folder / _LOCK).open("a") as file:
        yield _locked(file)


def _locked(file: IO[str]) -> bool:
    """Tries a few times: somebody may hold it for no more than a look whether it is held."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_BETWEEN_S)
        else:
            return True
    return False
