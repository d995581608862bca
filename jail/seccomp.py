"""From a policy to seccomp filters, by libseccomp, and into force.

Two filters hold a cell. The first is the policy: whatever it does not name ends the cell. The second, loaded when the
cell is ready, kills on what was for setting up alone. The kernel takes the severest of their answers.

A cell that ends by KILL_PROCESS leaves no word of why. So where it can, the first filter answers USER_NOTIF in
KILL_PROCESS's place: the call is not made, its thread stops inside the kernel, and the zygote, which holds the only
descriptor to answer it by, reads what it was and kills the cell: it never lets a call pass. Should the zygote end, the
cell ends with it; until then each such call fails with ENOSYS, and is still not made. Where there can be no such
descriptor, the first filter kills by itself. Sources: seccomp(2), seccomp_unotify(2).
"""

from __future__ import annotations

import array
import ctypes
import errno
import os
import socket
import struct
from dataclasses import dataclass

import pyseccomp

from jail import bpf, syscalls
from jail.errors import PolicyError, SetUpError
from jail.layers import Layer
from jail.policy import HANDOVER_FD, Condition, Operator, Phase, Policy, Rule

_OPERATORS = {
    Operator.EQUAL: pyseccomp.EQ,
    Operator.UNEQUAL: pyseccomp.NE,
    Operator.LESS: pyseccomp.LT,
    Operator.AT_MOST: pyseccomp.LE,
    Operator.MORE: pyseccomp.GT,
    Operator.AT_LEAST: pyseccomp.GE,
}
_UNKNOWN = -1
"""What libseccomp answers for a name that is no system call (``__NR_SCMP_ERROR``)."""
_SECCOMP = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, "seccomp")
_SET_MODE_FILTER = 1
_NEW_LISTENER = 1 << 3
_LAST_STANDARD = 2
_ALL = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Filters:
    """A policy compiled. ``first`` kills on what the policy does not name, ``second`` on what was for set-up alone."""

    first: bpf.Program
    second: bpf.Program

    @property
    def naming(self) -> bpf.Program:
        """``first`` with USER_NOTIF wherever it kills, and nothing else changed."""
        return bpf.replaced(self.first, bpf.RET_KILL_PROCESS, bpf.RET_USER_NOTIF)

    def answer(self, phase: Phase, call: bpf.Call) -> int:
        """What the kernel does of a call in a phase, evaluated here: a ``RET_`` action of `jail.bpf`."""
        first = bpf.evaluate(self.first, call)
        return first if phase is Phase.SET_UP else bpf.combine((bpf.evaluate(self.second, call), first))


def compile_filters(policy: Policy) -> Filters:
    """Filters that end the process on whatever ``policy`` does not name. Raises `PolicyError`.

    Another architecture's entry points and x32's are checked first, and kill too: libseccomp does so for a filter of
    the native architecture alone.
    """
    first = _compiled(pyseccomp.KILL_PROCESS, policy.during(Phase.SET_UP), None)
    second = _compiled(pyseccomp.ALLOW, policy.taken_back, pyseccomp.KILL_PROCESS)
    return Filters(first, second)


def is_call(name: str) -> bool:
    """Whether libseccomp knows a system call of this name, on any architecture."""
    return bool(pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name) != _UNKNOWN)


def _compiled(default: int, rules: tuple[Rule, ...], action: int | None) -> bpf.Program:
    """A filter of ``rules``: each with ``action``, or with the action that it asks for; the rest by ``default``."""
    compiled = pyseccomp.SyscallFilter(default)
    compiled.set_attr(pyseccomp.Attr.ACT_BADARCH, default)
    for rule in rules:
        if not is_call(rule.call):
            raise PolicyError(rule.path, rule.line, f"{rule.call} is not a system call")
        number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, rule.call)
        if number < 0:
            continue  # libseccomp's number for a call that this architecture does not have
        asked = pyseccomp.ALLOW if rule.errno is None else pyseccomp.ERRNO(rule.errno)
        for conditions in rule.alternatives or ((),):
            try:
                compiled.add_rule_exactly(asked if action is None else action, number, *map(_argument, conditions))
            except OSError as error:
                raise PolicyError(rule.path, rule.line, f"libseccomp refuses it: {error}") from error
    fd = os.memfd_create("filter")
    with os.fdopen(fd, "w+b") as exported:
        compiled.export_bpf(exported)
        exported.seek(0)
        return bpf.parse(exported.read())


def _argument(condition: Condition) -> pyseccomp.Arg:
    if condition.operator is Operator.MASKED:
        return pyseccomp.Arg(condition.argument, pyseccomp.MASKED_EQ, condition.mask, condition.value)
    return pyseccomp.Arg(condition.argument, _OPERATORS[condition.operator], condition.value)


@dataclass(frozen=True, slots=True)
class Loadable:
    """A program where the kernel can read it: made before a cell is forked, kept as long as cells are made."""

    content: ctypes.Array[ctypes.c_char]
    header: bytes

    @classmethod
    def of(cls, program: bpf.Program) -> Loadable:
        raw = bpf.encode(program)
        content = ctypes.create_string_buffer(raw, len(raw))
        # struct sock_fprog: a count, and, aligned, a pointer.
        return cls(content, struct.pack("@HP", len(program), ctypes.addressof(content)))

    def load(self, flags: int = 0) -> int:
        """Put this process under it, for good; a descriptor where ``flags`` ask for one, else 0. Raises OSError."""
        return syscalls.raw(
            "seccomp", _SECCOMP, ctypes.c_ulong(_SET_MODE_FILTER), ctypes.c_ulong(flags), ctypes.c_char_p(self.header)
        )


@dataclass(frozen=True, slots=True)
class Ready:
    """A policy's filters as a cell loads them."""

    first: Loadable
    naming: Loadable
    second: Loadable

    @classmethod
    def of(cls, filters: Filters) -> Ready:
        return cls(Loadable.of(filters.first), Loadable.of(filters.naming), Loadable.of(filters.second))

    @classmethod
    def dangerously_recording(cls, policy: Policy) -> Ready:
        """Filters that put every call to the zygote but the one that gives it the means to hear of them."""
        handover = tuple(rule for rule in policy.every_set_up if rule.call == "sendmsg")
        return cls(
            Loadable.of(compile_filters(policy).first),
            Loadable.of(_compiled(pyseccomp.NOTIFY, handover, None)),
            Loadable.of(_compiled(pyseccomp.ALLOW, (), None)),
        )

    def enter(self, name: bytes | None) -> bool:
        """Put this process under the policy. Raises `SetUpError`.

        ``name`` is what goes over `HANDOVER_FD` beside the descriptor by which violations are named; None where they
        are not to be. Whether they are: not on a kernel without the means, nor where somebody else has such a
        descriptor for this process already.
        """
        try:
            if name is None:
                self.first.load()
                return False
            # Made now: afterwards it would look at what it was given, by calls that no policy allows.
            handover = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, HANDOVER_FD)
            try:
                listener = self.naming.load(_NEW_LISTENER)
            except OSError as error:
                if error.errno not in {errno.EINVAL, errno.EBUSY}:
                    raise
                self.first.load()
                named = False
            else:
                try:
                    handover.sendmsg([name], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener]))])
                except OSError:
                    # The zygote has gone. Whatever is not allowed would wait for who listens: for this process itself.
                    syscalls.close_range(0, _LAST_STANDARD)
                    raise
                named = True
            handover.detach()
            # Whoever holds the listener could let calls pass.
            syscalls.close_range(0, _LAST_STANDARD)
            syscalls.close_range(HANDOVER_FD, _ALL)
            return named
        except OSError as error:
            raise SetUpError(
                Layer.SECCOMP, str(error), "keep the layer no_new_privs, on a kernel with CONFIG_SECCOMP_FILTER"
            ) from error

    def take_back(self) -> None:
        """End the set-up phase: what was allowed for it alone kills from here on. Raises `SetUpError`."""
        try:
            self.second.load()
        except OSError as error:
            raise SetUpError(Layer.SECCOMP, f"the second filter: {error}", "report this kernel") from error
