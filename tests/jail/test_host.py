"""What a host lacks for a jail, told from its files, and what to change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from jail.host import Host


def host(root: Path, files: Mapping[str, str]) -> Host:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Host.here(root)


@pytest.mark.parametrize(
    ("files", "privileged", "advice"),
    [
        (
            {"proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"},
            False,
            "sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ({"proc/sys/kernel/unprivileged_userns_clone": "0\n"}, False, "sysctl kernel.unprivileged_userns_clone=1"),
        ({"proc/sys/user/max_user_namespaces": "0\n"}, False, "sysctl user.max_user_namespaces=10000"),
        ({"proc/self/status": "Name:\tx\nSeccomp:\t2\n", ".dockerenv": ""}, True, "--security-opt seccomp=PROFILE"),
        (
            {"proc/self/status": "Name:\tx\nSeccomp:\t2\n", "var/run/secrets/kubernetes.io/x": ""},
            True,
            "securityContext.seccompProfile",
        ),
        ({"proc/self/attr/apparmor/current": "docker-default (enforce)\n"}, True, "--security-opt apparmor=PROFILE"),
    ],
)
def test_an_obstacle_comes_with_the_change_that_removes_it(
    tmp_path: Path, files: dict[str, str], privileged: bool, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    found = replace(host(tmp_path, files), privileged=privileged)
    assert advice in found.advice("start as root")


def test_several_obstacles_are_all_told(tmp_path: Path) -> None:
    files = {"proc/self/status": "\nSeccomp:\t2\n", "proc/self/attr/apparmor/current": "docker-default (enforce)"}
    told = host(tmp_path, files).advice("start as root")
    assert "seccomp profile" in told
    assert "docker-default" in told


def test_without_an_obstacle_the_advice_is_the_given_one(tmp_path: Path) -> None:
    free = host(tmp_path, {"proc/self/status": "\nSeccomp:\t0\n", "proc/self/attr/apparmor/current": "unconfined"})
    assert free.advice("start as root") == "start as root"


@pytest.mark.parametrize(("kernel", "old"), [("4.19.0-18", True), ("5.8.1", True), ("5.9.0", False), ("6.18.4", False)])
def test_a_kernel_that_lacks_what_cells_need_is_too_old(tmp_path: Path, kernel: str, old: bool) -> None:
    found = replace(host(tmp_path, {}), kernel=kernel)
    assert bool(found.too_old) is old
    assert ("newer kernel" in found.advice("")) is old


def test_the_version_of_cgroups_is_told(tmp_path: Path) -> None:
    assert host(tmp_path, {}).cgroups == 1
    assert host(tmp_path, {"sys/fs/cgroup/cgroup.controllers": "cpu memory pids"}).cgroups == 2
