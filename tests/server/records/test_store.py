"""The database of comparisons, on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from server.records.comparison import Entry, Rightness
from server.records.store import RecordsError, Store
from server.records.vault import Vault, VaultError
from tests.server.records.samples import comparison, failed, kept

KEY, OTHER_KEY = bytes(range(32)), bytes(32)


def contents(database: str) -> str:
    """All of the database, as text."""
    engine = create_engine(database.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        rows = [connection.execute(text(f"SELECT * FROM cloister_{name}")).all() for name in ("comparisons", "kept")]
    engine.dispose()
    return repr(rows)


def test_what_is_recorded_is_found_again(database: str) -> None:
    store = Store(database)
    recorded = [
        comparison("a", at_s=1.0),
        failed("b", at_s=2.0),
        comparison("c", at_s=3.0, truth=Rightness(100, 90, 99, 95, 98)),
        comparison("d", at_s=4.0, candidate="abbyy"),
    ]
    store.add([Entry(one) for one in recorded])
    assert store.comparisons() == recorded
    assert store.comparisons("scribe", "tesseract", since_s=1.5) == recorded[1:3]
    assert store.comparisons(limit=1) == recorded[3:]
    assert store.comparison("b") == recorded[1]
    with pytest.raises(RecordsError, match="no comparison z"):
        store.comparison("z")
    store.close()


def test_what_was_written_already_is_not_written_twice_nor_in_the_way(database: str) -> None:
    store = Store(database)
    store.add([Entry(comparison("a"))])
    store.add([Entry(comparison("a")), Entry(comparison("b"))])
    assert [one.id for one in store.comparisons()] == ["a", "b"]
    store.close()


def test_several_servers_share_a_database(database: str) -> None:
    stores = [Store(database) for _ in range(3)]
    errors: list[Exception] = []

    def write(number: int) -> None:
        try:
            for i in range(20):
                stores[number].add([Entry(comparison(f"{number}-{i}"))])
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(stores[0].comparisons()) == 60
    for store in stores:
        store.close()


def test_a_kept_document_is_sealed_opened_with_a_trace_and_gone_when_it_expires(database: str) -> None:
    store = Store(database, Vault([KEY]), keep_days=1)
    store.add([Entry(comparison("a"), kept("a secret")), Entry(comparison("b"))])
    assert "secret" not in contents(database)

    opened = store.open_kept("a", "auditor", "the digits differ")
    assert opened == kept("a secret")
    (access,) = store.accesses("a")
    assert (access.who, access.why) == ("auditor", "the digits differ")
    assert access.at_s == pytest.approx(time.time(), abs=60)
    with pytest.raises(RecordsError, match="was not kept"):
        store.open_kept("b", "auditor", "")

    assert store.purge() == 0
    assert store.purge(time.time() + 2 * 86_400) == 1
    with pytest.raises(RecordsError, match="no longer"):
        store.open_kept("a", "auditor", "")
    assert [one.id for one in store.comparisons()] == ["a", "b"]
    assert len(store.accesses()) == 1
    store.close()


def test_an_expired_document_is_not_opened_even_before_it_is_purged(database: str) -> None:
    store = Store(database, Vault([KEY]), keep_days=0)
    store.add([Entry(comparison("a"), kept())])
    with pytest.raises(RecordsError, match="no longer"):
        store.open_kept("a", "auditor", "")
    store.close()


def test_without_a_key_no_document_is_kept_or_opened(database: str) -> None:
    store = Store(database)
    assert not store.keeps_documents
    with pytest.raises(RecordsError, match="key"):
        store.add([Entry(comparison("a"), kept())])
    with pytest.raises(RecordsError, match="keep_keys"):
        store.open_kept("a", "auditor", "")
    store.close()


def test_what_is_sealed_opens_neither_elsewhere_nor_later_nor_with_another_key(database: str) -> None:
    store = Store(database, Vault([KEY]))
    store.add([Entry(comparison("a"), kept("one")), Entry(comparison("b"), kept("two"))])
    engine = create_engine(database.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(text("UPDATE cloister_kept SET expires_s = expires_s + 1 WHERE id = 'a'"))
    with pytest.raises(VaultError, match="changed"):
        store.open_kept("a", "auditor", "")
    with engine.begin() as connection:
        connection.execute(text("UPDATE cloister_kept SET document = control WHERE id = 'b'"))
    with pytest.raises(VaultError, match="changed"):
        store.open_kept("b", "auditor", "")
    engine.dispose()
    store.close()
    changed = Store(database, Vault([OTHER_KEY]))
    with pytest.raises(VaultError, match="no longer"):
        changed.open_kept("b", "auditor", "")
    changed.close()


def test_who_was_right_can_be_said_later(database: str) -> None:
    store = Store(database)
    store.add([Entry(comparison("a"))])
    truth = Rightness(100, 90, 99, 95, 98)
    store.set_truth("a", truth)
    assert store.comparison("a").truth == truth
    with pytest.raises(RecordsError, match="no comparison z"):
        store.set_truth("z", truth)
    store.close()


def test_tables_of_another_version_are_refused_by_name(database: str) -> None:
    engine = create_engine(database.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(
            text("CREATE TABLE cloister_comparisons (id VARCHAR(10), at_s FLOAT, control TEXT, candidate TEXT)")
        )
    engine.dispose()
    store = Store(database)
    with pytest.raises(RecordsError, match=r"cloister_comparisons.*another version.*document_kind"):
        store.comparisons()
    store.close()


@pytest.mark.parametrize("url", ["nonsense", "mysql://user:hunter2@host/db"])
def test_an_address_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(RecordsError, match=r"shadow\.database") as refusal:
        Store(url)
    assert "hunter2" not in str(refusal.value)


def test_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        store = Store(f"sqlite:///{tmp_path}/records.db")
        store.add([Entry(comparison())])
        assert not any(path.stat().st_mode & 0o077 for path in tmp_path.iterdir())
    finally:
        os.umask(previous)
    store.close()
    with sqlite3.connect(tmp_path / "records.db") as plain:
        assert plain.execute("SELECT same_text FROM cloister_comparisons").fetchall() == [(95,)]
    plain.close()


def test_a_key_can_be_changed_and_the_old_one_still_opens() -> None:
    sealed = Vault([KEY]).seal(b"data", "label")
    assert Vault([OTHER_KEY, KEY]).open(sealed, "label") == b"data"
    with pytest.raises(VaultError, match="32 bytes"):
        Vault([b"short"])


def test_a_file_of_keys_is_read_and_must_be_private(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")
    path.chmod(0o644)
    with pytest.raises(VaultError, match="chmod 600"):
        Vault.load(path)
    path.chmod(0o600)
    assert Vault.load(path).open(Vault([KEY]).seal(b"data", "x"), "x") == b"data"
    path.write_text("not base64!")
    with pytest.raises(VaultError, match="base64"):
        Vault.load(path)
    with pytest.raises(VaultError, match="No such file"):
        Vault.load(tmp_path / "none")
