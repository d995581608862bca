"""What whoever has taken over a cell has: the processor. System calls by number, in machine code, past libc and Python.

Its code is put in place by the zygote, before a cell is jailed: an attacker brings none either, but jumps to what is
there. Elsewhere than on x86-64 the calls go through libc's syscall(2), and what takes machine code is `NotHereError`.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import platform
import struct
from typing import Any, TypeAlias

import pyseccomp

Argument: TypeAlias = "int | bytes | ctypes.Array[Any]"

_WORD = (1 << 64) - 1
_MAX_ERRNO = 4095
_IS_X86_64 = platform.machine() == "x86_64"

# mov rax,[rdi]; mov rsi,[rdi+16]; mov rdx,[rdi+24]; mov r10,[rdi+32]; mov r8,[rdi+40]; mov r9,[rdi+48];
# mov rdi,[rdi+8]; syscall; ret
_SYSCALL = bytes.fromhex("488b07 488b7710 488b5718 4c8b5720 4c8b4728 4c8b4f30 488b7f08 0f05 c3")
# push rbx; mov rax,[rdi]; mov rbx,[rdi+8]; mov rcx,[rdi+16]; mov rdx,[rdi+24]; int 0x80; pop rbx; ret
_INT_80 = bytes.fromhex("53 488b07 488b5f08 488b4f10 488b5718 cd80 5b c3")
_OVERFLOW = bytes.fromhex("50 ebfd")  # push rax; jmp to it
_ILLEGAL = bytes.fromhex("0f0b")  # ud2


class RefusedError(Exception):
    """The kernel said no. The text is the error's name."""


class NotHereError(Exception):
    """This machine or kernel does not have what is attacked."""


class Machine:
    """One processor, ready for use before the jail closes."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.syscall.restype = ctypes.c_long
        # Private, as libraries have their code: what one cell does to it no other meets.
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self._page = mmap.mmap(-1, mmap.PAGESIZE, private, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._base = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        self._end = 0
        self._syscall = self._place(_SYSCALL)
        self._int_80 = self._place(_INT_80)
        self._overflow = self._place(_OVERFLOW)
        self._illegal = self._place(_ILLEGAL)

    @property
    def code(self) -> int:
        """Address of code that was put in place while the zygote loaded, as libraries put theirs."""
        return self._syscall

    def _place(self, code: bytes) -> int:
        """Put code in the page; its address."""
        start = self._end
        self._page[start : start + len(code)] = code
        self._end = start + -(-len(code) // 16) * 16
        return self._base + start

    def call(self, name: str, *arguments: Argument) -> int:
        """A system call. Raises `RefusedError`, or `NotHereError` where this architecture has no such call."""
        number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
        if number < 0:
            raise NotHereError(f"no system call {name} on this architecture")
        return self.call_number(number, *arguments)

    def call_number(self, number: int, *arguments: Argument) -> int:
        if _IS_X86_64:
            return _checked(self._enter(self._syscall, number, arguments))
        words = (ctypes.c_ulong(_word(argument)) for argument in arguments)
        result = int(self._libc.syscall(ctypes.c_long(number), *words))
        return _checked(-ctypes.get_errno() if result == -1 else result)

    def fetch(self, name: str, *arguments: Argument, size: int, after: tuple[Argument, ...] = ()) -> bytes:
        """What a call puts into a buffer, which it takes after ``arguments``, its size next, then ``after``."""
        into = ctypes.create_string_buffer(size)
        filled = self.call(name, *arguments, into, size, *after)
        return into.raw[:filled]

    def call_32(self, number: int, *arguments: Argument) -> int:
        """A call by i386's entry and number. Raises `RefusedError`, `NotHereError`."""
        self.need_x86_64()
        return _checked(self._enter(self._int_80, number, arguments))

    def overflow(self) -> None:
        """Push until the stack ends."""
        self.need_x86_64()
        self._enter(self._overflow, 0, ())

    def break_down(self) -> None:
        """Execute what is no instruction."""
        self.need_x86_64()
        self._enter(self._illegal, 0, ())

    def run(self, address: int) -> int:
        """Call code at ``address``; what it returns."""
        return int(ctypes.PYFUNCTYPE(ctypes.c_long)(address)())

    @staticmethod
    def need_x86_64() -> None:
        if not _IS_X86_64:
            raise NotHereError("machine code is written for x86-64 alone")

    @staticmethod
    def _enter(stub: int, number: int, arguments: tuple[Argument, ...]) -> int:
        words = [_word(argument) for argument in arguments]
        registers = (ctypes.c_uint64 * 7)(number, *words, *[0] * (6 - len(words)))
        return int(ctypes.PYFUNCTYPE(ctypes.c_long, ctypes.c_void_p)(stub)(ctypes.addressof(registers)))


def _word(argument: Argument) -> int:
    if isinstance(argument, bytes):
        return ctypes.cast(ctypes.c_char_p(argument), ctypes.c_void_p).value or 0
    if isinstance(argument, ctypes.Array):
        return ctypes.addressof(argument)
    return argument & _WORD


def _checked(result: int) -> int:
    if -_MAX_ERRNO <= result < 0:
        raise RefusedError(errno.errorcode.get(-result, str(-result)))
    return result


def program(message: bytes, fd: int, *, root_only: bool = False) -> bytes:
    """A whole x86-64 program (ELF) that writes ``message`` to ``fd`` and ends; with ``root_only`` as root alone.

    Sources: elf(5); syscall(2) for the registers.
    """
    Machine.need_x86_64()
    base, head = 0x400000, 64 + 56
    write = b"\xbf" + struct.pack("<I", fd)  # mov edi, fd
    write += b"\xba" + struct.pack("<I", len(message))  # mov edx, length
    write += b"\x48\x8d\x35%b"  # lea rsi, [rip + distance]
    write += b"\xb8\x01\x00\x00\x00\x0f\x05"  # mov eax, write; syscall
    leave = b"\x31\xff\xb8\x3c\x00\x00\x00\x0f\x05"  # xor edi, edi; mov eax, exit; syscall
    distance = struct.pack("<i", len(b"\xb8\x01\x00\x00\x00\x0f\x05") + len(leave))
    code = write.replace(b"%b", distance) + leave
    if root_only:
        # mov eax, geteuid; syscall; test eax, eax; jnz over the write
        code = b"\xb8\x6b\x00\x00\x00\x0f\x05\x85\xc0\x75" + bytes([len(code) - len(leave)]) + code
    size = head + len(code) + len(message)
    elf = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, base + head, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000)
    return elf + segment + code + message
