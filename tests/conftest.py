"""What holds for all tests, and what it takes to run a server as an ordinary user."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

from jail.cgroups import Tree

USER = 12321

# An example that takes long is no fault on a machine that is busy with other things.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def delegated() -> Iterator[str]:
    """A cgroup that belongs to an ordinary user, below this process's own, in every hierarchy."""
    if os.geteuid() != 0:
        pytest.skip("delegating a cgroup takes root")
    name = f"delegated-{os.getpid()}"
    parents = Tree.find(None).parents
    if len(parents) == 1:
        pytest.skip("with cgroup v2 the server would have to start inside the delegated group")
    for parent in parents:
        (parent / name).mkdir()
        for path in (parent / name, *(parent / name).iterdir()):
            os.chown(path, USER, USER)
    yield name
    for parent in parents:
        (parent / name).rmdir()


@pytest.fixture
def python_for_all() -> str:
    """A Python of this version that an ordinary user can run: this one may lie in root's home."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{version}"):
        try:
            done = subprocess.run([python, "-c", ""], user=USER, group=USER, extra_groups=[], check=False)
        except (PermissionError, FileNotFoundError):
            continue
        if done.returncode == 0:
            return python
    pytest.skip(f"no {version} that user {USER} can run")
