"""A stage for attacks, one for all tests of a module; when it is taken down, nothing of it may be left."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jail.attacks.suite import Suite
from tests.jail.conftest import cgroups, descendants, descriptors


@pytest.fixture(scope="module")
def suite() -> Iterator[Suite]:
    before = descendants(), descriptors()
    with Suite() as made:
        yield made
    assert (descendants(), descriptors()) == before
    assert not cgroups(made.cgroup)
