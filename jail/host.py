"""What this host is, as far as it decides what a jail can be made of. Read from /proc and /sys alone."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_ROOT = Path("/")
_OLDEST_KERNEL = (5, 9)
"""close_range(2) came with it; user notification, pidfds and the rest came before."""


@dataclass(frozen=True, slots=True)
class Host:
    """``kernel`` as uname(2) gives it; ``container``: docker, podman, kubernetes or "" for none that is known.

    ``filtered``: a seccomp filter from outside holds this process already. ``apparmor``: the profile it is confined by,
    "" for none. ``userns_restricted``: which sysctl keeps ordinary users from user namespaces, "" for none.
    """

    kernel: str
    cgroups: int
    container: str
    privileged: bool
    filtered: bool
    apparmor: str
    userns_restricted: str

    @classmethod
    def here(cls, root: Path = _ROOT) -> Self:
        """This host; ``root`` is where its /proc and /sys are."""
        status = _text(root / "proc/self/status")
        return cls(
            kernel=os.uname().release,
            cgroups=2 if (root / "sys/fs/cgroup/cgroup.controllers").exists() else 1,
            container=_container(root),
            privileged=os.geteuid() == 0,
            filtered="\nSeccomp:\t2" in status,
            apparmor=_profile(root),
            userns_restricted=_restriction(root),
        )

    @property
    def too_old(self) -> str:
        """What to say of a kernel that lacks what every cell needs; "" where it does not."""
        match = re.match(r"(\d+)\.(\d+)", self.kernel)
        if match is None or (int(match[1]), int(match[2])) >= _OLDEST_KERNEL:
            return ""
        return f"Linux {self.kernel} is too old: {_OLDEST_KERNEL[0]}.{_OLDEST_KERNEL[1]} or later, 6.1 or later for all"

    def advice(self, otherwise: str) -> str:
        """The change that would let namespaces and mounts be made here; ``otherwise`` where no obstacle is known."""
        found = [
            f"a newer kernel: {self.too_old}" if self.too_old else "",
            "" if self.privileged else _USERNS.get(self.userns_restricted, ""),
            _FILTERED[self.container == "kubernetes"] if self.filtered else "",
            _CONFINED[self.container == "kubernetes"].format(profile=self.apparmor) if self.apparmor else "",
        ]
        return "; and ".join(filter(None, found)) or otherwise


_USERNS = {
    "apparmor_restrict_unprivileged_userns": (
        "AppArmor keeps ordinary users from user namespaces (Ubuntu 23.10 and later): "
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile with 'userns,' for this Python, "
        "or start as root"
    ),
    "unprivileged_userns_clone": "sysctl kernel.unprivileged_userns_clone=1, or start as root",
    "max_user_namespaces": "sysctl user.max_user_namespaces=10000, or start as root",
}
_CALLS = "unshare, setns, mount, umount2, pivot_root, mount_setattr, keyctl, seccomp and landlock_*"
_FILTERED = {
    False: (
        f"a seccomp profile holds this container: one that allows {_CALLS}, by "
        "docker run --security-opt seccomp=PROFILE.json (to find out whether it is that: seccomp=unconfined)"
    ),
    True: (
        f"a seccomp profile holds this pod: one that allows {_CALLS}, by securityContext.seccompProfile "
        "{type: Localhost, localhostProfile: PROFILE.json} (to find out whether it is that: {type: Unconfined})"
    ),
}
_CONFINED = {
    False: (
        "the AppArmor profile {profile} holds this process: one that allows mount, pivot_root and userns, by "
        "docker run --security-opt apparmor=PROFILE (to find out whether it is that: apparmor=unconfined)"
    ),
    True: (
        "the AppArmor profile {profile} holds this pod: one that allows mount, pivot_root and userns, by "
        "securityContext.appArmorProfile"
    ),
}


def _text(path: Path) -> str:
    """What a file of the kernel's says, "" where there is none or it is not for us."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _container(root: Path) -> str:
    if (root / "var/run/secrets/kubernetes.io").exists() or "KUBERNETES_SERVICE_HOST" in os.environ:
        return "kubernetes"
    if (root / "run/.containerenv").exists():
        return "podman"
    return "docker" if (root / ".dockerenv").exists() else ""


def _profile(root: Path) -> str:
    """Of AppArmor: "docker-default (enforce)" confines, "unconfined" and another module's label do not."""
    label = _text(root / "proc/self/attr/apparmor/current").strip("\0\n ")
    return label.removesuffix(" (enforce)") if label.endswith(" (enforce)") else ""


def _restriction(root: Path) -> str:
    for folder, name, value in (
        ("kernel", "apparmor_restrict_unprivileged_userns", "1"),
        ("kernel", "unprivileged_userns_clone", "0"),
        ("user", "max_user_namespaces", "0"),
    ):
        if _text(root / "proc/sys" / folder / name).strip() == value:
            return name
    return ""
