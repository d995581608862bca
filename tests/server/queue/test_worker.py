"""Real workers and a real server, over the queue that needs no service: what ends how, and who may die meanwhile."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloister.v1 import ocr_pb2
from server.queue.job import State
from tests.server.queue.fleet import Fleet, Server, fleet, kill, settled

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def working(folder: Path, server: Server) -> Iterator[Fleet]:
    """A queue with one worker."""
    with fleet(folder, server.address) as made:
        yield made


def test_documents_end_each_as_it_should(working: Fleet) -> None:
    good = [working.submit(f"page {number}\nsecond") for number in range(6)]
    again = working.submit("page 0\nsecond")
    file = working.submit("page 0\nsecond", ocr_pb2.OUTPUT_PDF)
    crashing, damaged = working.submit("!crash"), working.submit("!fail REASON_DAMAGED")
    ended = working.ended(*good, again, file, crashing, damaged)
    assert [job.state for job in ended] == [State.SUCCEEDED] * 8 + [State.DEAD] * 2
    assert [working.text(job) for job in ended[:6]] == [f"page {number}\fsecond" for number in range(6)]
    # The same document is read once, and under other options anew.
    assert ended[6].result == ended[0].result
    assert working.queue.result(ended[7]).files[0].content.startswith(b"%PDF-")
    # What kills its cell is tried as often as it may be, what can't be read at all once.
    assert [(job.reason, job.attempts) for job in ended[8:]] == [("CELL_CRASHED", 3), ("DAMAGED_DOCUMENT", 1)]
    assert len(working.results()) == working.said("read") == 7


def test_a_worker_that_is_killed_loses_nothing(working: Fleet) -> None:
    jobs = [working.submit(f"!work 0.5\npage {number}") for number in range(8)]
    settled(lambda: any(working.state(job) is State.RUNNING for job in jobs))
    kill(working.workers[0])
    working.work()
    ended = working.ended(*jobs)
    assert [working.text(job) for job in ended] == [f"page {number}" for number in range(8)]
    assert [job.attempts for job in ended] == [0] * 8
    assert len(working.results()) == 8


def test_a_worker_that_is_stopped_ends_what_it_has_and_takes_no_more(working: Fleet) -> None:
    jobs = [working.submit(f"!work 1\npage {number}") for number in range(6)]
    settled(lambda: any(working.state(job) is State.RUNNING for job in jobs))
    working.workers[0].send_signal(signal.SIGTERM)
    assert working.workers[0].wait(120) == 0
    states = [working.state(job) for job in jobs]
    assert State.RUNNING not in states
    assert State.SUCCEEDED in states
    assert State.WAITING in states
    working.work()
    assert [working.text(job) for job in working.ended(*jobs)] == [f"page {number}" for number in range(6)]
    assert len(working.results()) == working.said("read") == 6


def test_a_job_that_is_cancelled_ends_its_cell(working: Fleet) -> None:
    hanging = working.submit("!hang")
    settled(lambda: working.state(hanging) is State.RUNNING)
    working.queue.ledger.cancel(hanging.id)
    after = [working.submit(f"page {number}") for number in range(4)]
    assert [job.state for job in working.ended(*after)] == [State.SUCCEEDED] * 4
    assert working.state(hanging) is State.CANCELLED
    assert working.said("put back") == working.said("dead letter") == 0


def test_a_server_that_is_too_busy_is_asked_again_and_that_does_not_count(folder: Path, tmp_path: Path) -> None:
    with Server(tmp_path, busy=1) as narrow, fleet(folder, narrow.address, concurrency=8, attempts=1) as made:
        # One place for work and two to wait for it, for eight at a time.
        jobs = [made.submit(f"!work 0.3\npage {number}") for number in range(16)]
        assert [job.state for job in made.ended(*jobs)] == [State.SUCCEEDED] * 16
        assert made.said("put back") > 0
        assert made.said("read") == len(made.results()) == 16


def test_a_server_that_is_lost_loses_nothing(folder: Path, tmp_path: Path) -> None:
    with Server(tmp_path) as lost, fleet(folder, lost.address, attempts=1) as made:
        jobs = [made.submit(f"!work 0.5\npage {number}") for number in range(8)]
        settled(lambda: any(made.state(job) is State.RUNNING for job in jobs))
        lost.kill()
        settled(lambda: made.said("put back") > 0)
        lost.start()
        ended = made.ended(*jobs)
        assert [job.state for job in ended] == [State.SUCCEEDED] * 8
        assert len(made.results()) == 8
