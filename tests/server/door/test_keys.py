"""The file of keys holds hashes, and changes whole or not at all."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from server.door import keys


def test_a_key_is_found_by_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    key, other = keys.add(path, "acme", note="the scanner"), keys.add(path, "globex")
    held = keys.read(path)
    found = keys.found(held, key)
    assert found is not None
    assert (found.tenant, found.note, found.expired) == ("acme", "the scanner", False)
    assert keys.found(held, key[:18] + other[18:]) is None
    for wrong in ("", "cloister_", key.upper(), key + "x", " " + key, key.replace("cloister", "klooster")):
        assert keys.found(held, wrong) is None


def test_the_file_holds_no_key_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    key = keys.add(path, "acme")
    assert key.rpartition("_")[2] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    keys.add(path, "acme")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_key_expires(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    gone, held = keys.add(path, "acme", days=0), keys.add(path, "acme", days=1)
    by_key = {key: keys.found(keys.read(path), key) for key in (gone, held)}
    assert by_key[gone] is not None
    assert by_key[gone].expired
    assert by_key[held] is not None
    assert not by_key[held].expired


def test_a_revoked_key_is_gone_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    made = [keys.add(path, tenant) for tenant in ("a", "b", "c")]
    assert keys.revoke(path, made[1].split("_")[1]).tenant == "b"
    assert [keys.found(keys.read(path), key) is not None for key in made] == [True, False, True]
    with pytest.raises(keys.KeyFileError, match="no key 00000000"):
        keys.revoke(path, "00000000")


def test_keys_that_are_made_at_the_same_time_are_all_there(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda number: keys.add(path, f"tenant{number}"), range(40)))
    held = keys.read(path)
    assert all(keys.found(held, key) is not None for key in made)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_link_to_the_file_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    keys.add(tmp_path / "real/keys", "acme")
    (tmp_path / "keys").symlink_to(tmp_path / "real/keys")
    keys.add(tmp_path / "keys", "globex")
    assert (tmp_path / "keys").is_symlink()
    assert len(keys.read(tmp_path / "real/keys")) == 2


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        "{}",
        '{"id": "a", "tenant": "", "sha256": "b", "made": "2026-01-01T00:00:00+00:00"}',
        '{"id": "a", "tenant": "t", "sha256": "b", "made": "2026-01-01T00:00:00"}',
        '{"id": "a", "tenant": "t", "sha256": "b", "made": "2026-01-01T00:00:00+00:00", "more": 1}',
        '{"id": "a", "tenant": 1, "sha256": "b", "made": "2026-01-01T00:00:00+00:00"}',
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "keys"
    keys.add(path, "acme")
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(keys.KeyFileError, match="line 2"):
        keys.read(path)
