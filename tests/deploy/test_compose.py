"""The compose file: that it says what the server and its image take."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from server.cli import app
from server.settings import ENVIRONMENT_PREFIX, load

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
COMMANDS = {command.name for command in app.registered_commands}
OURS = [
    name for name, service in SERVICES.items() if service["image"] == "cloister" and service["command"][0] in COMMANDS
]


def test_the_server_is_one_of_ours() -> None:
    assert "server" in OURS
    assert isinstance(app, typer.Typer)


@pytest.mark.parametrize("name", OURS)
def test_settings_are_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in SERVICES[name]["environment"].items():
        assert variable.startswith(ENVIRONMENT_PREFIX)
        monkeypatch.setenv(variable, value)
    load()


def test_what_the_server_takes_is_what_the_worker_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for name in ("server", "worker"):
        with monkeypatch.context() as environment:
            for variable, value in SERVICES[name]["environment"].items():
                environment.setenv(variable, value)
            queue = load().queue
        found.append((queue.folder, queue.database, queue.store, queue.broker))
    assert found[0] == found[1]


def test_the_image_has_the_drivers_of_what_a_fleet_shares() -> None:
    """Of Redis, S3 and PostgreSQL, which are extras of ours."""
    lock = (DEPLOY / "container" / "requirements.lock").read_text()
    assert {"redis", "s3fs", "psycopg"} <= set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))


@pytest.mark.parametrize("name", list(SERVICES))
def test_nothing_runs_as_root_or_with_rights_or_on_a_root_that_can_be_written(name: str) -> None:
    service = SERVICES[name]
    assert service["user"].split(":")[0] != "0"
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service
    assert service["mem_limit"]


def test_only_loopback_is_published() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_what_it_names_is_there() -> None:
    assert (DEPLOY.parent / SERVICES["server"]["build"]["dockerfile"]).is_file()
    (profile,) = (opt for opt in SERVICES["server"]["security_opt"] if opt.startswith("seccomp="))
    allowed = {
        name
        for rule in json.loads((DEPLOY / profile.removeprefix("seccomp=")).read_text())["syscalls"]
        for name in rule["names"]
        if rule["action"] == "SCMP_ACT_ALLOW"
    }
    assert {"unshare", "mount", "pivot_root", "seccomp"} <= allowed
    assert not allowed & {
        "bpf",
        "init_module",
        "kexec_load",
        "perf_event_open",
        "ptrace",
        "io_uring_setup",
        "userfaultfd",
    }
    volumes = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert volumes == COMPOSE["volumes"].keys()
    grace_s = float(re.sub(r"s$", "", SERVICES["server"]["stop_grace_period"]))
    assert grace_s > load().limits.drain_s
