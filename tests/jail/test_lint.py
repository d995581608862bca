"""What a reason can't excuse in a policy."""

from __future__ import annotations

from pathlib import Path

import pytest

from jail.lint import Severity, lint, main


def findings(folder: Path, text: str) -> list[tuple[Severity, int]]:
    path = folder / "some.policy"
    path.write_text(text)
    return [(finding.severity, finding.line) for finding in lint(path)]


def test_the_policies_that_come_with_the_jail_have_no_errors() -> None:
    assert main([]) == 0


@pytest.mark.parametrize("call", ["ptrace", "bpf", "unshare", "process_vm_writev", "io_uring_setup"])
def test_some_calls_are_never_to_be_allowed(tmp_path: Path, call: str) -> None:
    assert findings(tmp_path, f"read:  # input\n{call}:  # a good reason\n") == [(Severity.ERROR, 2)]


def test_a_call_that_is_refused_with_an_error_is_not_allowed(tmp_path: Path) -> None:
    assert findings(tmp_path, "read:  # input\nptrace: return EPERM  # refused, not killed\n") == []


@pytest.mark.parametrize("call", ["mmap", "mprotect", "clone", "prctl"])
def test_some_calls_need_a_condition(tmp_path: Path, call: str) -> None:
    assert (Severity.ERROR, 1) in findings(tmp_path, f"{call}:  # whatever it asks\n")


def test_a_condition_satisfies(tmp_path: Path) -> None:
    assert findings(tmp_path, "mmap: prot in PROT_READ|PROT_WRITE  # heap\n") == []


def test_ways_to_files_and_networks_are_due_a_review(tmp_path: Path) -> None:
    assert findings(tmp_path, "openat:  # fonts\nconnect:  # licences\n") == [
        (Severity.REVIEW, 1),
        (Severity.REVIEW, 2),
    ]


def test_what_does_not_parse_is_an_error_with_its_line(tmp_path: Path) -> None:
    assert findings(tmp_path, "read:  # input\nwrite fd\n") == [(Severity.ERROR, 2)]


def test_an_error_sets_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.policy").write_text("ptrace:  # why not\n")
    assert main([str(tmp_path / "bad.policy")]) == 1
    assert "bad.policy:1: error: ptrace" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ("mmap: prot in 7", "written and run"),
        ("mmap: prot in PROT_READ|PROT_EXEC", "memory of no file"),
        ("mmap: prot in 3 || flags has MAP_FIXED", "written and run"),
        ("mprotect: prot != 6", "data made code"),
        ("clone: arg0 & 0x10000000 == 0", "a mount namespace"),
        ("ioctl: arg0 == 1", "forged"),
        ("ioctl: arg1 <= 0x6000", "forged"),
        ("prctl: arg0 <= 15", "dumped and traced"),
        ("prlimit64: arg0 == 0", "limits changed"),
    ],
)
def test_a_condition_that_lets_the_danger_through_does_not_satisfy(tmp_path: Path, rule: str, what: str) -> None:
    path = tmp_path / "some.policy"
    path.write_text(f"{rule}  # a good reason\n")
    (error,) = [finding for finding in lint(path) if finding.severity is Severity.ERROR]
    assert what in error.what


def test_code_may_come_from_files_where_it_is_never_written(tmp_path: Path) -> None:
    rule = "mmap: prot in PROT_READ|PROT_EXEC && flags & MAP_ANONYMOUS == 0  # libraries\n"
    assert findings(tmp_path, rule) == []
