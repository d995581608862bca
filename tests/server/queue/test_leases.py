"""The ledger as workers use it, on SQLite and on PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from server.errors import Reason
from server.queue.job import Job, State
from server.queue.leases import Claim, Failure, Leases
from server.queue.ledger import Ledger
from tests.server.queue.samples import submission

CRASHED = Failure(Reason.CELL_CRASHED, "the cell crashed")


@pytest.fixture
def job(ledger: Ledger) -> Job:
    return ledger.submit(submission("k"))


def claimed(leases: Leases, job: Job, owner: str = "owner") -> Claim:
    claim = leases.claim(job.reading, owner)
    assert claim is not None
    return claim


def lapsing(ledger: Ledger) -> Leases:
    """Leases that have run out when they are given."""
    return Leases(ledger.prepare(), lease_s=-1.0)


def test_of_many_workers_one_has_a_reading(leases: Leases, job: Job) -> None:
    with ThreadPoolExecutor(8) as threads:
        claims = list(threads.map(lambda number: leases.claim(job.reading, str(number)), range(16)))
    assert sum(claim is not None for claim in claims) == 1


def test_of_two_results_the_first_counts(ledger: Ledger, leases: Leases, job: Job) -> None:
    late = claimed(lapsing(ledger), job, "late")
    leases.expire(10)
    quick = claimed(leases, job, "quick")
    assert leases.succeed(late, "late's")  # it was only thought to be dead
    assert not leases.succeed(quick, "quick's")
    assert ledger.job(job.id).result == "late's"


def test_who_lost_its_claim_can_not_fail_what_another_reads(ledger: Ledger, leases: Leases, job: Job) -> None:
    late = claimed(lapsing(ledger), job, "late")
    leases.expire(10)
    quick = claimed(leases, job, "quick")
    refused: list[Callable[[], bool]] = [
        lambda: leases.bury(late, CRASHED),
        lambda: leases.put_back(late, CRASHED, due_s=0, counted=True),
        lambda: leases.give_up(late),
    ]
    assert not any(refuse() for refuse in refused)
    assert leases.renew(["late", "quick"]) == {"quick"}
    assert leases.succeed(quick, "r")


def test_a_claim_that_is_renewed_holds(ledger: Ledger, leases: Leases, job: Job) -> None:
    claimed(lapsing(ledger), job)
    leases.renew(["owner"])
    assert leases.expire(10) == 0
    assert ledger.job(job.id).state is State.RUNNING


def test_what_kills_its_workers_is_a_dead_letter_in_the_end(ledger: Ledger, job: Job) -> None:
    lapse = lapsing(ledger)
    for loss in range(3):
        assert claimed(lapse, job).losses == loss
        lapse.expire(3)
    job = ledger.job(job.id)
    assert (job.state, job.reason, job.attempts) == (State.DEAD, "WORKER_LOST", 0)


def test_what_is_put_back_waits_for_its_time_and_is_counted_where_it_is_to_be(
    ledger: Ledger, leases: Leases, job: Job
) -> None:
    assert leases.put_back(claimed(leases, job), CRASHED, due_s=time.time() + 60, counted=True)
    assert leases.claim(job.reading, "early") is None
    assert not leases.to_send(10)
    other = ledger.submit(submission("other"))
    leases.put_back(claimed(leases, other), CRASHED, due_s=time.time() - 1, counted=False)
    again = claimed(leases, other)
    assert (again.attempts, again.refusals) == (0, 1)
    assert ledger.job(job.id).attempts == 1


def test_each_reading_is_sent_once(ledger: Ledger, leases: Leases) -> None:
    readings = [ledger.submit(submission(f"k{number}")).reading for number in range(5)]
    assert list(leases.to_send(100)) == readings
    assert not leases.to_send(100)
    assert leases.out() == 5


def test_two_relays_do_not_send_the_same(ledger: Ledger, leases: Leases) -> None:
    for number in range(40):
        ledger.submit(submission(f"k{number}"))
    with ThreadPoolExecutor(4) as threads:
        sent = [reading for ids in threads.map(lambda _: leases.to_send(1000), range(8)) for reading in ids]
    assert len(sent) == len(set(sent)) == 40


def test_no_more_than_a_window_is_out(ledger: Ledger, leases: Leases) -> None:
    for number in range(5):
        ledger.submit(submission(f"k{number}"))
    first = leases.to_send(3)
    assert len(first) == 3
    assert not leases.to_send(3)
    leases.claim(first[0], "owner")  # its message has come
    assert len(leases.to_send(3)) == 1


def test_the_messages_that_are_out_longest_are_sent_again(ledger: Ledger, leases: Leases) -> None:
    readings = [ledger.submit(submission(f"k{number}")).reading for number in range(3)]
    leases.to_send(1)
    time.sleep(0.02)
    leases.to_send(3)
    assert leases.out(for_s=60) == 0
    assert leases.send_again(3, for_s=60) == 0
    assert leases.send_again(1, for_s=0) == 1
    assert leases.to_send(3) == readings[:1]


def test_what_the_broker_did_not_take_is_sent_again(ledger: Ledger, leases: Leases, job: Job) -> None:
    leases.not_sent(leases.to_send(10))
    assert leases.to_send(10) == [job.reading]


def test_what_a_worker_gives_up_is_sent_at_once_and_not_counted(ledger: Ledger, leases: Leases, job: Job) -> None:
    leases.to_send(10)
    leases.give_up(claimed(leases, job))
    assert leases.to_send(10) == [job.reading]
    again = claimed(leases, job)
    assert (again.attempts, again.losses, again.refusals) == (0, 0, 0)


def test_it_is_known_whether_anything_is_open(ledger: Ledger, leases: Leases, job: Job) -> None:
    assert leases.unended()
    claim = claimed(leases, job)
    assert leases.unended()
    leases.succeed(claim, "r")
    assert not leases.unended()
