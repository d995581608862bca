"""Every attack, in real cells: it bites where nothing stops it, and each of its barriers stops it alone."""

from __future__ import annotations

from pathlib import Path

import pytest

import jail
from jail.attacks import ATTACKS, networked, replies
from jail.attacks.attack import Attack, Guard
from jail.attacks.stage import Outcome
from jail.attacks.suite import Suite, Verdict
from jail.capabilities import is_privileged
from jail.layers import Layer

pytestmark = pytest.mark.timeout(600)
"""An attack is tried five times over, and those that use up time take theirs."""

NAMED = [pytest.param(attack, id=attack.name) for attack in ATTACKS]
ONE_BARRIER = {
    "read its own environment",
    "write over code",
    "enter by i386's calls",
    "enter by x32's calls",
    "make a user namespace",
    "use up memory",
    "find what an earlier request left in memory",
    "overflow the stack",
    "read where nothing is",
    "execute what is no instruction",
    "flood the reply",
    "program: use an inherited descriptor",
    "program: read its own environment",
    "program: execute a program from memory",
    "program: execute what it may read",
    "program: map code that it wrote",
    "program: leave a file for the next request",
    "program: fork many times",
    "program: open sockets of every family",
    "program: enter by i386's calls",
    "program: enter by x32's calls",
    "program: use io_uring",
    "program: use perf events",
    "program: make a user namespace",
    "program: make a user namespace by clone",
    "program: use up memory",
    "program: find what an earlier request left in memory",
    "network: use an inherited descriptor",
    "network: use io_uring",
    "network: make a user namespace",
    "network: learn the host's interfaces",
    "network: speak to the hypervisor",
    "network: use the kernel's ciphers",
    "network: speak another protocol",
    "network: have the kernel run a filter",
    "network: listen on any port",
}
"""What a second one could not be found for; replies that break the rules are the reply parser's alone."""


def check(verdict: Verdict) -> None:
    if not verdict.here:
        pytest.skip(f"this host does not have it: {(verdict.bare or verdict.whole).how}")
    assert verdict.whole.outcome is Outcome.STOPPED
    assert not [barrier for barrier, attempt in verdict.alone.items() if attempt.outcome is not Outcome.STOPPED]
    assert verdict.without_first is None or verdict.without_first.outcome is Outcome.STOPPED
    if verdict.attack.provable and not verdict.bites and not is_privileged():
        pytest.skip("it is stopped, and bites where the server is root alone")
    assert verdict.bites or not verdict.attack.provable


@pytest.mark.parametrize("attack", NAMED)
def test_it_bites_and_is_stopped(suite: Suite, attack: Attack) -> None:
    check(suite.judge(attack, most=2))


@pytest.mark.slow
@pytest.mark.parametrize("attack", [param for param in NAMED if len(param.values[0].barriers) > 2])
def test_each_of_its_barriers_stops_it_alone(suite: Suite, attack: Attack) -> None:
    check(suite.judge(attack))


def test_whatever_has_one_barrier_alone_is_known() -> None:
    alone = {attack.name for attack in ATTACKS if len({*attack.barriers, *attack.given}) < 2}
    assert alone == ONE_BARRIER | {attack.name for attack in ATTACKS if attack.barriers == (Guard.FRAMES,)}


def test_every_layer_that_cells_enter_stops_something() -> None:
    used = {barrier for attack in ATTACKS for barrier in attack.barriers}
    assert used >= set(Layer) - {Layer.USER_NAMESPACE}


def test_a_forged_reply_is_believed(suite: Suite) -> None:
    """A cell that was taken over can say what it likes of its own document: the jail does not claim otherwise.

    It shows too that what the other replies say does reach the server.
    """
    assert suite.attempt(replies.FORGED, frozenset()).outcome is Outcome.REACHED


@pytest.mark.parametrize("attack", [pytest.param(each, id=each.name) for each in networked.ASKED_FOR])
def test_a_program_with_the_network_reaches_whom_the_server_can_reach(suite: Suite, attack: Attack) -> None:
    assert suite.attempt(attack, frozenset()).outcome is Outcome.REACHED


def test_names_are_different() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)


def test_the_readme_shows_every_attack_with_its_barriers() -> None:
    rows = {
        line.split("  ")[0]: line
        for line in (Path(jail.__file__).parent / "README.md").read_text().splitlines()
        if line
    }
    for attack in ATTACKS:
        assert [barrier for barrier in attack.barriers if str(barrier) not in rows[attack.name]] == []
