"""Namespaces of zygote and cells: user, pid, network, IPC, UTS, cgroup (mount: see `jail.mounts`)."""

from __future__ import annotations

import os
from pathlib import Path

from jail import syscalls
from jail.capabilities import NOBODY, is_privileged
from jail.errors import SetUpError
from jail.host import Host
from jail.layers import Layer


def userns_advice(otherwise: str) -> str:
    """What to change on this host so that namespaces can be made; ``otherwise`` where no known obstacle is there."""
    usual = f"start as root with CAP_SYS_ADMIN, or let ordinary users make user namespaces; or {otherwise}"
    return Host.here().advice(otherwise if is_privileged() else usual)


def enter_user_namespace() -> None:
    """Become user 65534 in a new user namespace, with all capabilities in it. Fails where there are threads."""
    uid, gid = os.geteuid(), os.getegid()
    step = "unshare"
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        step = "mapping the user"
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{NOBODY} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{NOBODY} {gid} 1")
    except OSError as error:
        raise SetUpError(
            Layer.USER_NAMESPACE, f"{step} failed: {error}", userns_advice("start the server as root")
        ) from error


def unshare_pid() -> None:
    """Give the next child a PID namespace of its own, whose first process it is."""
    _unshare(Layer.PID_NAMESPACE, syscalls.CLONE_NEWPID)


def return_to_pid(own: int) -> None:
    """Undo `unshare_pid` for further children: ``own`` is a descriptor of this process's own PID namespace."""
    try:
        syscalls.setns(own, syscalls.CLONE_NEWPID)
    except OSError as error:
        raise SetUpError(Layer.PID_NAMESPACE, str(error), userns_advice("start the server as root")) from error


def enter_network() -> None:
    """A network of nothing but a loopback interface that is down."""
    _unshare(Layer.NETWORK_NAMESPACE, syscalls.CLONE_NEWNET)


def enter_ipc() -> None:
    _unshare(Layer.IPC_NAMESPACE, syscalls.CLONE_NEWIPC)


def enter_uts() -> None:
    _unshare(Layer.UTS_NAMESPACE, syscalls.CLONE_NEWUTS)


def enter_cgroup() -> None:
    """See the own cgroup as the root of all. After joining it."""
    _unshare(Layer.CGROUP_NAMESPACE, syscalls.CLONE_NEWCGROUP)


def _unshare(layer: Layer, kind: int) -> None:
    try:
        syscalls.unshare(kind)
    except OSError as error:
        raise SetUpError(layer, str(error), userns_advice("start the server as root")) from error
