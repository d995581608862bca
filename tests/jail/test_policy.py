"""Policies as text: what is read, and what is refused, with its line."""

from __future__ import annotations

import errno
import mmap
from pathlib import Path

import pytest

from jail import policy
from jail.errors import PolicyError
from jail.policy import Condition, Operator, Phase
from jail.spec import ZygoteSpec

GOOD = "read: fd == REQUEST  # the request\n"
WORD = (1 << 64) - 1


def read(tmp_path: Path, text: str) -> policy.Policy:
    path = tmp_path / "test.policy"
    path.write_text(text)
    return policy.read(path)


def conditions(tmp_path: Path, rule: str) -> tuple[tuple[Condition, ...], ...]:
    return read(tmp_path, f"{rule}  # why\n").rules[0].alternatives


def test_a_line_says_call_condition_and_reason(tmp_path: Path) -> None:
    (rule,) = read(tmp_path, "# heading\n\n" + GOOD).rules
    assert (rule.call, rule.reason, rule.text, rule.line, rule.errno) == (
        "read",
        "the request",
        "fd == REQUEST",
        3,
        None,
    )
    assert rule.alternatives == ((Condition(0, Operator.EQUAL, policy.REQUEST_FD),),)


def test_no_condition_allows_any_arguments(tmp_path: Path) -> None:
    assert conditions(tmp_path, "brk:") == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prot == PROT_READ|PROT_WRITE", Condition(2, Operator.EQUAL, 3)),
        ("prot != 0x4", Condition(2, Operator.UNEQUAL, 4)),
        ("length <= 4096", Condition(1, Operator.AT_MOST, 4096)),
        ("length < 4096", Condition(1, Operator.LESS, 4096)),
        ("arg5 >= 1", Condition(5, Operator.AT_LEAST, 1)),
        ("offset > 1", Condition(5, Operator.MORE, 1)),
        ("prot in PROT_READ|PROT_WRITE", Condition(2, Operator.MASKED, 0, WORD ^ 3)),
        ("flags has MAP_PRIVATE", Condition(3, Operator.MASKED, 2, 2)),
        ("flags & ~MAP_NORESERVE == MAP_PRIVATE", Condition(3, Operator.MASKED, 2, WORD ^ 0x4000)),
        ("fd == -1", Condition(4, Operator.EQUAL, WORD)),
    ],
)
def test_a_condition_is_on_one_argument(tmp_path: Path, text: str, expected: Condition) -> None:
    assert conditions(tmp_path, f"mmap: {text}") == ((expected,),)


def test_and_binds_closer_than_or(tmp_path: Path) -> None:
    found = conditions(tmp_path, "mmap: prot == 1 && fd == 2 || prot == 3")
    assert [[condition.value for condition in alternative] for alternative in found] == [[1, 2], [3]]


def test_a_call_can_be_answered_with_an_error(tmp_path: Path) -> None:
    quiet, absent = read(
        tmp_path, GOOD + "write: fd == 2; return EBADF  # quiet\nclone3: return ENOSYS  # absent\n"
    ).rules[1:]
    assert (quiet.errno, len(quiet.alternatives)) == (errno.EBADF, 1)
    assert (absent.errno, absent.alternatives) == (errno.ENOSYS, ())


def test_an_included_policy_comes_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "base.policy").write_text(GOOD)
    rules = read(tmp_path, "@include base.policy\nbrk:  # heap\n").rules
    assert [(rule.call, Path(rule.path).name, rule.line) for rule in rules] == [
        ("read", "base.policy", 1),
        ("brk", "test.policy", 2),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "allows nothing"),
        ("# only words\n", "allows nothing"),
        ("clone3: return ENOSYS  # absent\n", "allows nothing"),
        (GOOD + "write: fd == REPLY\n", ":2: write is allowed without a reason"),
        (GOOD + "write: fd == REPLY #\n", ":2: write is allowed without a reason"),
        (GOOD + "write\n", ":2: 'write' is not 'call: conditions  # reason'"),
        (GOOD + "write: colour == 1  # why\n", ":2: write has no argument 'colour' .known: fd, buf, count"),
        (GOOD + "uname: buf == 1  # why\n", ":2: uname has no argument 'buf' .known: arg0 to arg5"),
        (GOOD + "write: fd == REPLAY  # why\n", ":2: REPLAY is not a known constant"),
        (GOOD + "write: fd == three  # why\n", ":2: 'three' is neither"),
        (GOOD + "write: fd = 3  # why\n", ":2: 'fd = 3' is not a condition"),
        (GOOD + "write: fd == 3 &&  # why\n", ":2: '' is not a condition"),
        (GOOD + "write: fd == 3 && fd != 4  # why\n", ":2: .* two conditions on one argument"),
        (GOOD + "mmap: prot & 1 == 2  # why\n", ":2: .* can never hold"),
        (GOOD + "write: fd == 1; return EFLUB  # why\n", ":2: 'return EFLUB' is not 'return ERRNO'"),
        (GOOD + "write: fd == 1;  # why\n", ":2: '' is not 'return ERRNO'"),
        (GOOD + "write: fd == 1; allow  # why\n", ":2: 'allow' is not 'return ERRNO'"),
        (GOOD + GOOD, r":2: says again what .*test\.policy:1"),
        ("@include ../secret\n", ":1: '@include ../secret' is neither"),
        ("@allow everything\n", ":1: '@allow everything' is neither"),
        ("@include nowhere.policy\n", r"nowhere\.policy: can't be read"),
        ("@include test.policy\n", r"test\.policy:1: an included policy can't include another"),
        (GOOD + "écrire:  # pourquoi\n", "can't be read"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        read(tmp_path, text)


def test_a_policy_that_is_a_directory_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="can't be read"):
        policy.read(tmp_path)


def test_what_follows_set_up_holds_until_the_cell_is_ready(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD + "@set-up\nuname:  # which kernel\n")
    assert [(rule.call, rule.phase) for rule in found.rules] == [("read", Phase.WORK), ("uname", Phase.SET_UP)]
    assert {rule.call for rule in found.during(Phase.WORK)} == {"read"}
    assert {rule.call for rule in found.during(Phase.SET_UP)} >= {"read", "uname", "seccomp", "sendmsg"}
    assert found.rule(Phase.WORK, "uname", (0,) * 6) is None


def test_set_up_of_an_included_policy_ends_with_it(tmp_path: Path) -> None:
    (tmp_path / "base.policy").write_text("@set-up\nuname:  # which kernel\n")
    found = read(tmp_path, "@include base.policy\nbrk:  # heap\n")
    assert [(rule.call, rule.phase) for rule in found.rules] == [("uname", Phase.SET_UP), ("brk", Phase.WORK)]


def test_a_call_is_for_the_set_up_alone_or_for_work_too(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r":1: read is for the set-up alone \(test\.policy:3\)"):
        read(tmp_path, GOOD + "@set-up\nread: fd == 9  # tables\n")
    with pytest.raises(PolicyError, match=r":2: sendmsg is for the set-up alone \(every-set-up\.policy:6\)"):
        read(tmp_path, GOOD + "sendmsg: fd == 7  # answers\n")
    read(tmp_path, GOOD + "sendmsg:  # answers, to anybody\n")


ALLOWED = {"read", "write", "exit_group", "brk", "mmap", "munmap", "mremap", "madvise", "clock_gettime"}


@pytest.mark.parametrize("name", ["base", "scribe"])
def test_a_policy_of_ours_allows_few_calls_and_no_way_out(name: str) -> None:
    rules = policy.read(ZygoteSpec("no:Job", policy=name).policy_path).during(Phase.WORK)
    assert {rule.call for rule in rules if rule.errno is None} == ALLOWED
    # What has arguments that matter has them pinned.
    assert {rule.call for rule in rules if not rule.alternatives} == {"exit_group", "brk", "munmap", "clone3"}


@pytest.mark.parametrize("advice", [mmap.MADV_DONTNEED, mmap.MADV_FREE, mmap.MADV_HUGEPAGE])
@pytest.mark.parametrize("name", ["base", "scribe", "tesseract"])
def test_malloc_may_give_memory_back_and_ask_for_huge_pages(name: str, advice: int) -> None:
    """It does so on some large pages alone, which no profile of small ones shows."""
    rule = policy.read(ZygoteSpec("no:Job", policy=name).policy_path).rule(Phase.WORK, "madvise", (0, 4096, advice))
    assert rule is not None
    assert rule.errno is None
