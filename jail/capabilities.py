"""Privileges of a cell: its user, its capabilities, and what the kernel may do to it and it to others."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import prctl

from jail import mappings, syscalls
from jail.errors import SetUpError
from jail.layers import Layer

NOBODY = 65534
"""User and group of every cell."""


_TO_BUILD = {"sys_admin": 21, "setpcap": 8, "setuid": 7, "setgid": 6}
"""What building a cell without a user namespace takes (capabilities(7))."""


def is_privileged() -> bool:
    """Whether this process may build cells as it is, without a user namespace."""
    status = Path("/proc/self/status").read_text()
    effective = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    return os.geteuid() == 0 and all(effective >> bit & 1 for bit in _TO_BUILD.values())


def last_capability() -> int:
    """The highest capability this kernel knows. Read in the zygote: a cell has no /proc."""
    return int(Path("/proc/sys/kernel/cap_last_cap").read_text())


def drop_bounding_set(last: int) -> None:
    """Take every capability up to ``last`` out of the bounding set. Needs CAP_SETPCAP: so before the user changes."""
    try:
        for capability in range(last + 1):
            prctl.capbset_drop(capability)
    except OSError as error:
        raise SetUpError(
            Layer.CAPABILITIES,
            f"the bounding set can't be emptied: {error}",
            "give the server CAP_SETPCAP, or start it as an ordinary user who may make user namespaces",
        ) from error


def drop_identity(*, privileged: bool) -> None:
    """Become user and group 65534, without supplementary groups.

    Whoever needs a user namespace is 65534 in it already, and the kernel lets nobody drop supplementary groups there
    (user_namespaces(7)).
    """
    try:
        if privileged:
            os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError as error:
        raise SetUpError(
            Layer.IDENTITY,
            f"the cell can't become user {NOBODY}: {error}",
            "give the server CAP_SETUID and CAP_SETGID, or start it as an ordinary user",
        ) from error
    if os.getresuid() != (NOBODY,) * 3 or os.getresgid() != (NOBODY,) * 3 or (privileged and os.getgroups()):
        raise SetUpError(Layer.IDENTITY, "the cell kept an identity it gave up", "report this kernel: it should not be")


def drop_capabilities() -> None:
    """Empty every set, ambient included (it can't hold what the permitted set lacks), and make sure."""
    try:
        syscalls.clear_capabilities()
        left = syscalls.has_capabilities()
    except OSError as error:
        raise SetUpError(
            Layer.CAPABILITIES, f"capabilities can't be dropped: {error}", "allow capset(2) to the server"
        ) from error
    if left:
        raise SetUpError(Layer.CAPABILITIES, "some capabilities were kept", "report this kernel: it should not be")


def forbid_new_privileges() -> None:
    """No execve gains privileges from here on; the kernel asks for this before Landlock and seccomp."""
    try:
        prctl.set_no_new_privs(1)
    except OSError as error:
        raise SetUpError(Layer.NO_NEW_PRIVS, str(error), "allow prctl(2) to the server") from error


def leave_keyring() -> None:
    """Let go of the keys of the server's session, which every process below it would possess. In the keeper."""
    try:
        syscalls.leave_session_keyring()
    except OSError as error:
        # A kernel without keys, or a container whose filter refuses them to all that run in it.
        if error.errno not in {errno.ENOSYS, errno.EPERM}:
            raise SetUpError(Layer.PROCESS, str(error), "raise kernel.keys.maxkeys for the server's user") from error


def seal_code() -> None:
    """Have all code that libraries made while they were loaded be run and written no more. In the zygote, whose cells
    have its memory: a library that makes code for its loops (oneDNN's are hundreds of megabytes) leaves it writable.

    Nothing can be added to it after this.
    """
    for mapping in mappings.own():
        if mapping.access.startswith("rwx"):
            try:
                syscalls.run_only(mapping.start, mapping.end - mapping.start)
            except OSError as error:
                raise SetUpError(Layer.PROCESS, str(error), "allow mprotect(2) to the server") from error


def die_with(parent: int) -> None:
    """Have the kernel end this process when ``parent``, by its id as seen from here, ends; end now where it has.

    A fork does not inherit this, and a change of user makes the kernel forget it: it is to be said anew directly after
    either. Source: PR_SET_PDEATHSIG(2const).
    """
    try:
        prctl.set_pdeathsig(signal.SIGKILL)
    except OSError as error:
        raise SetUpError(Layer.PROCESS, str(error), "allow prctl(2) to the server") from error
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)  # what the kernel would have done, had it been told in time


def seal_process() -> None:
    """No tracing, no dumps; no new code. After the user changed, which would undo the first two.

    Kernels before 6.3 can't refuse new code: there the seccomp policy alone does.
    """
    try:
        prctl.set_dumpable(0)
        syscalls.refuse_new_code()
    except OSError as error:
        raise SetUpError(Layer.PROCESS, str(error), "allow prctl(2) to the server") from error
