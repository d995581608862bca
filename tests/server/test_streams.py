"""Streams whose server is killed: they end with an error, or are answered by another, and never hang."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from server.access import Access
from server.client import Client
from server.errors import CloisterError, Reason, TransportError
from server.queue.client import JobClient
from tests.server.queue.fleet import PATIENCE_S, Server

pytestmark = pytest.mark.timeout(900)

DEADLINE_S = 3600.0
"""Of calls: none of them may need it to end."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path, busy=1, QUEUE__SERVE="true", QUEUE__FOLDER=str(tmp_path / "queue")) as started:
        started.serving()
        yield started


def client(server: Server) -> Client:
    return Client(server.address, access=Access(), deadline_s=DEADLINE_S)


class Sent:
    """A document in parts; ``all`` is set once gRPC has written the last of them to its connection."""

    def __init__(self, *parts: bytes) -> None:
        self._parts = parts
        self.all = Event()

    def __iter__(self) -> Iterator[bytes]:
        yield from self._parts
        self.all.set()


@contextmanager
def beside(work: Callable[[], list[str]]) -> Iterator[Future[list[str]]]:
    """What ``work`` comes to, in a thread that is left behind should it hang."""
    done: Future[list[str]] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except CloisterError as error:
            done.set_exception(error)

    Thread(target=run, daemon=True).start()
    yield done


def test_a_server_that_is_killed_between_two_pages_ends_the_stream(server: Server) -> None:
    came = Event()
    pages: list[str] = []

    def read() -> list[str]:
        with client(server) as caller, caller.stream(b"one\n!hang") as stream:
            for page in stream:
                pages.append(page.text)
                came.set()
        return pages

    with beside(read) as done:
        assert came.wait(PATIENCE_S)
        server.kill()
        with pytest.raises(TransportError) as raised:
            done.result(PATIENCE_S)
    assert raised.value.reason == Reason.UNREACHABLE
    assert pages == ["one"]


def test_a_server_that_is_killed_while_a_document_waits_for_a_cell_ends_its_stream(server: Server) -> None:
    """What hangs where retries of streams are left to gRPC 1.85."""
    document = Sent(b"one")

    def read() -> list[str]:
        with client(server) as caller, caller.stream(document) as stream:
            return [page.text for page in stream]

    with client(server) as other, other.stream(b"first\n!hang") as holding:
        assert next(iter(holding)).text == "first"
        with beside(read) as done:
            assert document.all.wait(PATIENCE_S)
            server.kill()
            with pytest.raises(TransportError):
                done.result(PATIENCE_S)


@pytest.mark.parametrize("in_parts", [True, False])
def test_what_was_not_answered_is_answered_by_the_server_that_comes_after(
    server: Server, tmp_path: Path, in_parts: bool
) -> None:
    document = Sent(b"one\n", b"two")

    def read() -> list[str]:
        with client(server) as caller, caller.stream(document if in_parts else b"one\ntwo") as stream:
            return [page.text for page in stream]

    with Server(tmp_path, name="next") as after, client(server) as other, other.stream(b"first\n!hang") as holding:
        after.serving()
        assert next(iter(holding)).text == "first"
        with beside(read) as done:
            if in_parts:
                assert document.all.wait(PATIENCE_S)
            server.kill()
            # As quick a restart as there can be.
            os.replace(tmp_path / "next", tmp_path / "socket")
            assert done.result(PATIENCE_S) == ["one", "two"]


def test_a_stream_that_is_cancelled_while_nobody_answers_ends(tmp_path: Path) -> None:
    with Client(f"unix:{tmp_path}/nobody", access=Access(), deadline_s=DEADLINE_S) as caller:
        stream = caller.stream(b"one")
        stream.cancel()
        with pytest.raises(CloisterError):
            list(stream)


def test_a_server_that_is_killed_while_jobs_are_watched_ends_the_watch(server: Server) -> None:
    told = Event()

    def watch() -> list[str]:
        with JobClient(server.address, access=Access()) as jobs:
            for _ in jobs.watch(jobs.submit(b"one").name):
                told.set()
        return []

    with beside(watch) as done:
        assert told.wait(PATIENCE_S)
        server.kill()
        with pytest.raises(TransportError):
            done.result(PATIENCE_S)
