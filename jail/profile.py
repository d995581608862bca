"""DANGER: cells whose policy records instead of kills, to learn what a policy must allow and what it need not.

Every call of such a cell is put to its zygote, which weighs it against the policy's text, counts it, and lets it pass,
allowed or not. All other layers hold. Source: seccomp_unotify(2), which says why such a filter is no protection.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jail import policy
from jail.audit import Row, rows
from jail.policy import Phase, Policy
from jail.violations import Notice, Watch, answer_with_error, call_name, dangerously_let_pass, receive

_MANY = 8
"""An argument with more values than this is said to have many: an address, a length."""
_ARGUMENTS = 6
_UNHEARD = "sendmsg"
"""Each cell makes it once, before its calls can be put to its zygote."""


@dataclass(slots=True)
class Use:
    """Calls that one rule is for, or none. ``arguments``: for each of six the values it had, None where too many."""

    phase: Phase
    call: str
    rule: tuple[str, int] | None
    """Its file's name and line; None where no rule allows the call or answers it."""
    count: int = 0
    arguments: list[set[int] | None] = field(default_factory=lambda: [set() for _ in range(_ARGUMENTS)])

    def add(self, arguments: Sequence[int]) -> None:
        self.count += 1
        for place, (value, known) in enumerate(zip(arguments, self.arguments, strict=True)):
            if known is not None:
                known.add(value)
                if len(known) > _MANY:
                    self.arguments[place] = None

    def __str__(self) -> str:
        shown = ["*" if known is None else "|".join(map(hex, sorted(known))) for known in self.arguments]
        return f"{self.call}({', '.join(shown[: len(policy.ARGUMENTS.get(self.call, shown))])})"


class Recorder(Watch):
    """A `Watch` that kills no cell. What it has counted it writes to ``out`` at the end."""

    def __init__(self, judged: Policy, out: Path) -> None:
        super().__init__()
        self._policy = judged
        self._out = out
        self._uses: dict[tuple[Phase, str, tuple[str, int] | None], Use] = {}
        self._working: set[int] = set()
        """Numbers of the cells that have ended their set-up."""

    def violators(self) -> Iterator[int]:
        """Counts what cells have called, and lets them go on. There are none."""
        for cell, listener in self.callers():
            while (notice := receive(listener)) is not None:
                self._answer(cell, listener, notice)
        yield from ()

    def _answer(self, cell: int, listener: int, notice: Notice) -> None:
        call = notice.call
        name = call_name(call.number, call.architecture)
        phase = Phase.WORK if cell in self._working else Phase.SET_UP
        rule = self._policy.rule(phase, name, call.arguments)
        place = None if rule is None else (Path(rule.path).name, rule.line)
        self._uses.setdefault((phase, name, place), Use(phase, name, place)).add(call.arguments)
        if name == "seccomp":
            self._working.add(cell)  # the second filter
        if rule is not None and rule.errno is not None:
            answer_with_error(listener, notice, rule.errno)
        else:
            dangerously_let_pass(listener, notice)

    def close(self) -> None:
        """Write what was counted."""
        found = [
            {
                "phase": use.phase,
                "call": use.call,
                "rule": use.rule,
                "count": use.count,
                "arguments": [None if known is None else sorted(known) for known in use.arguments],
            }
            for use in self._uses.values()
        ]
        self._out.write_text(json.dumps(found))


@dataclass(frozen=True, slots=True)
class Profile:
    """What a policy was asked for: ``uses`` by rule, those of no rule (``forbidden``), and rules nothing ``needed``."""

    uses: tuple[Use, ...]
    unused: tuple[Row, ...]

    @property
    def forbidden(self) -> tuple[Use, ...]:
        return tuple(use for use in self.uses if use.rule is None)

    def count(self, row: Row) -> int:
        """How often a rule was needed, set-up and work together."""
        return sum(use.count for use in self.uses if use.rule == (row.path, row.line))

    def working(self, row: Row) -> int:
        """How often a rule was needed at work."""
        return sum(use.count for use in self.uses if use.rule == (row.path, row.line) and use.phase is Phase.WORK)


def read(policy_path: Path, recorded: Sequence[Path]) -> Profile:
    """The profile of a policy from what pools recorded under it. Raises `PolicyError`, OSError."""
    uses: dict[tuple[Phase, str, tuple[str, int] | None], Use] = {}
    for path in recorded:
        for found in json.loads(path.read_text()):
            use = _use(found)
            _merge(uses.setdefault((use.phase, use.call, use.rule), Use(use.phase, use.call, use.rule)), use)
    needed = {use.rule for use in uses.values() if use.phase is Phase.WORK}
    set_up = {use.rule for use in uses.values()}
    unused = [
        row for row in rows(policy_path) if (row.path, row.line) not in (needed if row.phase is Phase.WORK else set_up)
    ]
    ordered = sorted(uses.values(), key=lambda use: (use.phase, -use.count))
    return Profile(tuple(ordered), tuple(unused))


def _use(found: dict[str, Any]) -> Use:
    rule = found["rule"]
    arguments: list[set[int] | None] = [None if known is None else set(known) for known in found["arguments"]]
    place = None if rule is None else (str(rule[0]), int(rule[1]))
    return Use(Phase(found["phase"]), found["call"], place, int(found["count"]), arguments)


def _merge(into: Use, other: Use) -> None:
    into.count += other.count
    for place, (mine, theirs) in enumerate(zip(into.arguments, other.arguments, strict=True)):
        both = None if mine is None or theirs is None else mine | theirs
        into.arguments[place] = None if both is None or len(both) > _MANY else both


def recorder(policy_path: Path, out: str) -> Recorder:
    """What a zygote watches its cells by while a profile is made. Raises `PolicyError`."""
    return Recorder(policy.read(policy_path), Path(out))
