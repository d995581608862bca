"""A cgroup around the stage and all that is made there: where a layer is off for a proof, this still holds."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from jail.cgroups import Bounds, Tree
from jail.errors import SetUpError
from jail.layers import Layer

_BOUNDS = Bounds(memory_bytes=1 << 30, pids=256, cpus=2.0)
_FENCE, _PEOPLE = "fence", "fence/people"
"""With version 2 a group that hands controllers down to pools' groups can hold no process itself."""
_EMPTY_S = 5.0
_RETRY_S = 0.02


class Fence:
    """For the time of a ``with`` block. Raises `SetUpError` where no cgroup can be had: then nothing is attacked."""

    def __init__(self, cgroup_parent: str | None = None) -> None:
        self._tree = Tree.find(cgroup_parent)

    def __enter__(self) -> Self:
        self._tree.prepare([os.getpid()])
        try:
            self._tree.make(_FENCE, _BOUNDS)
            for group in self._people:
                group.mkdir()
        except OSError as error:
            self._tree.close()
            raise SetUpError(Layer.CGROUPS, f"no group for the stage: {error}", "see cloister doctor") from error
        return self

    @property
    def name(self) -> str:
        """Of the cgroup that holds all the others."""
        return self._tree.name

    @property
    def gates(self) -> list[str]:
        """Files to write a process's id to, 0 for one's own, to be inside."""
        return [str(group / "cgroup.procs") for group in self._people]

    @property
    def _people(self) -> list[Path]:
        return [parent / self._tree.name / _PEOPLE for parent in self._tree.parents]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End whatever is left inside, process by process, and take the fence down."""
        deadline = time.monotonic() + _EMPTY_S
        left = self._people
        while left and time.monotonic() < deadline:
            left = [group for group in left if not _emptied(group)]
            if left:
                time.sleep(_RETRY_S)
        for parent in self._tree.parents:
            with suppress(OSError):  # what is left holds a process that can't be ended: the next start removes it
                (parent / self._tree.name / _FENCE).rmdir()
        self._tree.close()


def _emptied(group: Path) -> bool:
    """Whether the group could be removed; if not, its processes are told to end."""
    for pid in (group / "cgroup.procs").read_text().split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    try:
        group.rmdir()
    except OSError:
        return False
    return True
