"""The layers that shut a cell in, by name."""

from __future__ import annotations

from enum import StrEnum


class Layer(StrEnum):
    """One independent barrier. The order is that in which a cell enters them."""

    USER_NAMESPACE = "user_namespace"
    """Where the server is not root: capabilities to build the rest, in a user namespace of its own."""
    PID_NAMESPACE = "pid_namespace"
    """No process can be seen or signalled; all of a cell dies with its first process, every cell with the zygote."""
    CGROUPS = "cgroups"
    """Memory, number of processes and share of CPU are bounded."""
    NETWORK_NAMESPACE = "network_namespace"
    IPC_NAMESPACE = "ipc_namespace"
    UTS_NAMESPACE = "uts_namespace"
    CGROUP_NAMESPACE = "cgroup_namespace"
    MOUNTS = "mounts"
    """A mount namespace whose root is an empty, read-only file system."""
    RLIMITS = "rlimits"
    """No file grows, no process is made, no descriptor is opened; CPU time and stack are bounded."""
    DESCRIPTORS = "descriptors"
    """Every descriptor but the two pipes is closed."""
    IDENTITY = "identity"
    """An unprivileged user and group, no supplementary groups."""
    CAPABILITIES = "capabilities"
    """No capability in any set, the bounding set included."""
    NO_NEW_PRIVS = "no_new_privs"
    PROCESS = "process"
    """Dies with its parent; can't be traced or dumped; none of its memory becomes code, none of its code can
    be written; holds no keys."""
    LANDLOCK = "landlock"
    """No file, no TCP port, no signal or abstract socket outside, where the kernel has it."""
    SECCOMP = "seccomp"
    """A list of allowed system calls; any other kills the cell."""


OPTIONAL = frozenset({Layer.LANDLOCK})
"""Layers that may be missing from a kernel without the jail refusing to run; they then show as off."""
