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
from jail.seccomp import compile_filters

NEVER = frozenset(
    "add_key bpf delete_module finit_module init_module io_uring_enter io_uring_register io_uring_setup kexec_file_load"
    " kexec_load keyctl mount move_mount open_by_handle_at open_tree perf_event_open pidfd_getfd pivot_root"
    " process_vm_readv process_vm_writev ptrace quotactl reboot request_key setns swapon umount2 unshare userfaultfd"
    " vmsplice".split()
)
"""Reach into other processes, into the kernel's own parts, or out of the jail."""
CONDITIONED = frozenset("arch_prctl clone ioctl mmap mprotect pkey_mprotect prctl prlimit64".split())
"""Harmless with some arguments and not with others: never allowed without a condition."""
REVIEWED = frozenset(
    "accept accept4 bind clone connect creat execve execveat fork kill listen open openat openat2 recvfrom recvmsg"
    " rename renameat renameat2 sendmsg sendto socket tgkill unlink unlinkat vfork".split()
)
"""Open a way to files, networks or other programs: a change of a policy that has one is due a security review."""
POLICIES = Path(__file__).parent / "policy"
_INCLUDED = frozenset({"every-set-up", "program-common"})


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
        elif rule.call in REVIEWED:
            yield Finding(Severity.REVIEW, rule.path, rule.line, f"{rule.call}, allowed because: {rule.reason}")


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
