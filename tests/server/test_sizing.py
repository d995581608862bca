"""Cells are as many as CPUs and memory hold, cgroup limits counted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from jail.hierarchies import Mount
from server import sizing

GIB = 1 << 30
ROOT = Path(__file__).parents[2]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A host of 8 CPUs and 32 GiB, whose hierarchy of control groups is a folder; this process is in /pod/server."""
    (tmp_path / "pod/server").mkdir(parents=True)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    pages = 32 * GIB // os.sysconf("SC_PAGE_SIZE")
    whole = os.sysconf
    monkeypatch.setattr(os, "sysconf", lambda name: pages if name == "SC_PHYS_PAGES" else whole(name))
    monkeypatch.setattr(sizing, "_mounts", lambda: [Mount(tmp_path, frozenset(), "/pod/server")])
    return tmp_path


def test_without_limits_a_host_holds_one_for_each_cpu_as_far_as_memory_goes(host: Path) -> None:
    assert (sizing.cpus(), sizing.memory()) == (8, 32 * GIB)
    assert sizing.cells(GIB) == 8
    assert sizing.cells(8 * GIB) == 3
    assert sizing.cells(64 * GIB) == 1


@pytest.mark.parametrize("group", ["pod", "pod/server"])
def test_limits_of_cgroups_hold_wherever_they_stand(host: Path, group: str) -> None:
    (host / group / "cpu.max").write_text("350000 100000\n")
    assert sizing.cpus() == 4
    (host / group / "memory.max").write_text(f"{3 * GIB}\n")
    assert sizing.memory() == 3 * GIB
    assert sizing.cells(GIB) == 2


def test_a_group_without_a_limit_says_max(host: Path) -> None:
    (host / "pod/cpu.max").write_text("max 100000\n")
    (host / "pod/memory.max").write_text("max\n")
    assert (sizing.cpus(), sizing.memory()) == (8, 32 * GIB)


def test_the_files_of_version_1_are_read_too(
    host: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    memory = tmp_path_factory.mktemp("memory")
    mounts = [Mount(host, frozenset({"cpu"}), "/pod/server"), Mount(memory, frozenset({"memory"}), "/")]
    monkeypatch.setattr(sizing, "_mounts", lambda: mounts)
    (host / "pod/cpu.cfs_quota_us").write_text("-1\n")
    (host / "pod/cpu.cfs_period_us").write_text("100000\n")
    (memory / "memory.limit_in_bytes").write_text(f"{(1 << 63) - 4096}\n")
    assert (sizing.cpus(), sizing.memory()) == (8, 32 * GIB)
    (host / "pod/cpu.cfs_quota_us").write_text("200000\n")
    (memory / "memory.limit_in_bytes").write_text(f"{2 * GIB}\n")
    assert (sizing.cpus(), sizing.memory()) == (2, 2 * GIB)


def test_a_process_in_a_real_group_knows_its_memory() -> None:
    with _real_group(2 * GIB) as group:
        enter = 'echo $$ > "$1/cgroup.procs" && exec "$2" -c "from server import sizing; print(sizing.memory())"'
        found = subprocess.run(
            ["sh", "-c", enter, "sh", str(group), sys.executable],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"},
            capture_output=True,
            text=True,
            check=True,
        )
    assert int(found.stdout) == 2 * GIB


@contextmanager
def _real_group(memory_bytes: int) -> Iterator[Path]:
    """A control group with that limit, below this process's own."""
    mounts = [m for m in sizing._mounts() if not m.controllers or "memory" in m.controllers]
    first = next((m for m in mounts if m.controllers), mounts[0] if mounts else None)
    if first is None:
        pytest.skip("no control groups are mounted")
    name = "memory.limit_in_bytes" if first.controllers else "memory.max"
    with ExitStack() as stack:
        group = first.group(None) / f"sizing-{os.getpid()}"
        try:
            group.mkdir()
        except OSError as error:
            pytest.skip(f"no control group can be made: {error.strerror}")
        stack.callback(group.rmdir)
        try:
            (group / name).write_text(str(memory_bytes))
        except OSError as error:
            pytest.skip(f"memory is not delegated to groups below this process's own: {error.strerror}")
        yield group
