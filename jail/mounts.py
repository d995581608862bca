"""The root file system of a cell: an empty directory; where it executes a program, what that program needs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from jail import syscalls
from jail.errors import SetUpError
from jail.layers import Layer
from jail.namespaces import userns_advice
from jail.spec import SCRATCH

_FLAGS = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
_BOUND = syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV


def enter_empty_root(mount_point: str) -> None:
    """Make an empty, read-only tmpfs the root, and let go of the old one; no /proc, no /dev.

    ``mount_point`` is any directory that exists: it is covered for a moment, in this mount namespace alone. The root is
    stacked upon itself and the lower one detached, as pivot_root(2) describes under ``pivot_root(".", ".")``.
    """
    _enter(mount_point, (), 0)


def enter_program_root(mount_point: str, paths: Sequence[str], scratch_bytes: int) -> None:
    """The same with ``paths``, files and folders, in their places, read-only; and a scratch, unless of 0, noexec."""
    _enter(mount_point, paths, scratch_bytes)


def _enter(mount_point: str, paths: Sequence[str], scratch_bytes: int) -> None:
    step = "a mount namespace"
    try:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        step = "private propagation of /"
        syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        step = "a tmpfs"
        inodes = 1 + sum(len(Path(path).parts) for path in paths) + bool(scratch_bytes)
        options = f"size={4 * inodes}k,nr_inodes={inodes},mode=0555"
        writable = 0 if paths else syscalls.MS_RDONLY
        syscalls.mount("cloister", mount_point, "tmpfs", _FLAGS | writable, options)
        if paths:
            # Parents first: what lies in a folder that is already there needs no place made for it.
            for path in sorted(set(paths)):
                step = f"binding {path}"
                _bind(path, mount_point + path)
            if scratch_bytes:
                step = f"a tmpfs at {SCRATCH}"
                os.mkdir(mount_point + SCRATCH)
                options = f"size={scratch_bytes},nr_inodes=4096,mode=1777"
                syscalls.mount("cloister", mount_point + SCRATCH, "tmpfs", _FLAGS, options)
            step = "making the root read-only"
            syscalls.mount(
                "none", mount_point, None, syscalls.MS_REMOUNT | syscalls.MS_BIND | _FLAGS | syscalls.MS_RDONLY
            )
        step = "pivot_root"
        os.chdir(mount_point)
        syscalls.pivot_root(".", ".")
        step = "detaching the old root"
        syscalls.umount2(".", syscalls.MNT_DETACH)
        os.chdir("/")
        left = set(os.listdir("/")) - ({Path(path).parts[1] for path in (*paths, SCRATCH)} if paths else set())
    except OSError as error:
        raise SetUpError(
            Layer.MOUNTS, f"{step} failed: {error}", userns_advice("start the server from a real root file system")
        ) from error
    if left:
        raise SetUpError(Layer.MOUNTS, "the new root is not empty", "report this kernel: it should not be")


def _bind(source: str, target: str) -> None:
    """Show ``source`` at ``target``, read-only. What ``source`` links to is what is shown."""
    if not os.path.exists(target):
        os.makedirs(os.path.dirname(target), mode=0o555, exist_ok=True)
        if os.path.isdir(source):
            os.mkdir(target, mode=0o555)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o444))
    syscalls.mount(source, target, None, syscalls.MS_BIND | syscalls.MS_REC)
    syscalls.add_mount_flags(target, _BOUND)
