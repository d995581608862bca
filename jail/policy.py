"""Seccomp policies: text files that a reviewer reads, in the manner of minijail's.

A file holds one system call a line, and says of each why it is allowed::

    @include base.policy
    read: fd == REQUEST                             # the request
    mmap: prot in PROT_READ|PROT_WRITE && fd == -1  # heap
    clone3: return ENOSYS                           # libc falls back to clone
    write: fd == STDERR; return EBADF               # libraries complain there; nobody listens

Grammar, a line::

    line       = "@include" FILE | "@set-up" | call ":" [ rule ] "#" REASON | "#" COMMENT | nothing
    rule       = conditions [ ";" "return" ERRNO ] | "return" ERRNO
    conditions = condition { "&&" condition } { "||" condition { "&&" condition } }
    condition  = argument ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) value
               | argument "&" value "==" value      bits under the first mask are exactly the second
               | argument "in" value                no bit is set beyond these
               | argument "has" value               all of these bits are set
    value      = term { "|" term },  term = [ "~" ] ( NAME | number )

Nothing after the colon allows the call with any arguments. A call not named kills the process. Included files hold no
includes of their own. What follows ``@set-up``, to the end of its file, holds until the cell is ready, and is taken
back before it meets a document; such a call may not be named for its work too.
"""

from __future__ import annotations

import errno
import mmap
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from jail.errors import PolicyError

REQUEST_FD = 3
REPLY_FD = 4
HANDOVER_FD = 5
"""The socket over which a cell gives its zygote the means to name its violations. Gone before it is ready."""

ARGUMENTS: dict[str, tuple[str, ...]] = {
    "read": ("fd", "buf", "count"),
    "write": ("fd", "buf", "count"),
    "brk": ("addr",),
    "mmap": ("addr", "length", "prot", "flags", "fd", "offset"),
    "munmap": ("addr", "length"),
    "mremap": ("old_addr", "old_size", "new_size", "flags", "new_addr"),
    "madvise": ("addr", "length", "advice"),
    "mprotect": ("addr", "length", "prot"),
    "clock_gettime": ("clock", "timespec"),
    "exit_group": ("status",),
    "futex": ("addr", "op", "value"),
    "sendmsg": ("fd", "message", "flags"),
    "close_range": ("first", "last", "flags"),
    "seccomp": ("operation", "flags", "args"),
}
"""Names of arguments by call, from section 2 of the manual. Any call's can be written arg0 to arg5."""

CONSTANTS: dict[str, int] = {
    "REQUEST": REQUEST_FD,
    "REPLY": REPLY_FD,
    "HANDOVER": HANDOVER_FD,
    "STDOUT": 1,
    "STDERR": 2,
    "PROT_NONE": 0,
    "PROT_READ": mmap.PROT_READ,
    "PROT_WRITE": mmap.PROT_WRITE,
    "PROT_EXEC": mmap.PROT_EXEC,
    "MAP_SHARED": mmap.MAP_SHARED,
    "MAP_PRIVATE": mmap.MAP_PRIVATE,
    "MAP_FIXED": 0x10,
    "MAP_ANONYMOUS": mmap.MAP_ANONYMOUS,
    "MAP_NORESERVE": 0x4000,
    "MAP_STACK": 0x20000,
    "MREMAP_MAYMOVE": 1,
    "MREMAP_FIXED": 2,
    "MADV_DONTNEED": mmap.MADV_DONTNEED,
    "MADV_FREE": mmap.MADV_FREE,
    "MADV_HUGEPAGE": mmap.MADV_HUGEPAGE,
    "MADV_NOHUGEPAGE": mmap.MADV_NOHUGEPAGE,
    "CLOCK_REALTIME": 0,
    "CLOCK_MONOTONIC": 1,
    "CLOCK_REALTIME_COARSE": 5,
    "CLOCK_MONOTONIC_COARSE": 6,
    "SECCOMP_SET_MODE_FILTER": 1,
}

_EVERY_SET_UP = Path(__file__).parent / "policy" / "every-set-up.policy"
_WORD = (1 << 64) - 1
_MAX_ARGUMENTS = 6
_LINE = re.compile(r"(?P<call>[a-z_0-9]+)\s*:(?P<rule>[^#]*)(?P<reason>#.*)?")
_RETURN = re.compile(r"return\s+(?P<name>\w+)")
_MASKED = re.compile(r"(?P<argument>\w+)\s*&\s*(?P<mask>[^=!<>&]+?)\s*==\s*(?P<value>.+)")
_COMPARED = re.compile(r"(?P<argument>\w+)\s*(?P<operator>==|!=|<=|>=|<|>|\bin\b|\bhas\b)\s*(?P<value>.+)")
_TERM = re.compile(r"\s*(?P<not>~?)\s*(?:(?P<name>[A-Z_][A-Z_0-9]*)|(?P<number>-?(?:0x[0-9a-f]+|\d+)))\s*")


class Operator(StrEnum):
    EQUAL = "=="
    UNEQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    MASKED = "&"
    """The bits under ``mask`` are exactly ``value``."""


class Phase(StrEnum):
    """When a rule holds, and when a violation happened."""

    SET_UP = "set-up"
    """Until the cell is ready, rehearsal included. It has met no document."""
    WORK = "work"


_COMPARISONS: dict[Operator, Callable[[int, int], bool]] = {
    Operator.EQUAL: operator.eq,
    Operator.UNEQUAL: operator.ne,
    Operator.LESS: operator.lt,
    Operator.AT_MOST: operator.le,
    Operator.MORE: operator.gt,
    Operator.AT_LEAST: operator.ge,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """On one argument, an unsigned word of 64 bits. ``mask`` counts for `Operator.MASKED` alone."""

    argument: int
    operator: Operator
    value: int
    mask: int = _WORD

    def holds(self, arguments: tuple[int, ...]) -> bool:
        found = arguments[self.argument]
        if self.operator is Operator.MASKED:
            return found & self.mask == self.value
        return _COMPARISONS[self.operator](found, self.value)


@dataclass(frozen=True, slots=True)
class Rule:
    """One call, allowed, or answered by ``errno``: under any of ``alternatives`` (each a conjunction; none: always).

    ``text`` is what stands in the file between colon and reason. A rule of `Phase.WORK` holds during set-up as well.
    """

    call: str
    alternatives: tuple[tuple[Condition, ...], ...]
    errno: int | None
    reason: str
    text: str
    path: str
    line: int
    phase: Phase = Phase.WORK

    def holds(self, arguments: tuple[int, ...]) -> bool:
        """Whether it is for a call with these arguments, six unsigned words of 64 bits."""
        return not self.alternatives or any(
            all(condition.holds(arguments) for condition in conditions) for conditions in self.alternatives
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """What a cell may ask of the kernel: the rules of a file and of those it includes, these first.

    ``every_set_up`` is what each cell needs beside them to set itself up, whatever its policy.
    """

    name: str
    rules: tuple[Rule, ...]
    every_set_up: tuple[Rule, ...]

    def during(self, phase: Phase) -> tuple[Rule, ...]:
        """The rules that hold in a phase."""
        if phase is Phase.SET_UP:
            return self.rules + self.every_set_up
        return tuple(rule for rule in self.rules if rule.phase is Phase.WORK)

    @property
    def taken_back(self) -> tuple[Rule, ...]:
        """The rules that end with the set-up."""
        return tuple(rule for rule in self.rules + self.every_set_up if rule.phase is Phase.SET_UP)

    def rule(self, phase: Phase, call: str, arguments: tuple[int, ...]) -> Rule | None:
        """The rule that allows or answers a call; None where it kills."""
        return next((rule for rule in self.during(phase) if rule.call == call and rule.holds(arguments)), None)


def read(path: Path) -> Policy:
    """The policy in a file. Raises `PolicyError` where it can't be read, is malformed or allows nothing."""
    rules = tuple(_rules(path, included=False))
    if not any(rule.errno is None for rule in rules):
        raise PolicyError(str(path), 0, "allows nothing at all")
    unconditional = {rule.call for rule in rules if rule.errno is None and not rule.alternatives}
    # A call that a cell may make at work whatever its arguments, it may make before.
    every = tuple(rule for rule in _rules(_EVERY_SET_UP, included=True) if rule.call not in unconditional)
    found = Policy(path.stem, rules, every)
    working = {rule.call: rule for rule in found.during(Phase.WORK)}
    for rule in found.taken_back:
        if rule.call in working:
            what = (
                f"{rule.call} is for the set-up alone ({Path(rule.path).name}:{rule.line}), and can't be for work too"
            )
            raise PolicyError(working[rule.call].path, working[rule.call].line, what)
    seen: dict[tuple[str, tuple[tuple[Condition, ...], ...]], Rule] = {}
    for rule in rules:
        first = seen.setdefault((rule.call, rule.alternatives), rule)
        if first is not rule:
            raise PolicyError(rule.path, rule.line, f"says again what {first.path}:{first.line} says")
    return found


def _rules(path: Path, *, included: bool) -> Iterator[Rule]:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(str(path), 0, f"can't be read: {error}") from error
    phase = Phase.WORK
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if text == "@set-up":
            phase = Phase.SET_UP
        elif text.startswith("@"):
            directive, _, name = text.partition(" ")
            if directive != "@include" or not re.fullmatch(r"[\w-]+\.policy", name.strip()):
                raise PolicyError(str(path), number, f"{text!r} is neither '@include NAME.policy' nor '@set-up'")
            if included:
                raise PolicyError(str(path), number, "an included policy can't include another")
            yield from _rules(path.parent / name.strip(), included=True)
        else:
            yield _rule(text, str(path), number, phase)


def _rule(line: str, path: str, number: int, phase: Phase) -> Rule:
    match = _LINE.fullmatch(line)
    if match is None:
        raise PolicyError(path, number, f"{line!r} is not 'call: conditions  # reason'")
    call, text = match["call"], match["rule"].strip()
    reason = (match["reason"] or "").strip("# ")
    if not reason:
        raise PolicyError(path, number, f"{call} is allowed without a reason: add '# why'")
    conditions, semicolon, action = text.rpartition(";") if ";" in text else (text, "", "")
    if not semicolon and text.startswith("return"):
        conditions, action = "", text
    try:
        answer = _errno(action.strip()) if action or semicolon else None
        alternatives = _alternatives(call, conditions.strip())
    except ValueError as error:
        raise PolicyError(path, number, str(error)) from None
    return Rule(call, alternatives, answer, reason, text, path, number, phase)


def _errno(action: str) -> int:
    match = _RETURN.fullmatch(action)
    number = getattr(errno, match["name"], None) if match else None
    if not isinstance(number, int):
        raise ValueError(f"{action!r} is not 'return ERRNO'")
    return number


def _alternatives(call: str, text: str) -> tuple[tuple[Condition, ...], ...]:
    if not text:
        return ()
    found = []
    for alternative in text.split("||"):
        conditions = tuple(_condition(call, part.strip()) for part in alternative.split("&&"))
        arguments = [condition.argument for condition in conditions]
        if len(set(arguments)) < len(arguments):
            # libseccomp refuses it, and a mask usually says the same.
            raise ValueError(f"{alternative.strip()!r} has two conditions on one argument")
        found.append(conditions)
    return tuple(found)


def _condition(call: str, text: str) -> Condition:
    if match := _MASKED.fullmatch(text):
        mask, value = _value(match["mask"]), _value(match["value"])
        if value & ~mask:
            raise ValueError(f"{text!r} can never hold: its value has bits outside its mask")
        return Condition(_argument(call, match["argument"]), Operator.MASKED, value, mask)
    match = _COMPARED.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a condition")
    argument, value = _argument(call, match["argument"]), _value(match["value"])
    if match["operator"] == "in":
        return Condition(argument, Operator.MASKED, 0, ~value & _WORD)
    if match["operator"] == "has":
        return Condition(argument, Operator.MASKED, value, value)
    return Condition(argument, Operator(match["operator"]), value)


def _argument(call: str, name: str) -> int:
    if match := re.fullmatch(r"arg([0-5])", name):
        return int(match[1])
    names = ARGUMENTS.get(call, ())
    if name not in names:
        known = ", ".join(names) or f"arg0 to arg{_MAX_ARGUMENTS - 1} alone"
        raise ValueError(f"{call} has no argument {name!r} (known: {known})")
    return names.index(name)


def _value(text: str) -> int:
    total = 0
    for part in text.split("|"):
        match = _TERM.fullmatch(part)
        if match is None:
            raise ValueError(f"{part.strip()!r} is neither a constant nor a number")
        if match["name"] is not None and match["name"] not in CONSTANTS:
            raise ValueError(f"{match['name']} is not a known constant")
        term = CONSTANTS[match["name"]] if match["name"] is not None else int(match["number"], 0)
        total |= ~term if match["not"] else term
    return total & _WORD
