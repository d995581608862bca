"""The unit: what systemd thinks of it, and that it leaves open what cells are made with."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "cloister.service"
HIGHEST_EXPOSURE = 2.4
"""Of 10: "OK" is below 4. What is left are namespaces, mounts, the cgroup and the network, all of which it needs."""
FOR_CELLS = {"mount", "umount2", "pivot_root", "mount_setattr", "unshare", "setns", "seccomp", "keyctl"}


@pytest.fixture(scope="module")
def verdict() -> str:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing; run deploy/setup.sh tests")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNIT)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_its_exposure_is_low(verdict: str) -> None:
    score = re.search(r"Overall exposure level for cloister\.service: ([\d.]+)", verdict)
    assert score is not None, verdict
    assert float(score[1]) <= HIGHEST_EXPOSURE, verdict
    assert "Unknown" not in verdict


def test_it_is_an_ordinary_users_without_capabilities(verdict: str) -> None:
    assert not re.search(
        r"✗ (User=/DynamicUser=|CapabilityBoundingSet=|AmbientCapabilities=|NoNewPrivileges=)", verdict
    )


def test_what_makes_cells_stays_open() -> None:
    settings = [line.split("=", 1) for line in UNIT.read_text().splitlines() if re.match(r"\w+=", line)]
    allowed = {name for key, value in settings if key == "SystemCallFilter" for name in value.split()}
    assert allowed >= FOR_CELLS
    assert {"cpu", "memory", "pids"} <= set(dict(settings)["Delegate"].split())
    closing = {"RestrictNamespaces", "ProtectControlGroups", "PrivateUsers", "MemoryDenyWriteExecute"}
    assert not closing & {key for key, _ in settings}
