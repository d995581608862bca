"""Hierarchies as hosts have them, and the files of version 2 on a tree of ordinary files.

A kernel offers one version to real cells, that which `test_pool` and `test_cell` run in; the other's paths and values
are held here.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from jail import cgroups, hierarchies
from jail.cgroups import Bounds, Evidence, Tree
from jail.errors import SetUpError
from jail.hierarchies import mounts

HYBRID = (
    "25 20 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
    "26 25 0:23 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "27 25 0:24 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
    "28 25 0:25 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n"
)
HYBRID_OWN = "3:cpu,cpuacct:/\n2:memory:/user/7\n1:name=systemd:/user\n0::/user.slice\n"
CONTAINER = "40 30 0:30 /docker/abc /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n"
BOUNDS = Bounds(memory_bytes=1 << 20, pids=1, cpus=0.5)


def test_every_hierarchy_is_found_with_the_own_group_in_it() -> None:
    found = {tuple(sorted(mount.controllers)): mount for mount in mounts(HYBRID, HYBRID_OWN)}
    assert found["memory",].group(None) == Path("/sys/fs/cgroup/memory/user/7")
    assert found["cpu", "cpuacct"].group(None) == Path("/sys/fs/cgroup/cpu,cpuacct")
    assert found[()].group(None) == Path("/sys/fs/cgroup/unified/user.slice")


def test_a_parent_is_below_the_own_group_or_from_the_root() -> None:
    memory = next(mount for mount in mounts(HYBRID, HYBRID_OWN) if "memory" in mount.controllers)
    assert memory.group("cells") == Path("/sys/fs/cgroup/memory/user/7/cells")
    assert memory.group("/cells") == Path("/sys/fs/cgroup/memory/cells")


def test_a_container_sees_its_own_group_at_the_mount() -> None:
    (mount,) = mounts(CONTAINER, "0::/docker/abc/inner\n")
    assert mount.group(None) == Path("/sys/fs/cgroup/inner")


def test_a_server_that_was_moved_aside_is_at_home_in_the_group_above() -> None:
    """Its second pool, and a zygote started again, make their groups where the first did."""
    (mount,) = mounts(CONTAINER, "0::/docker/abc/inner/supervisor\n")
    assert mount.group(None) == Path("/sys/fs/cgroup/inner")
    assert mount.group("cells") == Path("/sys/fs/cgroup/inner/cells")


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A delegated group of version 2, of files: making a group makes its files, removing it removes them."""

    def make(group: Path) -> None:
        group.mkdir()
        files = {
            "cgroup.procs": "",
            "cgroup.subtree_control": "",
            "cgroup.controllers": "cpu io memory pids",
            "cgroup.type": "domain",
            "memory.max": "max",
            "memory.swap.max": "max",
            "memory.oom.group": "0",
            "memory.events": "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\n",
            "memory.peak": "777",
            "pids.max": "max",
            "cpu.max": "max 100000",
            "cpu.weight": "99",
            "cpu.idle": "0",
        }
        for name, content in files.items():
            (group / name).write_text(content)

    def remove(group: Path) -> bool:
        if group.exists():
            shutil.rmtree(group)
        return True

    monkeypatch.setattr(cgroups, "_make", make)
    monkeypatch.setattr(cgroups, "_remove", remove)
    make(tmp_path / "cloister.service")
    return tmp_path / "cloister.service"


def value(path: Path) -> str:
    return path.read_text().strip()


def test_version_2_moves_the_server_aside_and_hands_controllers_down(parent: Path) -> None:
    (parent / "cgroup.procs").write_text("10\n11\n")
    tree = Tree([parent], unified=True)
    tree.prepare([10, 11, 12])
    assert value(parent / "supervisor/cgroup.procs") in {"10", "11"}
    assert value(parent / "cgroup.subtree_control") == "+cpu +memory +pids"
    assert value(parent / tree.name / "cgroup.subtree_control") == "+cpu +memory +pids"
    tree.close()
    assert not (parent / tree.name).exists()


@pytest.mark.parametrize(("background", "idle"), [(False, "0"), (True, "1")])
def test_cells_in_the_background_get_what_nobody_else_wants(parent: Path, background: bool, idle: str) -> None:
    tree = Tree([parent], unified=True)
    tree.prepare([], background=background)
    assert value(parent / tree.name / "cpu.idle") == idle
    tree.close()


def test_before_the_kernel_knew_of_idle_groups_they_weigh_little(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = cgroups._make

    def make_older(group: Path) -> None:
        make(group)
        (group / "cpu.idle").unlink()

    monkeypatch.setattr(cgroups, "_make", make_older)
    tree = Tree([parent], unified=True)
    tree.prepare([], background=True)
    assert value(parent / tree.name / "cpu.weight") == "10"
    tree.close()


def test_version_2_moves_no_strangers(parent: Path) -> None:
    (parent / "cgroup.procs").write_text("10\n99\n")
    with pytest.raises(SetUpError, match="1 processes that are not this server's"):
        Tree([parent], unified=True).prepare([10])


def test_version_2_bounds_a_cell_and_keeps_its_evidence(parent: Path) -> None:
    tree = Tree([parent], unified=True)
    tree.prepare([])
    tree.make("7", BOUNDS)
    cell = parent / tree.name / "7"
    assert value(cell / "memory.max").startswith("1048576")
    assert value(cell / "memory.swap.max")[0] == "0"
    assert value(cell / "pids.max")[0] == "1"
    assert value(cell / "cpu.max").startswith("50000 100000")
    tree.join("7")
    assert value(cell / "cgroup.procs") == "0"
    assert tree.evidence("7") == Evidence(oom_kills=2, memory_peak_bytes=777)
    assert tree.remove("7")
    tree.close()


def test_a_group_in_use_is_not_taken_for_a_dead_servers(parent: Path) -> None:
    first, second = Tree([parent], unified=True), Tree([parent], unified=True)
    first.prepare([])
    second.prepare([])
    assert (parent / first.name).exists()
    first.close()
    second.close()


def test_servers_that_start_together_leave_each_other_their_groups(tmp_path: Path) -> None:
    done = Event()

    def starting_too() -> None:
        while not done.is_set():
            Tree._clear_stale(tmp_path)

    with ThreadPoolExecutor() as threads:
        others = [threads.submit(starting_too) for _ in range(2)]
        try:
            for number in range(300):
                group = tmp_path / f"cloister-{number}"
                lock = Tree._make_locked(group)
                assert group.is_dir()
                os.close(lock)
        finally:
            done.set()
        for other in others:
            other.result()


def test_a_group_that_a_server_starting_beside_took_for_a_dead_ones_is_made_again(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = cgroups._lock
    taken: list[Path] = []

    def late(group: Path) -> int | None:
        if not taken:
            taken.append(group)
            shutil.rmtree(group)
        return lock(group)

    monkeypatch.setattr(cgroups, "_lock", late)
    tree = Tree([parent], unified=True)
    tree.prepare([])
    assert taken == [parent / tree.name]
    assert taken[0].exists()
    tree.close()


def test_groups_are_found_by_name_while_others_come_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hierarchies, "_HIERARCHIES", str(tmp_path))
    for path in ("memory/a/cloister-1/7", "cpu/a/cloister-1", "cpu/b/cloister-2"):
        (tmp_path / path).mkdir(parents=True)
    walk = os.walk

    def vanishing(top: str) -> Iterator[tuple[str, list[str], list[str]]]:
        for found in walk(top):
            if "b" in found[1]:
                shutil.rmtree(tmp_path / "cpu/b")
            yield found

    monkeypatch.setattr(hierarchies.os, "walk", vanishing)
    assert set(hierarchies.groups("cloister-1")) == {tmp_path / "memory/a/cloister-1", tmp_path / "cpu/a/cloister-1"}
    assert hierarchies.groups("cloister-2") == []


def test_a_missing_control_file_is_named(parent: Path) -> None:
    tree = Tree([parent], unified=True)
    tree.prepare([])
    with pytest.raises(SetUpError, match=r"missing/cgroup\.procs"):
        tree.join("missing")
    tree.close()
