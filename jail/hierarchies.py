"""The hierarchies of control groups that this process sees, and its own group in each. Sources: cgroups(7), proc(5)."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

SUPERVISOR = "supervisor"
"""The group to which `jail.cgroups.Tree` moves a server aside: a group with processes may have none below."""
_HIERARCHIES = "/sys/fs/cgroup"


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a hierarchy is mounted and which group this process is in. ``controllers`` is empty for version 2."""

    point: Path
    controllers: frozenset[str]
    own: str

    def group(self, parent: str | None) -> Path:
        """The group that ``parent`` names: from the hierarchy's root where it starts with "/", else below the own."""
        # A server whose first pool has moved it aside is still at home in the group above (`Tree.prepare`).
        own = self.point / self.own.strip("/")
        if own.name == SUPERVISOR and not self.controllers:
            own = own.parent
        base = self.point if parent is not None and parent.startswith("/") else own
        return base / (parent or "").strip("/")


def mounts(mountinfo: str, membership: str) -> list[Mount]:
    """All hierarchies, from the texts of /proc/self/mountinfo and /proc/self/cgroup."""
    own: dict[frozenset[str], str] = {}
    for line in membership.splitlines():
        _, names, path = line.split(":", 2)
        own[frozenset(names.split(",")) - {""}] = path
    found = []
    for line in mountinfo.splitlines():
        left, right = line.split(" - ", 1)
        root, point = left.split()[3:5]
        kind, _, options = right.split(" ", 2)
        if kind not in {"cgroup", "cgroup2"}:
            continue
        known = set(options.split(","))
        key = next((names for names in own if names and names <= known), None) if kind == "cgroup" else frozenset[str]()
        if key is None or key not in own:
            continue
        path = own[key]
        below = path[len(root) :] if root != "/" and path.startswith(root) else path
        found.append(Mount(Path(re.sub(r"\\040", " ", point)), key, below))
    return found


def groups(name: str) -> list[Path]:
    """The groups of that name, in every hierarchy. Others may come and go meanwhile: `os.walk` passes over those."""
    return [Path(folder, name) for folder, names, _ in os.walk(_HIERARCHIES) if name in names]
