"""Cells that make forbidden calls natively, by every entry point that x86-64 has."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable

# mov eax, edi; mov ebx, esi; xor ecx, ecx; xor edx, edx; int 0x80; ret. rbx is the caller's to keep: push and pop.
_INT80 = bytes.fromhex("53 89f8 89f3 31c9 31d2 cd80 5b c3")


class Violations:
    """``run`` makes one call: "native NUMBER ARGUMENT...", "i386 NUMBER ARGUMENT", or "rehearse" before all that."""

    def __init__(self, rehearse: list[int] | None = None) -> None:
        self._rehearse = rehearse or []

    def load(self) -> None:
        # In the zygote, where memory may still be made executable: a gadget that an attacker would have to find.
        self._code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._code.write(_INT80)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._code))
        self._int80 = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int)(address)

    def rehearse(self) -> None:
        if self._rehearse:
            self._call(self._rehearse)

    def run(self, header: bytes, body: memoryview, reply: Callable[[bytes], None]) -> None:
        entry, *numbers = header.decode().split()
        if entry == "i386":
            self._int80(*map(int, numbers))
        else:
            self._call([int(number) for number in numbers])
        reply(b"survived")

    def _call(self, numbers: list[int]) -> None:
        ctypes.CDLL(None).syscall(*(ctypes.c_ulong(number) for number in numbers))
