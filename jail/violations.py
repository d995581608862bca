"""Calls that cells died of: heard of in the zygote, named in the server.

Each cell hands its zygote the descriptor of its filter (see `jail.seccomp`). What comes over it is the kernel's word,
not the cell's. Sources: seccomp_unotify(2), linux/seccomp.h.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyseccomp

from jail import bpf
from jail.policy import Phase
from jail.result import Violation

_NOTIFICATION = struct.Struct("=QII")
"""``struct seccomp_notif`` before its data: id, process, flags."""
_RECEIVE = 0xC0502100
"""``SECCOMP_IOCTL_NOTIF_RECV``."""
_ANSWER = struct.Struct("=QqiI")
_SEND = 0xC0182101
"""``SECCOMP_IOCTL_NOTIF_SEND``."""
_CONTINUE = 1
_NAME_BYTES = 32
_ARCHITECTURES: dict[int, int] = {
    bpf.Architecture.X86_64: pyseccomp.Arch.X86_64,
    bpf.Architecture.I386: pyseccomp.Arch.X86,
    bpf.Architecture.AARCH64: pyseccomp.Arch.AARCH64,
}


@dataclass(frozen=True, slots=True)
class Notice:
    """A call that stands still until it is answered. ``pid`` is its thread, as the reader of the notice sees it."""

    id: int
    pid: int
    call: bpf.Call


def receive(listener: int) -> Notice | None:
    """The next call that waits for an answer; None where there is none, or where its thread has ended meanwhile."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    # At the end of a cell there is a hang-up alone, and reading would wait for ever.
    if not any(events & select.POLLIN for _, events in poll.poll(0)):
        return None
    notice = bytearray(_NOTIFICATION.size + bpf.DATA_BYTES)
    try:
        fcntl.ioctl(listener, _RECEIVE, notice)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
        return None
    key, pid, _ = _NOTIFICATION.unpack_from(notice)
    return Notice(key, pid, bpf.Call.unpacked(bytes(notice[_NOTIFICATION.size :])))


def dangerously_let_pass(listener: int, notice: Notice) -> None:
    """Let the call be made as if there were no filter. For profiles of policies alone."""
    # Its thread may have been killed since.
    with contextlib.suppress(FileNotFoundError):
        fcntl.ioctl(listener, _SEND, bytearray(_ANSWER.pack(notice.id, 0, 0, _CONTINUE)))


def answer_with_error(listener: int, notice: Notice, number: int) -> None:
    """Have the call fail with this errno, unmade."""
    with contextlib.suppress(FileNotFoundError):
        fcntl.ioctl(listener, _SEND, bytearray(_ANSWER.pack(notice.id, 0, -number, 0)))


class Watch:
    """In the zygote: waits for forbidden calls of all its cells. Readable, for `select`, when there may be one."""

    def __init__(self) -> None:
        self._inbox, self._outbox = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._inbox.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._inbox, select.EPOLLIN)
        self._listeners: dict[int, int] = {}
        """By cell number."""
        self._cells: dict[int, int] = {}
        """Cell numbers by listener, while it is waited on."""
        self._violations: dict[int, bpf.Call] = {}

    def fileno(self) -> int:
        return self._epoll.fileno()

    @property
    def handover(self) -> int:
        """The end that cells send their descriptors to. One for all: a cell closes it before it meets a document."""
        return self._outbox.fileno()

    def violators(self) -> Iterator[int]:
        """Numbers of the cells that made a forbidden call since the last time: each is to be killed at once."""
        for cell, listener in self.callers():
            notice = receive(listener)
            if notice is not None:
                self._violations[cell] = notice.call
                self._ignore(listener)  # its other threads' calls wait for the kill
                yield cell

    def callers(self) -> Iterator[tuple[int, int]]:
        """Cells that have called, by number, each with its descriptor. Those that have ended are waited on no more."""
        for fd, events in self._epoll.poll(0):
            if fd == self._inbox.fileno():
                self._take_listeners()
            elif events & select.EPOLLIN:
                yield self._cells[fd], fd
            else:
                self._ignore(fd)

    def forget(self, cell: int) -> list[int] | None:
        """The cell is reaped: the violation that it was killed for, as `named` takes it, or None."""
        self._take_listeners()
        listener = self._listeners.pop(cell, None)
        if listener is not None:
            self._ignore(listener)
            os.close(listener)
        call = self._violations.pop(cell, None)
        return None if call is None else [call.architecture, call.number, *call.arguments]

    def close(self) -> None:
        """There will be no more cells."""
        self._epoll.close()

    def _take_listeners(self) -> None:
        while True:
            try:
                name, descriptors, _, _ = socket.recv_fds(self._inbox, _NAME_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            self._listeners[int(name)] = descriptors[0]
            self._cells[descriptors[0]] = int(name)
            self._epoll.register(descriptors[0], select.EPOLLIN)

    def _ignore(self, listener: int) -> None:
        if self._cells.pop(listener, None) is not None:
            self._epoll.unregister(listener)


def named(numbers: Sequence[int], phase: Phase) -> Violation:
    """A violation as its zygote tells it, for people."""
    architecture, number, *arguments = numbers
    return Violation(call_name(number, architecture), tuple(arguments), phase)


def call_name(number: int, architecture: int = bpf.Architecture.X86_64) -> str:
    """A call's name, with its entry point where that is not this host's own: "x32 write", "i386 execve"."""
    arch, prefix = _ARCHITECTURES.get(architecture), ""
    if architecture == bpf.Architecture.X86_64 and number >= bpf.X32:
        arch, prefix = pyseccomp.Arch.X32, "x32 "
    elif architecture != pyseccomp.system_arch():
        prefix = f"{_architecture_name(architecture)} "
    try:
        if number < 0 or arch is None:
            raise ValueError("libseccomp takes numbers below 0 for calls of its own making")
        name: str = pyseccomp.resolve_syscall(arch, number).decode()
    except ValueError:
        name = f"call {number & ~bpf.X32 if number >= 0 else number}"
    return prefix + name


def _architecture_name(value: int) -> str:
    try:
        return bpf.Architecture(value).name.lower()
    except ValueError:
        return f"architecture {value:#x}"
