"""Stores: a folder, and a bucket of a real S3 server (moto's)."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from server.queue.store import FolderStore, Store, store_at
from server.settings import SettingsError


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """An S3 server's bucket, and what fsspec must be told of it."""
    moto_server = pytest.importorskip("moto.server", reason="moto is missing: install the dev extra")
    boto3 = pytest.importorskip("boto3", reason="boto3 is missing: install the dev extra")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    keys = {"key": "test", "secret": "test"}
    client = boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1"
    )
    client.create_bucket(Bucket="scans")
    client.close()
    yield "s3://scans/queue", {"endpoint_url": endpoint, **keys}
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return store_at(str(tmp_path / "store"), {})
    url, options = request.getfixturevalue("bucket")
    return store_at(f"{url}/{tmp_path.name}", options)


def test_what_is_put_is_there(store: Store) -> None:
    store.put("documents/a", b"bytes")
    store.put("documents/empty", b"")
    assert store.get("documents/a") == b"bytes"
    assert store.get("documents/empty") == b""
    assert store.has("documents/a")


def test_what_is_not_there_is_not_found(store: Store) -> None:
    assert not store.has("documents/none")
    with pytest.raises(FileNotFoundError):
        store.get("documents/none")
    store.delete("documents/none")
    assert store.names("documents") == []


def test_names_below_a_folder_are_listed_and_can_be_deleted(store: Store) -> None:
    for name in ("results/k/b", "results/k/a", "results/l/c", "documents/d"):
        store.put(name, b"x")
    assert store.names("results") == ["results/k/a", "results/k/b", "results/l/c"]
    assert store.names("results/k") == ["results/k/a", "results/k/b"]
    store.delete("results/k/a")
    assert store.names("results/k") == ["results/k/b"]


def test_many_threads_may_use_one(store: Store) -> None:
    def there_and_back(number: int) -> bytes:
        store.put(f"documents/{number}", str(number).encode())
        return store.get(f"documents/{number}")

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(there_and_back, range(12))) == [str(number).encode() for number in range(12)]


def test_a_folder_is_its_owner_s_alone_and_holds_no_halves(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    store.put("documents/a", b"x")
    file = tmp_path / "store/documents/a"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    (tmp_path / "store/documents/b").mkdir()  # so that it can't be written
    with pytest.raises(OSError, match="documents/b"):
        store.put("documents/b", b"x")
    assert [path.name for path in (tmp_path / "store/documents").iterdir() if path.is_file()] == ["a"]


def test_a_url_that_nobody_knows_is_named() -> None:
    with pytest.raises(SettingsError, match=r"queue\.store.*nosuch"):
        store_at("nosuch://place", {})
