"""What this host has for each layer, and what it lacks: each is entered for real, in a process made for that.

`examine` starts `jail.probe` as a program, so that it can be called from anywhere, a server full of threads included.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

from jail.environment import zygote_environment
from jail.errors import ZygoteError
from jail.layers import Layer

_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Finding:
    """On one layer: whether a cell here can be behind it; where not, ``why``, and the change on the host to ``fix`` it.

    ``needed`` is False for the user namespace where the server has the privileges to do without.
    """

    layer: Layer
    present: bool
    why: str = ""
    fix: str = ""
    needed: bool = True


def examine(cgroup_parent: str | None = None) -> list[Finding]:
    """Try every layer on this host, in the order of entry. Raises `ZygoteError` where not even that can be done."""
    done = subprocess.run(
        [sys.executable, "-m", "jail.probe", json.dumps(cgroup_parent)],
        env=zygote_environment({}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd="/",
        timeout=_TIMEOUT_S,
        check=False,
        text=True,
    )
    if done.returncode:
        raise ZygoteError(f"the layers could not be tried:\n{done.stderr}")
    return [Finding(**{**found, "layer": Layer(found["layer"])}) for found in json.loads(done.stdout)]
