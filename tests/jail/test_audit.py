"""Policies as those see them who must approve of them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from jail import audit
from jail.audit import Risk
from jail.errors import PolicyError
from jail.policy import Phase

TEXT = """
read: fd == REQUEST         # input
write: fd == STDERR; return EBADF  # noise
brk:                        # heap
openat:                     # fonts
clone3: return ENOSYS       # libc falls back
@set-up
mremap: flags in MREMAP_MAYMOVE  # tables grow while they load
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "some.policy"
    made.write_text(TEXT)
    return made


def test_a_row_says_call_condition_answer_risk_reason_and_place(path: Path) -> None:
    found = {row.call: row for row in audit.rows(path)}
    assert (found["read"].condition, found["read"].action, found["read"].risk) == (
        "fd == REQUEST",
        "allow",
        Risk.CONDITIONED,
    )
    assert (found["write"].condition, found["write"].action, found["write"].risk) == (
        "fd == STDERR",
        "return EBADF",
        Risk.NONE,
    )
    assert (found["clone3"].condition, found["clone3"].action) == ("", "return ENOSYS")
    assert (found["openat"].risk, found["openat"].reason, found["openat"].path, found["openat"].line) == (
        Risk.HIGH,
        "fonts",
        "some.policy",
        5,
    )
    assert found["brk"].risk is Risk.LOW


def test_rows_of_the_set_up_come_last_with_what_every_cell_needs(path: Path) -> None:
    phases = [row.phase for row in audit.rows(path)]
    assert phases == sorted(phases, key=lambda phase: phase is Phase.SET_UP)
    assert {row.call for row in audit.rows(path) if row.phase is Phase.SET_UP} >= {"mremap", "seccomp", "sendmsg"}


def test_policies_of_one_meaning_do_not_differ(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.policy"
    other.write_text(TEXT.replace("# fonts", "# letters") + "\n")
    assert audit.diff(path, other) == []


def test_a_difference_is_a_rule_that_one_has(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.policy"
    other.write_text(TEXT.replace("fd == REQUEST ", "fd in 3 ").replace("openat:", "brk: addr == 0"))
    assert [str(difference) for difference in audit.diff(path, other)] == [
        "+ work brk: addr == 0  # fonts",
        "- work openat:  # fonts",
        "- work read: fd == REQUEST  # input",
        "+ work read: fd in 3  # input",
    ]


def test_a_call_is_explained_by_what_it_could_do_and_what_becomes_of_it(path: Path) -> None:
    assert audit.explain("ptrace", [path]).splitlines() == [
        "ptrace: takes over other processes; never to be allowed in a cell.",
        "some: not named, so it stops the cell.",
    ]
    assert audit.explain("read", [path]).splitlines()[1:] == [
        "some: allow if fd == REQUEST: input. some.policy:2",
        "some: with any other arguments it stops the cell.",
    ]
    assert "only during set-up" in audit.explain("mremap", [path])


def test_an_export_holds_every_row(path: Path) -> None:
    table = audit.rows(path)
    assert [row["call"] for row in json.loads(audit.to_json(table))] == [row.call for row in table]
    assert [row["reason"] for row in csv.DictReader(io.StringIO(audit.to_csv(table)))] == [row.reason for row in table]


def test_scanners_get_reviews_as_warnings_and_errors_as_errors(path: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.policy"
    bad.write_text("ptrace:  # why not\n")
    (run,) = json.loads(audit.to_sarif([path, bad], "1.0"))["runs"]
    found = [
        (
            result["level"],
            result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            result["locations"][0]["physicalLocation"]["region"]["startLine"],
        )
        for result in run["results"]
    ]
    assert ("warning", "some.policy", 5) in found
    assert ("error", "bad.policy", 1) in found
    assert ("note", "some.policy", 2) in found
    assert {result["ruleId"] for result in run["results"]} <= {rule["id"] for rule in run["tool"]["driver"]["rules"]}


def test_a_policy_that_can_not_be_read_has_no_table(tmp_path: Path) -> None:
    with pytest.raises(PolicyError):
        audit.rows(tmp_path / "nowhere.policy")
