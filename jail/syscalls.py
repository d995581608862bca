"""System calls that Python 3.11 has no function for, through libc. Each raises OSError as `os` would."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import os
from array import array
from typing import Any

import pyseccomp

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

MOUNT_ATTR_RDONLY = 1
MOUNT_ATTR_NOSUID = 2
MOUNT_ATTR_NODEV = 4
_MOUNT_SETATTR = 442
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000

_PR_SET_MDWE = 65
_PR_MDWE_REFUSE_EXEC_GAIN = 1
_KEYCTL_JOIN_SESSION_KEYRING = 1

MADV_POPULATE_READ = 22
MADV_POPULATE_WRITE = 23
_PROCESS_MADVISE = 440
MOST_AT_ONCE = 1024
"""As many ranges of memory as one call takes: UIO_MAXIOV."""
_HEAP_BLOCK = 16 << 20

_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_libc.malloc.argtypes = (ctypes.c_size_t,)
_libc.malloc.restype = ctypes.c_void_p
_libc.free.argtypes = (ctypes.c_void_p,)
_libc.free.restype = None


def _check(call: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    _check("unshare", _libc.unshare(ctypes.c_int(flags)))


def setns(fd: int, kind: int) -> None:
    _check("setns", _libc.setns(ctypes.c_int(fd), ctypes.c_int(kind)))


def mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    result = _libc.mount(
        source.encode(),
        target.encode(),
        kind.encode() if kind is not None else None,
        ctypes.c_ulong(flags),
        options.encode() if options is not None else None,
    )
    _check("mount", result)


def umount2(target: str, flags: int) -> None:
    _check("umount2", _libc.umount2(target.encode(), ctypes.c_int(flags)))


def add_mount_flags(target: str, flags: int) -> None:
    """Set ``MOUNT_ATTR_`` flags on a mount and all mounts below it; mount_setattr(2), Linux 5.12."""
    attributes = (ctypes.c_uint64 * 4)(flags, 0, 0, 0)
    raw(
        "mount_setattr",
        _MOUNT_SETATTR,
        ctypes.c_long(_AT_FDCWD),
        ctypes.c_char_p(target.encode()),
        ctypes.c_ulong(_AT_RECURSIVE),
        ctypes.byref(attributes),
        ctypes.c_ulong(ctypes.sizeof(attributes)),
    )


def pivot_root(new_root: str, put_old: str) -> None:
    _check("pivot_root", _libc.pivot_root(new_root.encode(), put_old.encode()))


def close_range(first: int, last: int) -> None:
    """Close every descriptor from ``first`` to ``last``. Unlike `os.closerange`, says so where it could not."""
    _check("close_range", _libc.close_range(ctypes.c_uint(first), ctypes.c_uint(last), ctypes.c_int(0)))


def clear_capabilities() -> None:
    """Empty the effective, permitted and inheritable sets, capabilities unknown to any library included."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _check("capset", _libc.capset(header, (ctypes.c_uint32 * 6)()))


def has_capabilities() -> bool:
    """Whether any capability is left in the effective, permitted or inheritable set."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()
    _check("capget", _libc.capget(header, sets))
    return any(sets)


def refuse_new_code() -> bool:
    """Let no memory of this process and of those it starts become code; False before Linux 6.3.

    Source: PR_SET_MDWE(2const).
    """
    return bool(_libc.prctl(_PR_SET_MDWE, *map(ctypes.c_ulong, (_PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0))) == 0)


def run_only(start: int, length: int) -> None:
    """Have whole pages of this process's memory be read and run, and written no more; mprotect(2)."""
    _check("mprotect", _libc.mprotect(start, length, mmap.PROT_READ | mmap.PROT_EXEC))


def leave_session_keyring() -> None:
    """Have this process and those it starts hold an empty keyring instead of its session's; keyctl(2)."""
    number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, "keyctl")
    raw("keyctl", number, ctypes.c_long(_KEYCTL_JOIN_SESSION_KEYRING), None)


def setrlimit(limit: int, soft: int, hard: int) -> None:
    """As `resource.setrlimit`, but by the call of that name: libc's makes another, which also reads limits."""
    number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, "setrlimit")
    raw("setrlimit", number, ctypes.c_long(limit), ctypes.byref((ctypes.c_ulong * 2)(soft, hard)))


def grow_heap(size: int) -> None:
    """Have ``size`` bytes of free heap in one piece, untouched, where `jail.environment` keeps malloc from trimming."""
    # Blocks that are neither mapped on their own nor found among what is free already.
    blocks = [_libc.malloc(_HEAP_BLOCK) for _ in range(size // _HEAP_BLOCK)]
    for block in blocks:
        _libc.free(block)


def try_madvise(start: int, length: int, advice: int) -> bool:
    """Give advice on memory; False where the kernel does not take it."""
    return bool(_libc.madvise(start, length, advice) == 0)


def advise(ranges: array[int], advice: int) -> None:
    """Give advice on ranges of this process's memory, first address and length of each in turn; pass over what fails.

    In one call for many where the kernel takes any advice so (Linux 6.13), else in one for each; process_madvise(2).
    """
    own = os.pidfd_open(os.getpid())
    try:
        place, taken = 0, 1
        while taken and place < len(ranges):
            taken = _advised(own, ranges[place : place + 2 * MOST_AT_ONCE], advice)
            place += 2 * taken
    finally:
        os.close(own)
    for start, length in zip(ranges[place::2], ranges[place + 1 :: 2], strict=True):
        try_madvise(start, length, advice)


def _advised(pidfd: int, ranges: array[int], advice: int) -> int:
    """How many of the ranges one call took, from the first on."""
    address, words = ranges.buffer_info()
    done = int(
        _libc.syscall(
            ctypes.c_long(_PROCESS_MADVISE),
            ctypes.c_int(pidfd),
            ctypes.c_void_p(address),
            ctypes.c_size_t(words // 2),
            ctypes.c_int(advice),
            ctypes.c_uint(0),
        )
    )
    return sum(end <= done for end in itertools.accumulate(ranges[1::2]))


def can_populate() -> bool:
    """Whether this kernel fills memory on demand (Linux 5.14)."""
    return try_madvise(0, 0, MADV_POPULATE_WRITE)


def malloc_trim() -> None:
    """Give free memory of the heap back to the kernel."""
    _libc.malloc_trim(ctypes.c_size_t(0))


def raw(
    call: str, number: int, *arguments: ctypes.c_long | ctypes.c_void_p | ctypes.c_ulong | ctypes.c_char_p | Any
) -> int:
    """A system call that libc has no function for, by its number."""
    return _check(call, int(_libc.syscall(ctypes.c_long(number), *arguments)))
