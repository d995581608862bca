"""Landlock: a ruleset that handles everything the kernel knows (landlock(7)).

It allows none of it; to a cell with a program, to execute that and its loader, to read what was put into its root for
it, and to write to its scratch.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Sequence

from jail import syscalls
from jail.errors import SetUpError
from jail.layers import Layer
from jail.spec import SCRATCH

# Numbers shared by all architectures, from include/uapi/asm-generic/unistd.h.
_CREATE_RULESET = 444
_ADD_RULE = 445
_RESTRICT_SELF = 446
_VERSION = 1

_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many rights on files each ABI knows: REFER with 2, TRUNCATE with 3, IOCTL_DEV with 5."""
_BIND_TCP, _CONNECT_TCP = 1, 2
"""From ABI 4."""
_SCOPES = 2
"""Abstract unix sockets and signals, from ABI 6."""
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in range(6))
_MAKE_DIR, _MAKE_REG, _TRUNCATE = 1 << 7, 1 << 8, 1 << 14
_SCRATCH_RIGHTS = _WRITE_FILE | _READ_FILE | _READ_DIR | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _TRUNCATE
_PATH_BENEATH = 1
_ABI_FILES, _ABI_NETWORK, _ABI_SCOPES = 5, 4, 6


def abi() -> int:
    """The version of Landlock this kernel has; 0 where it has none."""
    try:
        return syscalls.raw(
            "landlock_create_ruleset", _CREATE_RULESET, None, ctypes.c_ulong(0), ctypes.c_ulong(_VERSION)
        )
    except OSError as error:
        if error.errno in {errno.ENOSYS, errno.EOPNOTSUPP}:
            return 0
        raise


def enter(
    version: int,
    executed: Sequence[str] = (),
    read: Sequence[str] = (),
    *,
    scratch: bool = False,
    network: bool = False,
) -> None:
    """Refuse this process all that ABI ``version`` can refuse, but for what a program needs. Needs no_new_privs.

    ``executed`` may be executed; it and ``read`` may be read, files and folders; with ``scratch`` files may be made in
    that; with ``network`` others may be called by TCP, and still nobody served.
    """
    files = (1 << _FILE_RIGHTS[min(version, _ABI_FILES)]) - 1
    tcp = (_BIND_TCP if network else _BIND_TCP | _CONNECT_TCP) if version >= _ABI_NETWORK else 0
    scopes = (1 << _SCOPES) - 1 if version >= _ABI_SCOPES else 0
    # A kernel takes a longer struct than it knows as long as what it does not know is zero.
    attributes = ctypes.create_string_buffer(struct.pack("=QQQ", files, tcp, scopes), 24)
    try:
        ruleset = syscalls.raw(
            "landlock_create_ruleset",
            _CREATE_RULESET,
            ctypes.cast(attributes, ctypes.c_void_p),
            ctypes.c_ulong(24),
            ctypes.c_ulong(0),
        )
        try:
            for path in (*executed, *read):
                _allow(ruleset, path, files & (_READ_FILE | _READ_DIR | (_EXECUTE if path in executed else 0)))
            if scratch:
                _allow(ruleset, SCRATCH, files & _SCRATCH_RIGHTS)
            syscalls.raw("landlock_restrict_self", _RESTRICT_SELF, ctypes.c_long(ruleset), ctypes.c_ulong(0))
        finally:
            os.close(ruleset)
    except OSError as error:
        raise SetUpError(
            Layer.LANDLOCK,
            str(error),
            "keep the layer no_new_privs, and let the container's seccomp profile allow landlock_restrict_self",
        ) from error


def _allow(ruleset: int, path: str, rights: int) -> None:
    beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(beneath).st_mode):
            rights &= _EXECUTE | _READ_FILE  # a right that only a folder has would be refused
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, beneath), 12)
        syscalls.raw(
            "landlock_add_rule",
            _ADD_RULE,
            ctypes.c_long(ruleset),
            ctypes.c_ulong(_PATH_BENEATH),
            ctypes.cast(rule, ctypes.c_void_p),
            ctypes.c_ulong(0),
        )
    finally:
        os.close(beneath)
