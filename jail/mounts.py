"""The root file system of a cell: an empty directory."""

from __future__ import annotations

import os

from jail import syscalls
from jail.errors import SetUpError
from jail.layers import Layer
from jail.namespaces import userns_advice

_FLAGS = syscalls.MS_RDONLY | syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC


def enter_empty_root(mount_point: str) -> None:
    """Make an empty, read-only tmpfs the root, and let go of the old one; no /proc, no /dev.

    ``mount_point`` is any directory that exists: it is covered for a moment, in this mount namespace alone. The root is
    stacked upon itself and the lower one detached, as pivot_root(2) describes under ``pivot_root(".", ".")``.
    """
    step = "a mount namespace"
    try:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        step = "private propagation of /"
        syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        step = "an empty tmpfs"
        syscalls.mount("cloister", mount_point, "tmpfs", _FLAGS, "size=4k,nr_inodes=1,mode=0555")
        step = "pivot_root"
        os.chdir(mount_point)
        syscalls.pivot_root(".", ".")
        step = "detaching the old root"
        syscalls.umount2(".", syscalls.MNT_DETACH)
        os.chdir("/")
        left = os.listdir("/")
    except OSError as error:
        raise SetUpError(
            Layer.MOUNTS, f"{step} failed: {error}", userns_advice("start the server from a real root file system")
        ) from error
    if left:
        raise SetUpError(Layer.MOUNTS, "the new root is not empty", "report this kernel: it should not be")
