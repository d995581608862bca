"""How much memory the processes of a pool hold, each shared page counted in parts: proportional set size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Processes:
    """Process ids as this process sees them. ``keeper``: the zygote's parent, None where there is no zygote."""

    keeper: int | None
    cells: tuple[int, ...]

    @property
    def zygote(self) -> tuple[int, ...]:
        """The keeper and the zygote that it forked; empty where they are gone."""
        if self.keeper is None:
            return ()
        try:
            children = (_PROC / f"{self.keeper}/task/{self.keeper}/children").read_text()
        except OSError:
            return ()
        return (self.keeper, *map(int, children.split()))


def proportional_bytes(pid: int) -> int | None:
    """Proportional set size of a process, in bytes: proc(5), smaps_rollup. None where it is gone, or not ours to see.

    Takes a millisecond for each 100 MB or so that it has mapped: not for the event loop.
    """
    try:
        text = (_PROC / f"{pid}/smaps_rollup").read_text()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")), None)


def held_bytes(pids: tuple[int, ...]) -> int | None:
    """Of several processes together; None where not one can be seen."""
    found = [size for pid in pids if (size := proportional_bytes(pid)) is not None]
    return sum(found) if found else None
