"""A stage for attacks, one for all tests here; when it is taken down, nothing of it may be left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jail.attacks.suite import Suite
from tests.jail.conftest import descendants, descriptors


@pytest.fixture(scope="package")
def suite() -> Iterator[Suite]:
    before = descendants(), descriptors(), groups()
    with Suite() as made:
        yield made
    assert (descendants(), descriptors(), groups()) == before


def groups() -> set[Path]:
    """Every cgroup that belongs to a server or a stage."""
    return set(Path("/sys/fs/cgroup").rglob("cloister-*"))
