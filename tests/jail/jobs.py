"""Jobs that do what documents might make a cell do. Native calls go through ctypes, past Python's own manners."""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
import sys
import time
from collections.abc import Callable

_MiB = 1 << 20
Reply = Callable[[bytes], None]


class Deeds:
    """Does what the header names. ``load`` and ``rehearse`` may be made to fail, or to leave a mark in memory."""

    def __init__(self, fail: str = "") -> None:
        self._fail = fail
        self.left_behind = b""
        self._rehearsed = False

    def load(self) -> None:
        if self._fail == "load":
            raise ValueError("no such model")
        if self._fail == "thread":
            import threading

            threading.Thread(target=time.sleep, args=(1e6,), daemon=True, name="helper").start()
        if self._fail == "grpc":
            assert "grpc" not in sys.modules
            assert "asyncio" not in sys.modules

    def rehearse(self) -> None:
        self._rehearsed = True
        if self._fail == "rehearse":
            raise ValueError("no such stage")
        if self._fail == "rehearse_violation":
            os.getppid()

    def run(self, header: bytes, body: memoryview, reply: Reply) -> None:
        deed, _, argument = header.decode().partition(" ")
        getattr(self, deed)(argument, body, reply)

    def echo(self, argument: str, body: memoryview, reply: Reply) -> None:
        reply(b"echo " + argument.encode())
        if len(body):
            reply(bytes(body))

    def pages(self, argument: str, body: memoryview, reply: Reply) -> None:
        for number in range(int(argument)):
            reply(f"page {number}".encode())

    def half(self, argument: str, body: memoryview, reply: Reply) -> None:
        reply(b"one page")
        ctypes.string_at(0)

    def crash(self, argument: str, body: memoryview, reply: Reply) -> None:
        ctypes.string_at(0)

    def error(self, argument: str, body: memoryview, reply: Reply) -> None:
        raise ValueError(bytes(body))

    def memory(self, argument: str, body: memoryview, reply: Reply) -> None:
        hoard = []
        while True:
            block = mmap.mmap(-1, 8 * _MiB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            for page in range(0, len(block), mmap.PAGESIZE):
                block[page] = 1
            hoard.append(block)

    def allocation(self, argument: str, body: memoryview, reply: Reply) -> None:
        bytearray(1 << 55)

    def spin(self, argument: str, body: memoryview, reply: Reply) -> None:
        while True:
            pass

    def complain(self, argument: str, body: memoryview, reply: Reply) -> None:
        libc = ctypes.CDLL(None)
        libc.fputs(b"a library complains", ctypes.c_void_p.in_dll(libc, "stderr"))
        reply(b"done")

    def call(self, argument: str, body: memoryview, reply: Reply) -> None:
        """The system call ``argument`` numbers, with zeros."""
        ctypes.CDLL(None).syscall(int(argument), 0, 0, 0, 0, 0, 0)
        reply(b"survived")

    def open(self, argument: str, body: memoryview, reply: Reply) -> None:
        os.open(argument, os.O_RDONLY)

    def socket(self, argument: str, body: memoryview, reply: Reply) -> None:
        socket.socket()

    def fork(self, argument: str, body: memoryview, reply: Reply) -> None:
        os.fork()

    def executable(self, argument: str, body: memoryview, reply: Reply) -> None:
        mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

    def wrong_descriptor(self, argument: str, body: memoryview, reply: Reply) -> None:
        os.write(int(argument), b"x")

    def raw(self, argument: str, body: memoryview, reply: Reply) -> None:
        """Write the body to the reply pipe as it is, past the frames, and end well."""
        os.write(4, body)
        os._exit(0)

    def flood(self, argument: str, body: memoryview, reply: Reply) -> None:
        while True:
            reply(bytes(_MiB))

    def rehearsed(self, argument: str, body: memoryview, reply: Reply) -> None:
        reply(str(self._rehearsed).encode())

    def leave(self, argument: str, body: memoryview, reply: Reply) -> None:
        self.left_behind += bytes(body)
        reply(self.left_behind)
