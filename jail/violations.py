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
import selectors
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


class Watch:
    """In the zygote: waits for forbidden calls of all its cells. Readable, for `select`, when there may be one."""

    def __init__(self) -> None:
        self._inbox, self._outbox = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._inbox.setblocking(False)
        self._selector = selectors.EpollSelector()
        self._selector.register(self._inbox, selectors.EVENT_READ, None)
        self._listeners: dict[int, int] = {}
        """By cell number."""
        self._violations: dict[int, bpf.Call] = {}

    def fileno(self) -> int:
        return self._selector.fileno()

    @property
    def handover(self) -> int:
        """The end that cells send their descriptors to. One for all: a cell closes it before it meets a document."""
        return self._outbox.fileno()

    def violators(self) -> Iterator[int]:
        """Numbers of the cells that made a forbidden call since the last time: each is to be killed at once."""
        for key, _ in self._selector.select(0):
            if key.data is None:
                self._take_listeners()
                continue
            cell, listener = key.data, key.fd
            notice = receive(listener)
            if notice is None:
                self._drop(cell)  # it has ended
            else:
                self._violations.setdefault(cell, notice.call)
                self._selector.unregister(listener)  # its other threads' calls wait for the kill
                yield cell

    def forget(self, cell: int) -> list[int] | None:
        """The cell is reaped: the violation that it was killed for, as `named` takes it, or None."""
        self._take_listeners()
        self._drop(cell)
        call = self._violations.pop(cell, None)
        return None if call is None else [call.architecture, call.number, *call.arguments]

    def _take_listeners(self) -> None:
        while True:
            try:
                name, descriptors, _, _ = socket.recv_fds(self._inbox, _NAME_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            self._listeners[int(name)] = descriptors[0]
            self._selector.register(descriptors[0], selectors.EVENT_READ, int(name))

    def _drop(self, cell: int) -> None:
        listener = self._listeners.pop(cell, None)
        if listener is not None:
            with contextlib.suppress(KeyError):
                self._selector.unregister(listener)
            os.close(listener)


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
