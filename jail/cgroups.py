"""Control groups of cells: a group of its own for each, bounding memory, processes and CPU. Versions 1 and 2.

A server's cells lie in one group below a parent::

    <parent>/cloister-<random>/<cell>        (version 2: in one tree)
    <parent>/cloister-<random>/<cell>        (version 1: once for each of memory, pids, cpu)

The directory ``cloister-<random>`` stays locked (flock(2)) while its server lives; one that is not locked was left
behind by a dead server, and the next start removes it. The parent is the group the server runs in, or one that was
delegated to it. Sources: cgroups(7), the kernel's admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jail.errors import SetUpError
from jail.hierarchies import SUPERVISOR, mounts
from jail.layers import Layer

_CONTROLLERS = ("memory", "pids", "cpu")
_PREFIX = "cloister-"
_PERIOD_US = 100_000
_CLOSE_S = 2.0
"""How long the kernel may hold the group of a process that has just ended."""
_RETRY_S = 0.02
_DELEGATE = (
    "delegate a cgroup with memory, pids and cpu to the server: systemd, Delegate=yes in its unit; a container, "
    "--cgroupns=private and a writable /sys/fs/cgroup; elsewhere, a group owned by the server's user, named in "
    "cgroup_parent"
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a cell may use. ``cpus`` is a share of time: 0.5 is half of one core."""

    memory_bytes: int
    pids: int
    cpus: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a cell's group recorded: processes killed for memory, and the most memory it held, in bytes."""

    oom_kills: int = 0
    memory_peak_bytes: int = 0


def _write(path: Path, value: str) -> None:
    # Not Path.write_text: a control file takes a value in one write and must not be truncated or created.
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def _counter(path: Path, name: str) -> int:
    """The value beside ``name`` in a file of lines ``name value``; 0 where it is not there."""
    for line in path.read_text().splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


class Tree:
    """The groups of one server's cells, in one hierarchy (version 2) or several (version 1)."""

    def __init__(self, parents: Sequence[Path], *, unified: bool) -> None:
        """``parents`` exist already: one for version 2; for version 1 those of `_CONTROLLERS`, in that order."""
        self._unified = unified
        self.parents = list(dict.fromkeys(parents))
        self._by_controller = dict(zip(_CONTROLLERS, list(parents) * 3 if unified else parents, strict=True))
        self.name = _PREFIX + secrets.token_hex(4)
        self._locks: list[int] = []

    @classmethod
    def find(cls, parent: str | None) -> Tree:
        """The hierarchy of this host, and in it the group that ``parent`` names (see `Mount.group`; None: the own one).

        Raises `SetUpError` where memory, pids or cpu are not to be had.
        """
        try:
            found = mounts(Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text())
        except OSError as error:
            raise SetUpError(Layer.CGROUPS, f"/proc can't be read: {error}", "mount /proc for the server") from error
        for unified in (mount for mount in found if not mount.controllers):
            group = unified.group(parent)
            offered = group / "cgroup.controllers"
            if offered.exists() and set(_CONTROLLERS) <= set(offered.read_text().split()):
                return cls([group], unified=True)
        versions1 = {name: mount.group(parent) for mount in found for name in mount.controllers}
        missing = [name for name in _CONTROLLERS if name not in versions1]
        if missing:
            raise SetUpError(Layer.CGROUPS, f"no controller for {', '.join(missing)}", _DELEGATE)
        return cls([versions1[name] for name in _CONTROLLERS], unified=False)

    def prepare(self, own_pids: Sequence[int], *, background: bool = False) -> None:
        """Make this server's group, enable the controllers in it, and remove what dead servers left.

        ``own_pids`` are the server and its helpers: with version 2 the parent may hold no process once it hands
        controllers down, so these move to a group ``supervisor`` beside the cells. ``background`` gives all cells
        together only the time that nobody else wants, before Linux 5.15 a tenth of the usual weight.
        """
        try:
            for parent in self.parents:
                self._clear_stale(parent)
            if self._unified:
                self._hand_down(self.parents[0], own_pids)
            for parent in self.parents:
                self._locks.append(self._make_locked(parent / self.name))
            if self._unified:
                self._enable(self.parents[0] / self.name)
            if background:
                group = self._by_controller["cpu"] / self.name
                if (group / "cpu.idle").exists():
                    _write(group / "cpu.idle", "1")
                else:
                    name, weight = ("cpu.weight", "10") if self._unified else ("cpu.shares", "102")
                    _write(group / name, weight)
        except OSError as error:
            raise SetUpError(
                Layer.CGROUPS, f"{error.filename or 'a control file'}: {error.strerror}", _DELEGATE
            ) from error

    def make(self, cell: str, bounds: Bounds) -> None:
        """Make the group of a cell and write its bounds."""
        try:
            for parent in self.parents:
                _make(parent / self.name / cell)
            for path, value, needed in self._bounds(cell, bounds):
                if needed or path.exists():
                    _write(path, value)
        except OSError as error:
            self.remove(cell)
            raise SetUpError(Layer.CGROUPS, f"{error.filename or 'a bound'}: {error.strerror}", _DELEGATE) from error

    def _bounds(self, cell: str, bounds: Bounds) -> Iterator[tuple[Path, str, bool]]:
        memory, pids, cpu = (self._leaf(name, cell) for name in _CONTROLLERS)
        quota = str(int(bounds.cpus * _PERIOD_US))
        yield pids / "pids.max", str(bounds.pids), True
        if self._unified:
            yield memory / "memory.max", str(bounds.memory_bytes), True
            yield memory / "memory.swap.max", "0", False
            yield memory / "memory.oom.group", "1", False
            yield cpu / "cpu.max", f"{quota} {_PERIOD_US}", True
        else:
            yield memory / "memory.limit_in_bytes", str(bounds.memory_bytes), True
            yield memory / "memory.memsw.limit_in_bytes", str(bounds.memory_bytes), False
            yield cpu / "cpu.cfs_period_us", str(_PERIOD_US), True
            yield cpu / "cpu.cfs_quota_us", quota, True

    def join(self, cell: str) -> None:
        """Move this process into the group of ``cell``."""
        try:
            for parent in self.parents:
                _write(parent / self.name / cell / "cgroup.procs", "0")
        except OSError as error:
            fix = f"start the server inside the group that holds its cells, or {_DELEGATE}"
            raise SetUpError(Layer.CGROUPS, f"the cell can't join its group: {error}", fix) from error

    def evidence(self, cell: str) -> Evidence:
        """What the group of ``cell`` recorded."""
        memory = self._leaf("memory", cell)
        if self._unified:
            peak = memory / "memory.peak"  # since Linux 5.19
            return Evidence(
                _counter(memory / "memory.events", "oom_kill"), int(peak.read_text()) if peak.exists() else 0
            )
        return Evidence(
            _counter(memory / "memory.oom_control", "oom_kill"),
            int((memory / "memory.max_usage_in_bytes").read_text()),
        )

    def remove(self, cell: str) -> bool:
        """Remove the group of a cell that has ended; False where it is not empty yet, and is to be tried again.

        The kernel may hold it for a moment. What else is in it, where no PID namespace ended that with the cell, is
        killed.
        """
        groups = [parent / self.name / cell for parent in self.parents]
        left = [group for group in groups if not _remove(group)]
        for group in left:
            _kill_members(group)
        return not left

    def close(self) -> None:
        """Remove this server's group and all that is left in it."""
        deadline = time.monotonic() + _CLOSE_S
        left = [parent / self.name for parent in self.parents]
        while left := [group for group in left if not _remove_with_children(group)]:
            if time.monotonic() > deadline:
                break  # the next start of a server here removes it
            time.sleep(_RETRY_S)
        for lock in self._locks:
            os.close(lock)
        self._locks.clear()

    def _leaf(self, controller: str, cell: str) -> Path:
        return self._by_controller[controller] / self.name / cell

    @staticmethod
    def _clear_stale(parent: Path) -> None:
        for group in sorted(parent.glob(_PREFIX + "*")):
            try:
                lock = _lock(group)
            except FileNotFoundError:
                continue  # another server starting up was quicker
            if lock is not None:
                _remove_with_children(group)
                os.close(lock)

    @staticmethod
    def _make_locked(group: Path) -> int:
        # Until it is locked, another server that starts may take it for a dead one's, and remove it.
        deadline = time.monotonic() + _CLOSE_S
        while time.monotonic() < deadline:
            with suppress(FileExistsError):
                _make(group)
            with suppress(FileNotFoundError):
                lock = _lock(group)
                if lock is not None and group.exists():
                    return lock
                if lock is not None:
                    os.close(lock)
            time.sleep(_RETRY_S)
        raise OSError(errno.EAGAIN, "other servers keep taking it for a dead one's; start again", str(group))

    def _hand_down(self, parent: Path, own_pids: Sequence[int]) -> None:
        inside = {int(pid) for pid in (parent / "cgroup.procs").read_text().split()}
        is_root = not (parent / "cgroup.type").exists()
        if inside and not is_root:
            if strangers := inside - set(own_pids):
                raise SetUpError(
                    Layer.CGROUPS, f"{parent} holds {len(strangers)} processes that are not this server's", _DELEGATE
                )
            supervisor = parent / SUPERVISOR
            if not supervisor.exists():
                _make(supervisor)
            for pid in inside:
                _write(supervisor / "cgroup.procs", str(pid))
        self._enable(parent)

    @staticmethod
    def _enable(group: Path) -> None:
        control = group / "cgroup.subtree_control"
        missing = set(_CONTROLLERS) - set(control.read_text().split())
        if missing:
            _write(control, " ".join(f"+{name}" for name in sorted(missing)))


def _make(group: Path) -> None:
    group.mkdir()


def _lock(group: Path) -> int | None:
    """A descriptor that locks ``group`` while it is open, in whatever process; None where another holds it."""
    fd = os.open(group, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def _remove(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def _kill_members(group: Path) -> None:
    for pid in (group / "cgroup.procs").read_text().split():
        # Of another PID namespace they have no number here: they end with that.
        if pid != "0":
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def _remove_with_children(group: Path) -> bool:
    if not group.exists():
        return True
    gone = [_remove(child) for child in group.iterdir() if child.is_dir()]
    return all(gone) and _remove(group)
