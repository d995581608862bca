"""Claims are kept while they are worked on, and given up where they are not."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from server import telemetry
from server.queue.job import Job, State
from server.queue.keeper import End, Keeper
from server.queue.leases import Leases
from server.queue.ledger import Ledger
from server.sections import LogFormat
from tests.server.queue.fleet import settled
from tests.server.queue.samples import submission

LEASE_S = 2.0


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(f"sqlite:///{tmp_path}/jobs.db", most_open=10)
    yield made
    made.close()


@contextmanager
def keeping(ledger: Ledger, longest_s: float, drain_s: float = 60.0) -> Iterator[tuple[Keeper, Leases, Event]]:
    leases = Leases(ledger.prepare(), LEASE_S)
    keeper = Keeper(leases, LEASE_S, longest_s, telemetry.logger(LogFormat.JSON, io.StringIO()))
    stop, done = Event(), Event()
    thread = Thread(target=keeper.run, args=(stop, drain_s, done))
    thread.start()
    try:
        yield keeper, leases, stop
    finally:
        done.set()
        thread.join()


def handed_in(ledger: Ledger) -> Job:
    return ledger.submit(submission("k"))


def test_what_is_no_longer_wanted_is_ended(ledger: Ledger) -> None:
    job = handed_in(ledger)
    with keeping(ledger, longest_s=60) as (keeper, leases, _):
        claim = leases.claim(job.reading, "owner")
        assert claim is not None
        ended = Event()
        with keeper.hold(claim) as hold:
            hold.cancels(ended.set)
            ledger.cancel(job.id)
            assert ended.wait(60)
            assert hold.ended is End.LOST
        assert keeper.busy == 0


def test_what_is_stuck_is_left_for_others(ledger: Ledger) -> None:
    job = handed_in(ledger)
    with keeping(ledger, longest_s=1.0) as (keeper, leases, _):
        claim = leases.claim(job.reading, "owner")
        assert claim is not None
        with keeper.hold(claim) as hold:
            settled(lambda: leases.expire(10) == 1)
            assert hold.ended is End.LOST
    assert ledger.job(job.id).state is State.WAITING


def test_a_worker_that_goes_ends_what_it_has_once_its_time_is_up(ledger: Ledger) -> None:
    job = handed_in(ledger)
    with keeping(ledger, longest_s=60, drain_s=0.5) as (keeper, leases, stop):
        claim = leases.claim(job.reading, "owner")
        assert claim is not None
        ended = Event()
        with keeper.hold(claim) as hold:
            stop.set()
            settled(lambda: hold.ended is End.STOPPED)
            hold.cancels(ended.set)  # too late to be asked, and so at once
            assert ended.is_set()
            assert leases.expire(10) == 0
