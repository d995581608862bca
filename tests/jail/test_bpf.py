"""Compiled policies, run in user space: every call by every entry point, against what the text says."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pyseccomp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jail import bpf, policy
from jail.bpf import Architecture, BpfError, Call, Instruction
from jail.policy import Phase, Policy
from jail.seccomp import Filters, compile_filters
from jail.spec import ZygoteSpec

POLICIES = ("base", "scribe", "tesseract", "program", "program-network")
NUMBERS = (*range(-2, 1100), *range(bpf.X32 - 2, bpf.X32 + 700), 0x7FFFFFFF, -(1 << 31))
"""All calls that any of the architectures has, with room above, and all of x32's."""
EDGES = (0, 1, 2, 3, 4, 5, 7, 0x22, 0x4022, 0xFFFFFFFF, 1 << 32, (1 << 32) | 4, (1 << 64) - 1, (1 << 64) - 100)
PINNED = {"read": (3,), "write": (4,), "mmap": (0, 0, 3, 0x22), "madvise": (0, 0, 4), "close_range": (5,)}


@pytest.fixture(scope="module", params=POLICIES)
def compiled(request: pytest.FixtureRequest) -> tuple[Policy, Filters]:
    read = policy.read(ZygoteSpec("no:Job", policy=request.param).policy_path)
    return read, compile_filters(read)


def meant(read: Policy, phase: Phase, call: Call) -> str:
    """What the text says of a call."""
    native = call.architecture == Architecture.X86_64 and 0 <= call.number < bpf.X32
    name = NAMES.get(call.number) if native else None
    rule = read.rule(phase, name, call.arguments) if name is not None else None
    if rule is None:
        return "KILL_PROCESS"
    return "ALLOW" if rule.errno is None else f"ERRNO({errno.errorcode[rule.errno]})"


def name_of(number: int) -> str | None:
    try:
        return str(pyseccomp.resolve_syscall(pyseccomp.Arch.X86_64, number).decode())
    except ValueError:
        return None


NAMES = {number: name for number in range(1100) if (name := name_of(number)) is not None}
words = st.one_of(st.sampled_from(EDGES), st.integers(0, (1 << 64) - 1))


@pytest.mark.parametrize("phase", Phase)
def test_every_call_of_every_architecture_is_answered_as_the_text_says(
    compiled: tuple[Policy, Filters], phase: Phase
) -> None:
    read, filters = compiled
    wrong = []
    for number in NUMBERS:
        name = NAMES.get(number, "")
        for arguments in ((0,) * 6, (*PINNED.get(name, ()), *(0,) * 6)[:6], ((1 << 64) - 1,) * 6):
            for architecture in Architecture:
                call = Call(number, architecture, arguments)
                answer = bpf.action(filters.answer(phase, call))
                if answer != meant(read, phase, call):
                    wrong.append((name, call, answer, meant(read, phase, call)))
    assert not wrong


@pytest.mark.parametrize("phase", Phase)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_arguments_of_named_calls_are_weighed_as_the_text_says(
    compiled: tuple[Policy, Filters], phase: Phase, data: st.DataObject
) -> None:
    read, filters = compiled
    name = data.draw(st.sampled_from(sorted({rule.call for rule in read.during(Phase.SET_UP)})))
    number = pyseccomp.resolve_syscall(pyseccomp.Arch.X86_64, name)
    arguments = data.draw(st.tuples(*[words] * 6))
    architecture = data.draw(st.sampled_from(Architecture))
    call = Call(number, architecture, arguments, data.draw(words))
    assert bpf.action(filters.answer(phase, call)) == meant(read, phase, call)


def test_naming_changes_nothing_but_how_a_cell_is_killed(compiled: tuple[Policy, Filters]) -> None:
    _, filters = compiled
    for number in NUMBERS:
        call = Call(number)
        killed, named = bpf.evaluate(filters.first, call), bpf.evaluate(filters.naming, call)
        assert (killed, named) == (bpf.RET_KILL_PROCESS, bpf.RET_USER_NOTIF) or killed == named


def test_clone3_is_answered_as_a_call_that_there_is_not(compiled: tuple[Policy, Filters]) -> None:
    _, filters = compiled
    clone3 = Call(435, arguments=((1 << 64) - 1,) * 6)
    assert {bpf.action(filters.answer(phase, clone3)) for phase in Phase} == {"ERRNO(ENOSYS)"}


def test_the_architecture_is_checked_before_all_else(compiled: tuple[Policy, Filters]) -> None:
    _, filters = compiled
    first, second = list(bpf.disassemble(filters.first))[:2]
    assert first == "ld    arch"
    assert second.split()[:2] == ["jeq", f"{Architecture.X86_64:#010x}"]


@pytest.mark.parametrize("name", ["base", "scribe", "program"])
def test_the_kernel_answers_as_the_evaluator_does(name: str) -> None:
    """A sample of calls that are harmless when they are let through, each made in a process under the filter."""
    path = ZygoteSpec("no:Job", policy=name).policy_path
    filters = compile_filters(policy.read(path))
    program = (
        "import ctypes, os, sys; import prctl; from pathlib import Path; from jail import policy, seccomp\n"
        "ready = seccomp.Ready.of(seccomp.compile_filters(policy.read(Path(sys.argv[1]))))\n"
        "libc = ctypes.CDLL(None, use_errno=True); prctl.set_no_new_privs(1)\n"
        "for text in sys.argv[2:]:\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        ready.enter(None); ready.take_back()\n"
        "        result = libc.syscall(*(ctypes.c_ulong(int(word)) for word in text.split(',')))\n"
        "        os._exit(ctypes.get_errno() if result == -1 else 0)\n"
        "    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    # A call with a descriptor or an address that is not there fails by itself, with EBADF or EFAULT.
    calls = [(n, 900, 0, 0) for n in (0, 1, 3, 5, 8, 16, 17, 19, 32, 39, 63, 72, 96, 102, 110, 186, 228, 435)]
    calls += [(0, 3, 1, 0), (1, 2, 0, 0), (9, 0, 4096, 5, 0x22), (9, 0, 4096, 3, 0x22), (25, 0, 0, 0, 2)]
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), *(",".join(map(str, call)) for call in calls)],
        capture_output=True,
        cwd=Path(__file__).parents[2],
        text=True,
        check=True,
    )
    for (number, *arguments), status in zip(calls, map(int, done.stdout.split()), strict=True):
        call = Call(number, arguments=tuple((*arguments, 0, 0, 0, 0, 0, 0)[:6]))
        answer = filters.answer(Phase.WORK, call)
        assert (status == -31) == (answer == bpf.RET_KILL_PROCESS), (call, status)
        if answer & 0xFFFF0000 == bpf.RET_ERRNO:
            assert status == answer & 0xFFFF


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (b"", "no program"),
        (b"1234567", "no program"),
        (bpf.encode((Instruction(0x20, 0, 0, 0),)), "past the end"),
        (bpf.encode((Instruction(0x15, 0, 9, 0), Instruction(6, 0, 0, 0))), "past the end"),
        (bpf.encode((Instruction(0x20, 0, 0, 64), Instruction(6, 0, 0, 0))), "outside the call"),
        (bpf.encode((Instruction(0x07, 0, 0, 0), Instruction(6, 0, 0, 0))), "not known"),
    ],
)
def test_what_the_kernel_would_refuse_is_refused(program: bytes, message: str) -> None:
    with pytest.raises(BpfError, match=message):
        bpf.parse(program)


def test_the_severest_answer_holds() -> None:
    order = [bpf.RET_KILL_PROCESS, bpf.RET_KILL_THREAD, bpf.RET_TRAP, bpf.RET_ERRNO, bpf.RET_USER_NOTIF, bpf.RET_ALLOW]
    for place, severe in enumerate(order):
        assert all(bpf.combine((milder, severe)) == severe for milder in order[place:])


@given(st.integers(-(1 << 31), (1 << 31) - 1), st.tuples(*[words] * 6), words)
def test_a_call_survives_its_kernel_form(number: int, arguments: tuple[int, ...], pointer: int) -> None:
    call = Call(number, Architecture.I386, arguments, pointer)
    assert Call.unpacked(call.packed()) == call
