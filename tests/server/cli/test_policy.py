"""``cloister policy``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from server.cli import app
from server.cli.common import Exit
from tests.server.jobs import document


def policy(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["policy", *arguments])


def test_show_says_how_many_calls_which_engine_and_why() -> None:
    shown = policy("show", "scribe").output
    assert "calls at work. Engines: scribe" in shown
    assert "the request, over one pipe" in shown
    assert "set-up only" in shown


def test_show_takes_all_policies_without_names() -> None:
    shown = policy("show").output
    assert all(f"{name}: " in shown for name in ("base", "program", "program-network", "scribe", "tesseract"))


def test_dump_prints_what_the_kernel_runs() -> None:
    shown = policy("dump", "scribe").output
    assert "ret   ERRNO(ENOSYS)" in shown
    assert shown.index("# first:") < shown.index("# second:")


def test_lint_says_whether_a_review_is_due_and_fails_where_one_errs(tmp_path: Path) -> None:
    good = policy("lint")
    assert (good.exit_code, "security review" in good.output) == (0, True)
    (tmp_path / "bad.policy").write_text("ptrace:  # why not\n")
    assert policy("lint", str(tmp_path / "bad.policy")).exit_code == Exit.FAILED


def test_explain_tells_of_a_call_in_each_policy() -> None:
    shown = policy("explain", "socket", "scribe", "program-network").output
    assert "scribe: not named, so it stops the cell." in shown
    assert "program-network: allow if arg0 & ~8 == 2 && arg1" in shown


def test_what_is_no_system_call_is_not_explained() -> None:
    refused = policy("explain", "raed")
    assert (refused.exit_code, "no system call" in refused.output) == (2, True)


def test_diff_fails_where_there_is_any() -> None:
    assert policy("diff", "base", "base").exit_code == 0
    found = policy("diff", "program", "program-network")
    assert found.exit_code == Exit.FAILED
    assert "+ work connect:" in found.output
    assert "- work socket: return EACCES" in found.output


@pytest.mark.parametrize(("form", "start"), [("json", "["), ("csv", "policy,phase,call"), ("sarif", "{")])
def test_export_writes_for_other_tools(form: str, start: str) -> None:
    written = policy("export", "base", "--format", form)
    assert (written.exit_code, written.output.startswith(start)) == (0, True)


def test_a_policy_that_is_not_there_is_a_wrong_command() -> None:
    refused = policy("show", "scrybe")
    assert refused.exit_code == 2
    assert "scribe" in refused.output


def test_a_file_that_is_no_policy_is_explained_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "bad.policy").write_text("read fd\n")
    refused = policy("show", str(tmp_path / "bad.policy"))
    assert refused.exit_code == Exit.NO_SERVER
    assert "bad.policy:1:" in refused.output


def test_a_profile_must_be_asked_for_by_its_danger(tmp_path: Path) -> None:
    path = tmp_path / "page.png"
    path.write_bytes(document("words"))
    refused = policy("profile", str(path))
    assert refused.exit_code == 2
    assert "--dangerously-let-pass" in refused.output


@pytest.mark.slow
def test_a_profile_of_scribe_needs_nothing_that_its_policy_lacks(tmp_path: Path) -> None:
    """Documents read, damaged, refused and too large, with all outputs: about a minute."""
    from PIL import Image

    path = tmp_path / "page.pdf"
    Image.new("L", (600, 800), 255).save(path)
    done = policy("profile", str(path), "--dangerously-let-pass", "--engine", "scribe")
    assert done.exit_code == 0, done.output
    assert done.output.count("DANGER") >= 2
    assert "used but not allowed:\n   none" in done.output
    assert "read: fd == REQUEST" in done.output


def test_an_export_is_json_of_every_rule() -> None:
    rows = json.loads(policy("export").output)
    assert {"call", "condition", "risk", "reason", "line"} <= set(rows[0])
