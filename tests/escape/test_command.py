"""``cloister attack``: what it prints, and with what it exits."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from jail.attacks import CATALOGUE
from jail.attacks.stage import Attempt, Outcome
from jail.attacks.suite import Suite, Verdict
from jail.layers import Layer
from server.cli import app

STOPPED, REACHED = Attempt(Outcome.STOPPED, "violation"), Attempt(Outcome.REACHED, "")


def test_it_runs_the_attacks_that_are_named_and_says_what_stopped_them() -> None:
    done = CliRunner().invoke(app, ["attack", "make a user namespace", "map code", "--json"])
    assert done.exit_code == 0, done.output
    found = {each["attack"]: each for each in json.loads(done.stdout)}
    assert found.keys() == {
        "make a user namespace",
        "map code",
        "program: make a user namespace",
        "program: make a user namespace by clone",
        "program: map code",
        "program: map code that it wrote",
        "network: make a user namespace",
    }
    assert (found["map code"]["stopped_by"], found["map code"]["second"]) == ("seccomp", "process")
    assert found["make a user namespace"]["second"] is None
    assert all(each["stopped"] for each in found.values())


def test_a_name_that_no_attack_has_is_refused() -> None:
    assert CliRunner().invoke(app, ["attack", "politely ask"]).exit_code == 2


def test_an_attack_that_got_through_is_shown_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(suite: Suite, attack: object, *, most: int | None = None) -> Verdict:
        return Verdict(CATALOGUE["map code"], Layer.SECCOMP, STOPPED, REACHED, {Layer.PROCESS: REACHED}, STOPPED)

    monkeypatch.setattr(Suite, "__enter__", lambda suite: suite)
    monkeypatch.setattr(Suite, "judge", judge)
    done = CliRunner().invoke(app, ["attack", "map code"])
    assert done.exit_code == 1
    assert "NOT STOPPED" in done.stdout
    assert "not by process" in done.stdout
