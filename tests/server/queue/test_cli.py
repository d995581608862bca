"""``cloister submit``, ``jobs``, ``fetch`` and ``worker``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from server.cli import app
from server.cli.common import Exit
from server.queue import helper
from server.queue.settings import Queue as QueueSettings
from tests.server.queue.fleet import ROOT, Server, settled

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    contents = {"one.png": b"first words", "bad.png": b"!crash", "two.png": b"last\npage"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return [str(tmp_path / name) for name in contents]


def config(folder: Path, server: str = "") -> str:
    path = folder.parent / "cloister.toml"
    path.write_text(f'[queue]\nfolder = "{folder}"\nserver = "{server}"\npoll_s = 0.2\n')
    return str(path)


def cloister(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def handed_in_and_fetched(files: list[str], given: tuple[str, str], out: Path) -> list[str]:
    """Hand in ``files``, fetch what was read into ``out`` and list all, as ``given``; their ids."""
    submitted = cloister("submit", *files, *given)
    assert submitted.exit_code == 0, submitted.output
    ids = submitted.stdout.split()
    assert len(ids) == 3
    fetched = cloister("fetch", *ids, *given, "--out", str(out))
    assert fetched.exit_code == Exit.FAILED
    assert "bad.png: CELL_CRASHED" in fetched.stderr
    assert {path.name: path.read_text() for path in out.iterdir()} == {
        "one.txt": "first words\n",
        "two.txt": "last\fpage\n",
    }
    listed = [json.loads(line) for line in cloister("jobs", "--json", *given).stdout.splitlines()]
    assert [(job["job"], job["document"], job["state"]) for job in listed] == [
        (ids[0], "one.png", "succeeded"),
        (ids[1], "bad.png", "dead"),
        (ids[2], "two.png", "succeeded"),
    ]
    letters = cloister("jobs", "--dead", *given).stdout
    assert "CELL_CRASHED" in letters
    assert "one.png" not in letters
    return ids


def test_documents_are_handed_in_and_fetched_with_nothing_else_to_start(
    server: Server, folder: Path, files: list[str], tmp_path: Path
) -> None:
    given = ("--config", config(folder, server.address))
    ids = handed_in_and_fetched(files, given, tmp_path / "out")
    first = cloister("fetch", ids[0][:12], *given, "--to", "json")
    assert json.loads(first.stdout)["pages"][0]["text"] == "first words"
    # The worker that was started for them ends by itself.
    settled(lambda: not helper.runs(QueueSettings(folder=folder)))


def test_jobs_are_cancelled_and_one_that_is_not_there_is_named(folder: Path, files: list[str]) -> None:
    # Nobody answers there, so they wait.
    given = ("--config", config(folder, "unix:/nowhere"))
    ids = cloister("submit", *files, *given).stdout.split()
    unread = cloister("fetch", ids[0], "--no-wait", *given)
    assert unread.exit_code == Exit.FAILED
    assert "not read yet" in unread.stderr
    cancelled = cloister("jobs", "--cancel", *ids, *given)
    assert cancelled.stdout.count("cancelled") == 3
    assert "JOB_CANCELLED" in cloister("fetch", ids[0], *given).stderr
    missing = cloister("jobs", "nosuch", *given)
    assert missing.exit_code == Exit.FAILED
    assert "nosuch" in missing.stderr
    settled(lambda: not helper.runs(QueueSettings(folder=folder)))


def test_a_form_that_was_not_asked_for_is_not_there(server: Server, folder: Path, files: list[str]) -> None:
    given = ("--config", config(folder, server.address))
    ids = cloister("submit", files[0], *given, "--to", "tsv").stdout.split()
    fetched = cloister("fetch", *ids, *given)
    assert fetched.exit_code == 0, fetched.output
    assert fetched.stdout.startswith("level\t")
    assert "hand it in with --to pdf" in cloister("fetch", *ids, *given, "--to", "pdf").stderr
    settled(lambda: not helper.runs(QueueSettings(folder=folder)))


@pytest.mark.slow
def test_a_real_page_is_read_by_a_worker_with_a_server_of_its_own(folder: Path) -> None:
    given = ("--config", config(folder))
    receipt = str(ROOT / "deploy/demo/pages/receipt-photo.jpg")
    submitted = cloister("submit", receipt, *given)
    assert submitted.exit_code == 0, submitted.output
    fetched = cloister("fetch", *given)
    assert fetched.exit_code == 0, fetched.output
    assert "TOTAL" in fetched.stdout.upper()
    settled(lambda: not helper.runs(QueueSettings(folder=folder)))
