"""Reads every policy as a suspicious reviewer would. ``python -m jail.lint [FILE ...]`` exits with 1 where one errs.

The parser sees to it that every line has a reason; here is what a reason can't excuse, and what calls for a review.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from jail import policy
from jail.errors import PolicyError
from jail.policy import Rule
from jail.seccomp import compile_filters

NEVER = frozenset(
    "add_key bpf delete_module finit_module init_module io_uring_enter io_uring_register io_uring_setup kexec_file_load"
    " kexec_load keyctl mount move_mount open_by_handle_at open_tree perf_event_open pidfd_getfd pivot_root"
    " process_vm_readv process_vm_writev ptrace quotactl reboot request_key setns swapon umount2 unshare userfaultfd"
    " vmsplice".split()
)
"""Reach into other processes, into the kernel's own parts, or out of the jail."""
CONDITIONED = frozenset("arch_prctl clone ioctl mmap mprotect pkey_mprotect prctl prlimit64 setsockopt socket".split())
"""Harmless with some arguments and not with others: never allowed without a condition."""
REVIEWED = frozenset(
    "accept accept4 bind clone connect creat execve execveat fork kill listen open openat openat2 recvfrom recvmsg"
    " rename renameat renameat2 sendmsg sendto socket tgkill unlink unlinkat vfork".split()
)
"""Open a way to files, networks or other programs: a change of a policy that has one is due a security review."""
POLICIES = Path(__file__).parent / "policy"
_INCLUDED = frozenset({"every-set-up", "program-common"})

_CLONE_NEW = {
    0x20000: "mount",
    0x2000000: "cgroup",
    0x4000000: "UTS",
    0x8000000: "IPC",
    0x10000000: "user",
    0x20000000: "PID",
    0x40000000: "network",
}
_SIGCHLD = 17


@dataclass(frozen=True, slots=True)
class Witness:
    """Arguments that no condition may let through, and what they would do."""

    arguments: tuple[int, ...]
    what: str


def _witness(what: str, **arguments: int) -> Witness:
    """``arguments`` are called arg0 to arg5; those not named are 0."""
    return Witness(tuple(arguments.get(f"arg{place}", 0) for place in range(6)), what)


_WITNESSES: dict[str, tuple[Witness, ...]] = {
    "mmap": tuple(
        _witness(what, arg1=4096, arg2=prot, arg3=flags, arg4=fd)
        for prot, kinds, what in (
            (7, (0x01, 0x02, 0x12, 0x21, 0x22, 0x32, 0x4022), "memory that is written and run"),
            (6, (0x01, 0x02, 0x12, 0x21, 0x22, 0x32, 0x4022), "memory that is written and run"),
            (5, (0x21, 0x22, 0x32, 0x4022), "memory of no file that is run"),
            (4, (0x21, 0x22, 0x32, 0x4022), "memory of no file that is run"),
        )
        for flags in kinds
        for fd in (3, (1 << 32) - 1, (1 << 64) - 1)
    ),
    "mprotect": tuple(_witness("data made code", arg1=4096, arg2=prot) for prot in (4, 5, 6, 7)),
    "pkey_mprotect": tuple(_witness("data made code", arg1=4096, arg2=prot) for prot in (4, 5, 6, 7)),
    "clone": tuple(
        _witness(f"a {kind} namespace of its own", arg0=flag | rest)
        for flag, kind in _CLONE_NEW.items()
        for rest in (0, _SIGCHLD)
    ),
    "ioctl": tuple(
        _witness("input forged for a terminal", arg0=fd, arg1=request)
        for fd in (0, 1, 3)
        for request in (0x5412, 0x541C, 0x5412 | 1 << 32)
    ),
    "prctl": (
        _witness("a process that can be dumped and traced", arg0=4, arg1=1),
        _witness("a process that can be traced by any", arg0=0x59616D61, arg1=(1 << 64) - 1),
        _witness("a process that outlives its zygote", arg0=1),
        _witness("a filter or listener of its own", arg0=22, arg1=2),
        _witness("capabilities kept", arg0=8, arg1=1),
    ),
    "prlimit64": (
        _witness("limits changed", arg1=7, arg2=4096),
        _witness("another process's limits", arg0=1, arg1=7, arg2=4096),
    ),
    "socket": (
        _witness("a raw socket", arg0=2, arg1=3, arg2=1),
        _witness("a raw socket", arg0=10, arg1=3, arg2=58),
        *(
            _witness(f"a socket of the family {family}", arg0=number, arg1=kind)
            for number, family in ((16, "netlink"), (17, "packet"), (38, "alg"), (40, "vsock"), (44, "xdp"))
            for kind in (1, 2, 3, 5)
        ),
        *(
            _witness(f"the protocol {protocol}, which a kernel may load", arg0=2, arg1=kind, arg2=number)
            for number, kind, protocol in ((132, 1, "SCTP"), (256, 1, "SMC"), (115, 2, "L2TP"), (136, 2, "UDP-Lite"))
        ),
    ),
    "setsockopt": (
        *(_witness("a filter in BPF", arg1=1, arg2=option) for option in (26, 50, 51, 52)),
        _witness("TLS in the kernel", arg1=6, arg2=31),
        _witness("a table of the firewall", arg1=0, arg2=64),
        _witness("a table of the firewall", arg1=41, arg2=64),
    ),
    "arch_prctl": (_witness("CPUID made to fault", arg0=0x1012), _witness("the vDSO mapped anew", arg0=0x2003)),
}
"""What `CONDITIONED` calls must not be let do by any condition, by example: Linux's own headers have the numbers."""


class Severity(StrEnum):
    ERROR = "error"
    REVIEW = "review"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, or due a second pair of eyes, in a line of a policy."""

    severity: Severity
    path: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.severity}: {self.what}"


def lint(path: Path) -> Iterator[Finding]:
    """The findings in a policy and what it includes."""
    try:
        read = policy.read(path)
        compile_filters(read)
    except PolicyError as error:
        yield Finding(Severity.ERROR, error.path, error.line, error.what)
        return
    for rule in read.rules:
        if rule.errno is not None:
            continue
        if rule.call in NEVER:
            yield Finding(Severity.ERROR, rule.path, rule.line, f"{rule.call} is never to be allowed in a cell")
        elif rule.call in CONDITIONED and not rule.alternatives:
            yield Finding(Severity.ERROR, rule.path, rule.line, f"{rule.call} is allowed with any arguments")
        elif (unsafe := _unsafe(rule)) is not None:
            shown = ", ".join(map(hex, unsafe.arguments))
            what = f"{rule.call}'s condition lets through {unsafe.what}: {rule.call}({shown})"
            yield Finding(Severity.ERROR, rule.path, rule.line, what)
        elif rule.call in REVIEWED:
            yield Finding(Severity.REVIEW, rule.path, rule.line, f"{rule.call}, allowed because: {rule.reason}")


def _unsafe(rule: Rule) -> Witness | None:
    """Arguments that a rule lets through and must not; None where there are none known."""
    return next((known for known in _WITNESSES.get(rule.call, ()) if rule.holds(known.arguments)), None)


def own_policies() -> list[Path]:
    """The policies that come with the jail, but for what is only ever included: that is read with its includers."""
    return sorted(path for path in POLICIES.glob("*.policy") if path.stem not in _INCLUDED)


def main(names: Sequence[str]) -> int:
    """Lint the policies named, or all that come with the jail. Returns the exit code."""
    paths = [Path(name) for name in names] or own_policies()
    findings = list(dict.fromkeys(finding for path in paths for finding in lint(path)))
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    for finding in errors:
        print(finding, file=sys.stderr)
    due = sorted({Path(finding.path).name for finding in findings if finding.severity is Severity.REVIEW})
    print(
        f"{len(paths)} policies, {len(errors)} errors; a change is due a security review in: {', '.join(due) or 'none'}"
    )
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
