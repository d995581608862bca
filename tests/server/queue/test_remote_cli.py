"""``cloister submit``, ``jobs`` and ``fetch`` by way of a server that takes jobs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.access import Access
from server.cli.common import Exit
from server.cli.desk import desk, named
from server.door import keys
from tests.server.door.credentials import Authority
from tests.server.queue.fleet import Fleet, Server, fleet, free_address, settled
from tests.server.queue.test_cli import cloister, files, handed_in_and_fetched

__all__ = ["files"]

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def server(tmp_path: Path, folder: Path) -> Iterator[Server]:
    """One that takes jobs, as all on its host may hand in."""
    with Server(tmp_path, QUEUE__SERVE="true", QUEUE__FOLDER=str(folder)) as started:
        started.serving()
        yield started


@pytest.fixture
def working(server: Server, folder: Path) -> Iterator[Fleet]:
    with fleet(folder, server.address) as made:
        yield made


@pytest.mark.usefixtures("working")
def test_documents_are_handed_in_and_fetched_by_a_server(server: Server, files: list[str], tmp_path: Path) -> None:
    given = ("--server", server.address)
    handed_in_and_fetched(files, given, tmp_path / "out")
    listed = [json.loads(line) for line in cloister("jobs", "--json", *given).stdout.splitlines()]
    assert [job["tries"] for job in listed] == [0, 3, 0]
    # What it was handed in for is what is fetched, and nothing else is there.
    (tsv,) = cloister("submit", files[0], "--to", "tsv", *given).stdout.split()
    assert cloister("fetch", tsv[:12], *given).stdout.startswith("level\t")
    assert "hand it in with --to pdf" in cloister("fetch", tsv, "--to", "pdf", *given).stderr


def test_jobs_are_cancelled_and_one_that_is_not_there_is_named(server: Server, files: list[str]) -> None:
    given = ("--server", server.address)
    ids = cloister("submit", *files, *given).stdout.split()
    unread = cloister("fetch", ids[0], "--no-wait", *given)
    assert unread.exit_code == Exit.FAILED
    assert "not read yet" in unread.stderr
    assert cloister("jobs", "--cancel", ids[1], *given).stdout.count("cancelled") == 1
    assert "JOB_CANCELLED" in cloister("fetch", ids[1], *given).stderr
    missing = cloister("jobs", "nosuch", *given)
    assert missing.exit_code == Exit.FAILED
    assert "nosuch" in missing.stderr


def test_jobs_are_waited_for_over_the_end_of_their_server(
    server: Server, folder: Path, tmp_path: Path, files: list[str]
) -> None:
    ids = cloister("submit", files[0], files[2], "--server", server.address).stdout.split()
    with (
        Server(tmp_path, name="next", QUEUE__SERVE="true", QUEUE__FOLDER=str(folder)) as after,
        desk(None, server.address, Access()) as at,
    ):
        after.serving()
        jobs = named(at, ids)
        changes = at.changes([job.name for job in jobs])
        assert {job.name for job in (next(changes), next(changes)) if job} == {job.name for job in jobs}
        server.kill()
        # As quick a restart as there can be.
        os.replace(tmp_path / "next", tmp_path / "socket")
        with fleet(folder, server.address):
            last = {job.name: job.done for job in changes if job is not None}
    assert last == {job.name: True for job in jobs}


def test_credentials_are_shown_as_for_ocr(tmp_path: Path, folder: Path, files: list[str]) -> None:
    authority = Authority()
    ca = authority.write(tmp_path / "ca.pem")
    certificate, private = authority.sign("localhost").write(tmp_path, "server")
    token = tmp_path / "token"
    token.write_text(keys.add(tmp_path / "keys", "acme"))
    settings = {
        "QUEUE__SERVE": "true",
        "QUEUE__FOLDER": str(folder),
        "TLS__CERTIFICATE": str(certificate),
        "TLS__KEY": str(private),
        "AUTHENTICATION__KEYS": str(tmp_path / "keys"),
    }
    with Server(tmp_path, LISTEN__ADDRESS=free_address(), **settings) as server:
        given = ("--server", server.address, "--ca", str(ca), "--token-file", str(token))
        settled(lambda: cloister("jobs", *given).exit_code == 0)
        submitted = cloister("submit", files[0], *given)
        assert submitted.exit_code == 0, submitted.output
        (job,) = [json.loads(line) for line in cloister("jobs", "--json", *given).stdout.splitlines()]
        assert (job["tenant"], job["state"]) == ("acme", "waiting")
        nobody = cloister("submit", files[0], "--server", server.address, "--ca", str(ca))
        assert nobody.exit_code == Exit.FAILED
        assert "NO_CREDENTIAL" in nobody.stderr
        assert "NO_CREDENTIAL" in cloister("jobs", "--server", server.address, "--ca", str(ca)).stderr


def test_a_server_that_takes_no_jobs_or_is_not_there_is_named(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        server.serving()
        refused = cloister("jobs", "--server", server.address)
    assert refused.exit_code == Exit.FAILED
    assert "queue.serve" in refused.stderr
    gone = cloister("jobs", "--server", server.address)
    assert gone.exit_code == Exit.FAILED
    assert "no server answers there" in gone.stderr
    assert cloister("jobs", "--server", "a:1,b:2").exit_code == 2
