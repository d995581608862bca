"""Policies for those who must approve of them: as a table, compared, explained, and as files for other tools."""

from __future__ import annotations

import csv
import errno
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from jail import policy
from jail.lint import CONDITIONED, NEVER, POLICIES, REVIEWED, Finding, Severity, lint
from jail.policy import Phase, Policy, Rule

_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {Severity.ERROR: "error", Severity.REVIEW: "warning"}


class Risk(StrEnum):
    """What a call could do for somebody who has taken a cell over, were this layer the only one."""

    NONE = "none"
    """It is refused: the call is answered with an error and not made."""
    LOW = "low"
    """Acts on the cell's own memory or pipes, or ends it."""
    CONDITIONED = "conditioned"
    """Harmless as far as its conditions go."""
    HIGH = "high"
    """Opens a way to files, networks or other programs: other layers must hold it."""
    FORBIDDEN = "forbidden"
    """Never to be allowed."""


_DANGERS = {
    "arch_prctl": "can move thread-local storage, and with it libc's own state",
    "clone": "makes threads and processes; with CLONE_NEW flags namespaces too, and kernel code meant for root",
    "clone3": "as clone, with its flags in memory, where no filter can check them",
    "execve": "starts another program; what it may do is up to Landlock and this same filter",
    "ioctl": "is a thousand calls in one: terminals take forged input by it (TIOCSTI)",
    "kill": "ends or stops any process that it can see",
    "madvise": "manages memory; MADV_POPULATE and the like belong to set-up",
    "mmap": "maps memory; with PROT_EXEC it makes data code, with MAP_FIXED it replaces what is mapped",
    "mprotect": "changes what memory may do; with PROT_EXEC it makes data code",
    "mremap": "moves memory; with MREMAP_FIXED over what is mapped",
    "open": "opens files; which, only the cell's root and Landlock decide",
    "openat": "opens files; which, only the cell's root and Landlock decide",
    "prctl": "is many calls in one: names, but also dumps, tracing and seccomp itself",
    "prlimit64": "reads and changes limits, other processes' too",
    "ptrace": "takes over other processes",
    "read": "takes in bytes",
    "seccomp": "adds filters, which can only ever take away; or makes a listener, which can let calls pass",
    "sendmsg": "sends bytes and descriptors over a socket",
    "socket": "opens a way to networks and kernel code of every protocol",
    "tgkill": "sends a signal to a thread that it can see",
    "write": "gives out bytes",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A rule, for people. ``condition`` is "" where any arguments do, ``action`` "allow" or "return ERRNO"."""

    policy: str
    phase: Phase
    call: str
    condition: str
    action: str
    risk: Risk
    reason: str
    path: str
    line: int


def rows(path: Path) -> list[Row]:
    """All of a policy, and of what it includes; what is for set-up alone comes last. Raises `PolicyError`."""
    read = policy.read(path)
    ordered = sorted(read.during(Phase.SET_UP), key=lambda rule: rule.phase is Phase.SET_UP)
    return [_row(read, rule) for rule in ordered]


def _row(read: Policy, rule: Rule) -> Row:
    condition = rule.text.partition(";")[0].strip() if rule.alternatives else ""
    action = "allow" if rule.errno is None else f"return {errno.errorcode[rule.errno]}"
    place = Path(rule.path).name
    return Row(read.name, rule.phase, rule.call, condition, action, risk(rule), rule.reason, place, rule.line)


def risk(rule: Rule) -> Risk:
    """The risk of what a rule allows."""
    if rule.errno is not None:
        return Risk.NONE
    if rule.call in NEVER:
        return Risk.FORBIDDEN
    if rule.call in REVIEWED:
        # Of these, a condition makes all the difference to clone alone: it keeps namespaces from being made.
        return Risk.HIGH
    return Risk.CONDITIONED if rule.alternatives else Risk.HIGH if rule.call in CONDITIONED else Risk.LOW


@dataclass(frozen=True, slots=True)
class Difference:
    """A rule that only one of two policies has: ``sign`` is "-" for the first, "+" for the second."""

    sign: str
    row: Row

    def __str__(self) -> str:
        row = self.row
        says = "; ".join(filter(None, (row.condition, "" if row.action == "allow" else row.action)))
        return f"{self.sign} {row.phase} {row.call}:{' ' + says if says else ''}  # {row.reason}"


def diff(first: Path, second: Path) -> list[Difference]:
    """What two policies do not share, by call. Reasons and places make no difference. Raises `PolicyError`."""
    before, after = ({_meaning(row): row for row in rows(path)} for path in (first, second))
    found = [Difference("-", row) for meaning, row in before.items() if meaning not in after]
    found += [Difference("+", row) for meaning, row in after.items() if meaning not in before]
    return sorted(found, key=lambda difference: (difference.row.call, difference.sign == "+"))


def _meaning(row: Row) -> tuple[str, ...]:
    return row.phase, row.call, row.condition, row.action


def explain(call: str, paths: Iterable[Path]) -> str:
    """What a call could do, and what each policy says of it, in plain text. Raises `PolicyError`."""
    lines = [f"{call}: {_danger(call)}."]
    for path in paths:
        named = [row for row in rows(path) if row.call == call]
        if not named:
            lines.append(f"{path.stem}: not named, so it stops the cell.")
        for row in named:
            when = f" (only during {row.phase})" if row.phase is Phase.SET_UP else ""
            condition = f" if {row.condition}" if row.condition else " with any arguments"
            lines.append(f"{path.stem}: {row.action}{condition}{when}: {row.reason}. {row.path}:{row.line}")
        if named and all(row.condition for row in named):
            lines.append(f"{path.stem}: with any other arguments it stops the cell.")
    return "\n".join(lines)


def _danger(call: str) -> str:
    if call in NEVER:
        known = _DANGERS.get(call, "reaches into other processes, into the kernel's own parts, or out of the jail")
        return f"{known}; never to be allowed in a cell"
    if call in REVIEWED:
        known = _DANGERS.get(call, "opens a way to files, networks or other programs")
        return f"{known}; a policy with it is due a security review"
    if call in CONDITIONED:
        return f"{_DANGERS.get(call, 'changes what memory may do')}; never allowed without a condition"
    return _DANGERS.get(call, "nothing is known here that a cell could do with it beyond its own memory and pipes")


def to_json(table: Sequence[Row]) -> str:
    return json.dumps([asdict(row) for row in table], indent=2) + "\n"


def to_csv(table: Sequence[Row]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(Row.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in table)
    return out.getvalue()


def to_sarif(paths: Iterable[Path], version: str) -> str:
    """What lint finds, and as a note each call that is allowed: SARIF 2.1.0, as code scanners give it out."""
    results = []
    for path in paths:
        findings = list(lint(path))
        results += [_result(_LEVELS[found.severity], found.severity.value, found) for found in findings]
        if any(found.severity is Severity.ERROR for found in findings):
            continue
        results += [
            _result("note", "allowed", Finding(Severity.REVIEW, row.path, row.line, f"{row.call}: {row.reason}"))
            for row in rows(path)
            if row.action == "allow"
        ]
    unique = list({json.dumps(result): result for result in results}.values())
    rules = [
        {"id": "error", "shortDescription": {"text": "A policy that must not be used as it is"}},
        {"id": "review", "shortDescription": {"text": "A call that is due a security review"}},
        {"id": "allowed", "shortDescription": {"text": "A call that cells may make"}},
    ]
    driver = {"name": "cloister policy", "version": version, "rules": rules}
    run = {"tool": {"driver": driver}, "results": unique}
    return json.dumps({"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _result(level: str, rule: str, finding: Finding) -> dict[str, object]:
    name = Path(finding.path).name
    uri = f"jail/policy/{name}" if (POLICIES / name).exists() else name
    location: dict[str, object] = {"artifactLocation": {"uri": uri}}
    if finding.line:
        location["region"] = {"startLine": finding.line}
    return {
        "ruleId": rule,
        "level": level,
        "message": {"text": finding.what},
        "locations": [{"physicalLocation": location}],
    }
