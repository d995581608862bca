"""What the kernel runs of each policy, kept in the repository: a change of a policy can't hide what it compiles to."""

from __future__ import annotations

from pathlib import Path

import pytest

from jail.dump import dump, golden, libseccomp_version
from jail.lint import own_policies


@pytest.mark.parametrize("path", own_policies(), ids=lambda path: path.stem)
def test_a_policy_compiles_to_what_is_kept_of_it(path: Path) -> None:
    kept = golden(path).read_text()
    if f"libseccomp {libseccomp_version()} " not in kept:
        pytest.skip(f"kept files are of another libseccomp than {libseccomp_version()}, the one here")
    assert dump(path) == kept, "see the difference, then: make policies"


def test_nothing_is_kept_of_policies_that_are_gone() -> None:
    assert {kept.stem for kept in golden(Path("base.policy")).parent.iterdir()} == {p.stem for p in own_policies()}


def test_a_dump_names_calls_and_shows_both_filters() -> None:
    text = golden(Path("base.policy")).read_text()
    first, second = text.split("# second:")
    assert "# clone3\nret   ERRNO(ENOSYS)" in first
    assert first.rstrip().endswith("ret   KILL_PROCESS")
    assert second.rstrip().endswith("ret   ALLOW")
    assert "# munmap" in first
    assert "# munmap" not in second
