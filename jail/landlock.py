"""Landlock: a ruleset that handles everything the kernel knows and allows none of it (landlock(7))."""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from jail import syscalls
from jail.errors import SetUpError
from jail.layers import Layer

# Numbers shared by all architectures, from include/uapi/asm-generic/unistd.h.
_CREATE_RULESET = 444
_RESTRICT_SELF = 446
_VERSION = 1

_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many rights on files each ABI knows: REFER with 2, TRUNCATE with 3, IOCTL_DEV with 5."""
_NETWORK_RIGHTS = 2
"""TCP bind and connect, from ABI 4."""
_SCOPES = 2
"""Abstract unix sockets and signals, from ABI 6."""
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


def enter(version: int) -> None:
    """Refuse this process all that ABI ``version`` can refuse. Needs no_new_privs."""
    files = (1 << _FILE_RIGHTS[min(version, _ABI_FILES)]) - 1
    network = (1 << _NETWORK_RIGHTS) - 1 if version >= _ABI_NETWORK else 0
    scopes = (1 << _SCOPES) - 1 if version >= _ABI_SCOPES else 0
    # A kernel takes a longer struct than it knows as long as what it does not know is zero.
    attributes = ctypes.create_string_buffer(struct.pack("=QQQ", files, network, scopes), 24)
    try:
        ruleset = syscalls.raw(
            "landlock_create_ruleset",
            _CREATE_RULESET,
            ctypes.cast(attributes, ctypes.c_void_p),
            ctypes.c_ulong(24),
            ctypes.c_ulong(0),
        )
        try:
            syscalls.raw("landlock_restrict_self", _RESTRICT_SELF, ctypes.c_long(ruleset), ctypes.c_ulong(0))
        finally:
            os.close(ruleset)
    except OSError as error:
        raise SetUpError(
            Layer.LANDLOCK,
            str(error),
            "keep the layer no_new_privs, and let the container's seccomp profile allow landlock_restrict_self",
        ) from error
