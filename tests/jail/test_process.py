"""A server as a process of its own: as an ordinary user, and when it dies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jail.environment import zygote_environment
from jail.layers import Layer
from jail.process import ZygoteProcess
from jail.spec import Layers, ZygoteSpec
from tests.conftest import USER
from tests.jail.conftest import JOB, LIMITS, cgroups, descendants

EXPECTED = {"echo x": "ok", "memory": "memory", "socket": "violation", "crash": "crashed", "spin": "timeout"}


def server(python: str, *arguments: str, user: int | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [python, "-m", "tests.jail.serve_deeds", *arguments],
        env=zygote_environment({}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )


def wait_until_gone(cgroup: str) -> None:
    deadline = time.monotonic() + 60
    while cgroups(cgroup) or any(name.startswith("cloister") for name in descendants().values()):
        assert time.monotonic() < deadline, (cgroups(cgroup), descendants())
        time.sleep(0.05)


def test_an_ordinary_user_has_the_same_jail(delegated: str, python_for_all: str) -> None:
    with server(python_for_all, delegated, user=USER) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "the server ended; its errors are above"
        report = json.loads(line)
        assert set(report["layers"]) | {Layer.LANDLOCK} == set(Layer)
        assert report["statuses"] == EXPECTED
        cell = next(pid for pid, name in descendants().items() if name == "cloister-cell")
        status = Path(f"/proc/{cell}/status").read_text()
        assert f"Uid:\t{USER}\t{USER}\t{USER}\t{USER}\n" in status
        assert "CapEff:\t0000000000000000" in status
        assert "CapBnd:\t0000000000000000" in status
        process.communicate()
    assert process.returncode == 0
    wait_until_gone(report["cgroup"])


def test_an_ordinary_users_cells_execute_their_program_and_reach_nothing_else(
    delegated: str, python_for_all: str
) -> None:
    done = subprocess.run(
        [python_for_all, "-m", "tests.jail.serve_program", delegated],
        env=zygote_environment({}),
        user=USER,
        group=USER,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    works, *refused = report["said"]
    assert works == "0 works\n"
    assert all(not said.startswith("0 ") for said in refused), refused
    assert {Layer.MOUNTS, Layer.NETWORK_NAMESPACE, Layer.SECCOMP} <= set(report["layers"])


def test_an_ordinary_user_without_a_cgroup_is_told_what_to_change(python_for_all: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("starting a server as another user takes root")
    done = subprocess.run(
        [python_for_all, "-m", "tests.jail.serve_deeds"],
        env=zygote_environment({}),
        user=USER,
        group=USER,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "SetUpError: layer cgroups" in done.stderr
    assert "delegate a cgroup with memory, pids and cpu" in done.stderr


@pytest.mark.parametrize("victim", ["server", "keeper", "zygote"])
def test_whatever_is_killed_nothing_is_left(victim: str) -> None:
    """The group of a server whose keeper was killed too is left to the next start: here it comes at once."""
    with server(sys.executable) as process:
        assert process.stdout is not None
        report = json.loads(process.stdout.readline())
        named = {name.removeprefix("cloister-"): pid for pid, name in descendants().items() if pid != process.pid}
        os.kill(process.pid if victim == "server" else named[victim], signal.SIGKILL)
        if victim == "server":
            process.wait()
            wait_until_gone(report["cgroup"])
            return
        deadline = time.monotonic() + 60
        while (
            named["zygote"] in (now := descendants())
            or "cloister-cell" not in now.values()
            or cgroups(report["cgroup"])
        ):
            assert time.monotonic() < deadline, (descendants(), cgroups(report["cgroup"]))
            time.sleep(0.05)
        process.communicate()
    assert process.returncode == 0


async def test_a_stop_that_is_cancelled_leaves_nothing_unreaped() -> None:
    zygote = ZygoteProcess(ZygoteSpec(JOB), LIMITS, Layers(), lambda _message, _ends: None, lambda: None)
    await zygote.loaded()
    stopping = asyncio.create_task(zygote.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    # Nothing of it is there any more, not even as a zombie.
    assert not Path(f"/proc/{zygote.pid}").exists()
