"""What an idle cell is shut in by, seen from outside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jail.cell import STEPS
from jail.layers import Layer
from jail.pool import Pool
from jail.result import Status
from tests.jail.conftest import LIMITS, ask, cells

NAMESPACES = ("pid", "mnt", "net", "ipc", "uts", "cgroup")


@pytest.fixture
def cell(pool: Pool) -> Path:
    """/proc/<pid> of an idle cell."""
    return Path(f"/proc/{cells()[0]}")


def status(cell: Path) -> dict[str, list[str]]:
    lines = (cell / "status").read_text().splitlines()
    return {key: value.split() for key, _, value in (line.partition(":") for line in lines)}


async def test_a_cell_is_nobody(cell: Path) -> None:
    assert status(cell)["Uid"] == ["65534"] * 4 or os.geteuid() != 0
    assert status(cell)["Groups"] == [] or os.geteuid() != 0


@pytest.mark.parametrize("kind", ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
async def test_a_cell_has_no_capability(cell: Path, kind: str) -> None:
    assert int(status(cell)[kind][0], 16) == 0


async def test_a_cell_is_under_a_filter_and_gains_no_privileges(cell: Path) -> None:
    assert status(cell)["Seccomp"] == ["2"]
    assert status(cell)["NoNewPrivs"] == ["1"]


@pytest.mark.parametrize("kind", NAMESPACES)
async def test_a_cell_shares_no_namespace(pool: Pool, kind: str) -> None:
    seen = [os.readlink(f"/proc/{pid}/ns/{kind}") for pid in ("self", *cells())]
    assert len(set(seen)) == 3


async def test_a_cell_is_the_first_process_of_its_namespace(cell: Path) -> None:
    assert status(cell)["NSpid"][-1] == "1"


async def test_a_cell_holds_two_pipes_and_nothing_else(cell: Path) -> None:
    held = {link.name: os.readlink(link).split(":")[0] for link in (cell / "fd").iterdir()}
    assert held == {"3": "pipe", "4": "pipe"}


async def test_the_root_of_a_cell_is_empty_and_all_it_has(cell: Path) -> None:
    assert os.listdir(cell / "root") == []
    mounts = (cell / "mounts").read_text().splitlines()
    assert len(mounts) == 1
    assert mounts[0].split()[1:3] == ["/", "tmpfs"]
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(mounts[0].split()[3].split(","))


async def test_the_network_of_a_cell_is_a_loopback_that_is_down(cell: Path) -> None:
    interfaces = [line.split(":")[0].strip() for line in (cell / "net/dev").read_text().splitlines()[2:]]
    assert interfaces == ["lo"]
    assert "lo" not in (cell / "net/route").read_text()


async def test_the_limits_of_a_cell_are_final(cell: Path) -> None:
    limits = {line[:26].strip(): line[26:].split()[:2] for line in (cell / "limits").read_text().splitlines()[1:]}
    for name in ("Max core file size", "Max file size", "Max processes", "Max locked memory", "Max open files"):
        assert limits[name] == ["0", "0"]
    assert limits["Max cpu time"] == [str(LIMITS.cpu_s)] * 2


async def test_a_cell_can_neither_be_traced_nor_dumped(cell: Path) -> None:
    # The kernel gives the files of a process that may not be dumped to root, whoever runs it.
    assert (cell / "environ").stat().st_uid == 0
    assert (cell / "cmdline").stat().st_uid == 0


async def test_a_request_has_a_cgroup_of_its_own(pool: Pool, cell: Path) -> None:
    own = Path("/proc/self/cgroup").read_text()
    groups = (cell / "cgroup").read_text()
    assert groups != own
    assert f"/{pool.cgroup}/" in groups


async def test_every_layer_has_a_step_or_comes_with_the_fork() -> None:
    assert {step.layer for step in STEPS} | {Layer.USER_NAMESPACE, Layer.PID_NAMESPACE} == set(Layer)


async def test_each_step_is_timed(pool: Pool) -> None:
    result, _, run = await ask(pool, "echo x")
    assert result.status is Status.OK
    assert run.set_up is not None
    names = [name for name, _ in run.set_up.steps]
    assert names[:2] == ["cgroup made", "fork"]
    assert names[2:] == [step.name for step in STEPS if step.layer in pool.layers_in_force]
    assert run.set_up.seconds > 0
    assert all(seconds >= 0 for _, seconds in run.set_up.steps)
