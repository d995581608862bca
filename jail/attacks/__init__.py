"""Attacks on the jail, each run in a real cell; `jail.attacks.suite` says what stopped it, and what else would have.

They harm nothing even where the jail fails. What is attacked was made for it: one process, one file, one listener. All
of it takes place on a stage (`jail.attacks.stage`): a process that, where it may, is in mount, network, IPC and UTS
namespaces of its own, and always in a cgroup of its own. Counts, sizes and times are bounded.
"""

from __future__ import annotations

from jail.attacks import files, kernel, network, networked, processes, programs, replies, resources
from jail.attacks.attack import Attack

ATTACKS: tuple[Attack, ...] = (
    *files.ATTACKS,
    *processes.ATTACKS,
    *network.ATTACKS,
    *kernel.ATTACKS,
    *resources.ATTACKS,
    *replies.ATTACKS,
    *programs.ATTACKS,
    *networked.ATTACKS,
)
"""In the order in which they are shown."""

CATALOGUE: dict[str, Attack] = {attack.name: attack for attack in (*ATTACKS, replies.FORGED, *networked.ASKED_FOR)}
