"""Compiled filters as the kernel runs them: read, run here in user space, written out for people.

Classic BPF over ``struct seccomp_data``: the subset that seccomp(2) takes. Sources: the kernel's
Documentation/userspace-api/seccomp_filter.rst and net/core/filter.c; linux/seccomp.h, linux/filter.h, linux/audit.h.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

RET_KILL_PROCESS = 0x8000_0000
RET_KILL_THREAD = 0
RET_TRAP = 0x0003_0000
RET_ERRNO = 0x0005_0000
RET_USER_NOTIF = 0x7FC0_0000
RET_TRACE = 0x7FF0_0000
RET_LOG = 0x7FFC_0000
RET_ALLOW = 0x7FFF_0000
_ACTION = 0xFFFF_0000
_DATA = 0xFFFF
_NAMES = {
    RET_KILL_PROCESS: "KILL_PROCESS",
    RET_KILL_THREAD: "KILL_THREAD",
    RET_TRAP: "TRAP",
    RET_ERRNO: "ERRNO",
    RET_USER_NOTIF: "USER_NOTIF",
    RET_TRACE: "TRACE",
    RET_LOG: "LOG",
    RET_ALLOW: "ALLOW",
}


class Architecture(IntEnum):
    """``AUDIT_ARCH_`` values. Calls of x32 come as x86-64's, with `X32` in the number."""

    X86_64 = 0xC000_003E
    I386 = 0x4000_0003
    AARCH64 = 0xC000_00B7


X32 = 0x4000_0000
"""``__X32_SYSCALL_BIT``."""

_INSTRUCTION = struct.Struct("=HBBI")
_DATA_LAYOUT = struct.Struct("=iIQ6Q")
DATA_BYTES = _DATA_LAYOUT.size
_MAX_INSTRUCTIONS = 4096
_WORD = 0xFFFF_FFFF

_LD_ABS = 0x20
_LD_IMM = 0x00
_JA = 0x05
_AND = 0x54
_RET = 0x06
_JEQ = 0x15
_JUMPS: dict[int, tuple[str, Callable[[int, int], bool]]] = {
    _JEQ: ("jeq", lambda a, k: a == k),
    0x25: ("jgt", lambda a, k: a > k),
    0x35: ("jge", lambda a, k: a >= k),
    0x45: ("jset", lambda a, k: bool(a & k)),
}


class BpfError(ValueError):
    """A program that the kernel would refuse, or that uses what libseccomp never writes."""


@dataclass(frozen=True, slots=True)
class Call:
    """A system call as a filter sees it: ``struct seccomp_data``. ``arguments`` are six unsigned words of 64 bits."""

    number: int
    architecture: int = Architecture.X86_64
    arguments: tuple[int, ...] = (0,) * 6
    instruction_pointer: int = 0

    def packed(self) -> bytes:
        # The kernel's number is an int; -1 and 0xffffffff are one.
        number = (self.number & _WORD) - ((self.number & 0x8000_0000) << 1)
        return _DATA_LAYOUT.pack(number, self.architecture, self.instruction_pointer, *self.arguments)

    @classmethod
    def unpacked(cls, data: bytes) -> Self:
        number, architecture, pointer, *arguments = _DATA_LAYOUT.unpack(data)
        return cls(number, architecture, tuple(arguments), pointer)


@dataclass(frozen=True, slots=True)
class Instruction:
    """``struct sock_filter``."""

    code: int
    if_true: int
    if_false: int
    value: int


Program = tuple[Instruction, ...]


def parse(raw: bytes) -> Program:
    """A program from its bytes, checked as the kernel checks it: every path ends in a return. Raises `BpfError`."""
    if len(raw) % _INSTRUCTION.size or not 0 < len(raw) <= _MAX_INSTRUCTIONS * _INSTRUCTION.size:
        raise BpfError(f"{len(raw)} bytes are no program")
    program = tuple(Instruction(*fields) for fields in _INSTRUCTION.iter_unpack(raw))
    for at, step in enumerate(program):
        if step.code in _JUMPS:
            furthest = at + 1 + max(step.if_true, step.if_false)
        elif step.code == _JA:
            furthest = at + 1 + step.value
        elif step.code == _LD_ABS and (step.value % 4 or step.value >= DATA_BYTES):
            raise BpfError(f"instruction {at} loads from {step.value}, outside the call")
        elif step.code in {_LD_ABS, _LD_IMM, _AND}:
            furthest = at + 1
        elif step.code == _RET:
            continue
        else:
            raise BpfError(f"instruction {at} has the code {step.code:#x}, which is not known here")
        if furthest >= len(program):
            raise BpfError(f"instruction {at} goes past the end")
    return program


def encode(program: Program) -> bytes:
    return b"".join(_INSTRUCTION.pack(step.code, step.if_true, step.if_false, step.value) for step in program)


def evaluate(program: Program, call: Call) -> int:
    """What the kernel would be told of this call: a ``RET_`` action with its data in the low 16 bits."""
    data = call.packed()
    accumulator = at = 0
    while True:
        step = program[at]
        at += 1
        if step.code == _LD_ABS:
            accumulator = int.from_bytes(data[step.value : step.value + 4], "little")
        elif step.code == _RET:
            return step.value
        elif step.code == _JA:
            at += step.value
        elif step.code == _AND:
            accumulator &= step.value
        elif step.code == _LD_IMM:
            accumulator = step.value
        else:
            at += step.if_true if _JUMPS[step.code][1](accumulator, step.value) else step.if_false


def combine(answers: tuple[int, ...]) -> int:
    """What holds of several filters' answers: the most severe, as seccomp(2) orders them."""
    return min(answers, key=lambda answer: (answer & _ACTION) - ((answer & 0x8000_0000) << 1))


def action(answer: int) -> str:
    """An answer in words: "ALLOW", "ERRNO(ENOSYS)"."""
    name, data = _NAMES.get(answer & _ACTION, hex(answer)), answer & _DATA
    if answer & _ACTION == RET_ERRNO:
        return f"{name}({errno.errorcode.get(data, data)})"
    return name


def replaced(program: Program, old: int, new: int) -> Program:
    """The same program with one answer in another's place; no path through it changes."""
    return tuple(Instruction(_RET, 0, 0, new) if step.code == _RET and step.value == old else step for step in program)


def disassemble(program: Program, name: Callable[[int], str] = str) -> Iterator[str]:
    """One line an instruction. ``name`` says what a system call's number means.

    A jump is written as the answer that it leads to, or as how many lines it passes over: so a line more changes few
    others.
    """
    fields = _fields_compared(program)
    for at, loaded in enumerate(fields):
        yield _text(program, at, loaded, name)


def _fields_compared(program: Program) -> list[int | None]:
    """For each instruction the offset of what the accumulator holds, None where that is not one field alone."""
    reached: list[set[int | None]] = [set() for _ in program]
    reached[0].add(None)
    for at, step in enumerate(program):  # jumps go forward only: one pass sees every path
        after = {step.value} if step.code == _LD_ABS else {None} if step.code == _LD_IMM else reached[at]
        if step.code in _JUMPS:
            following = {at + 1 + step.if_true, at + 1 + step.if_false}
        elif step.code == _RET:
            following = set()
        else:
            following = {at + 1 + (step.value if step.code == _JA else 0)}
        for target in following:
            reached[target] |= after
    return [next(iter(held)) if len(held) == 1 else None for held in reached]


def _text(program: Program, at: int, loaded: int | None, name: Callable[[int], str]) -> str:
    step = program[at]
    if step.code == _LD_ABS:
        return f"ld    {_field(step.value)}"
    if step.code == _RET:
        return f"ret   {action(step.value)}"
    if step.code == _JA:
        return f"ja    {_target(program, at, step.value)}"
    if step.code == _AND:
        return f"and   {step.value:#010x}"
    if step.code == _LD_IMM:
        return f"ld    {step.value:#010x}"
    known = f"  # {name(step.value)}" if loaded == 0 and step.code == _JEQ and step.value < X32 else ""
    paths = f"true {_target(program, at, step.if_true)}  false {_target(program, at, step.if_false)}"
    return f"{_JUMPS[step.code][0]:5s} {step.value:#010x}  {paths}{known}"


def _target(program: Program, at: int, over: int) -> str:
    target = program[at + 1 + over]
    return action(target.value) if target.code == _RET else f"+{over}"


def _field(offset: int) -> str:
    if offset < 16:
        return {0: "nr", 4: "arch", 8: "ip.low", 12: "ip.high"}[offset]
    index, half = divmod(offset - 16, 8)
    return f"arg{index}.{'high' if half else 'low'}"
