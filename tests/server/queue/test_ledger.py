"""The ledger as callers use it, on SQLite and on PostgreSQL."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from server.errors import JobError, OverloadedError, Reason
from server.queue.job import State
from server.queue.leases import Failure, Leases
from server.queue.ledger import Ledger
from tests.server.queue.samples import submission


def dead(ledger: Ledger, leases: Leases, reading: str) -> None:
    claim = leases.claim(reading, "owner")
    assert claim is not None
    assert leases.bury(claim, Failure(Reason.DAMAGED_DOCUMENT, "it is cut short"))


def test_a_job_waits_until_it_is_read(ledger: Ledger, leases: Leases) -> None:
    job = ledger.submit(submission("k", tenant="t"))
    assert (job.state, job.tenant, job.name, job.result) == (State.WAITING, "t", "k.png", "")
    claim = leases.claim(job.reading, "owner")
    assert claim is not None
    assert ledger.job(job.id).state is State.RUNNING
    leases.succeed(claim, "results/k/owner")
    job = ledger.job(job.id)
    assert (job.state, job.result) == (State.SUCCEEDED, "results/k/owner")
    assert job.changed_s >= job.submitted_s


def test_the_same_document_is_one_reading(ledger: Ledger) -> None:
    first, second = ledger.submit(submission("k")), ledger.submit(submission("k"))
    assert first.id != second.id
    assert first.reading == second.reading
    assert second.document == first.document


def test_the_same_document_handed_in_by_many_at_once_is_one_reading(ledger: Ledger) -> None:
    ledger.prepare()
    with ThreadPoolExecutor(8) as threads:
        jobs = list(threads.map(lambda _: ledger.submit(submission("k")), range(16)))
    assert len({job.reading for job in jobs}) == 1
    assert len({job.id for job in jobs}) == 16


def test_a_submission_that_comes_twice_is_one_job(ledger: Ledger) -> None:
    first = ledger.submit(submission("k", job="j"))
    assert ledger.submit(submission("k", job="j")) == first
    assert len(ledger.jobs()) == 1


def test_a_document_that_ended_without_a_result_is_read_anew_and_the_old_job_stays(
    ledger: Ledger, leases: Leases
) -> None:
    old = ledger.submit(submission("k"))
    dead(ledger, leases, old.reading)
    new = ledger.submit(submission("k"))
    assert new.reading != old.reading
    assert new.state is State.WAITING
    old = ledger.job(old.id)
    assert (old.state, old.reason, old.message) == (State.DEAD, "DAMAGED_DOCUMENT", "it is cut short")


def test_beyond_so_many_open_documents_more_are_refused(database: str) -> None:
    ledger = Ledger(database, most_open=2)
    ledger.submit(submission("a"))
    ledger.submit(submission("b"))
    ledger.submit(submission("a"))  # no further document
    with pytest.raises(OverloadedError) as raised:
        ledger.submit(submission("c"))
    assert raised.value.reason == Reason.QUEUE_FULL
    assert raised.value.retry_after_s
    ledger.close()


def test_a_job_that_is_cancelled_is_not_read(ledger: Ledger, leases: Leases) -> None:
    job = ledger.submit(submission("k"))
    assert ledger.cancel(job.id).state is State.CANCELLED
    assert leases.claim(job.reading, "owner") is None
    assert not leases.to_send(10)


def test_who_cancels_leaves_others_their_reading(ledger: Ledger, leases: Leases) -> None:
    mine, other = ledger.submit(submission("k")), ledger.submit(submission("k"))
    assert ledger.cancel(mine.id).state is State.CANCELLED
    claim = leases.claim(other.reading, "owner")
    assert claim is not None
    leases.succeed(claim, "r")
    assert ledger.job(other.id).state is State.SUCCEEDED
    assert ledger.job(mine.id).state is State.CANCELLED
    assert ledger.job(mine.id).result == ""


def test_what_has_ended_can_not_be_cancelled(ledger: Ledger, leases: Leases) -> None:
    job = ledger.submit(submission("k"))
    claim = leases.claim(job.reading, "owner")
    assert claim is not None
    leases.succeed(claim, "r")
    assert ledger.cancel(job.id).state is State.SUCCEEDED


def test_a_result_that_comes_after_the_cancel_does_not_count(ledger: Ledger, leases: Leases) -> None:
    job = ledger.submit(submission("k"))
    claim = leases.claim(job.reading, "owner")
    assert claim is not None
    ledger.cancel(job.id)
    assert leases.renew(["owner"]) == set()
    assert not leases.succeed(claim, "r")
    assert ledger.job(job.id).state is State.CANCELLED


def test_a_job_that_is_not_there_is_named(ledger: Ledger) -> None:
    for call in (ledger.job, ledger.cancel):
        with pytest.raises(JobError, match="nope") as raised:
            call("nope")
        assert raised.value.reason == Reason.UNKNOWN_JOB


def test_jobs_are_listed_page_by_page_the_newest_first(ledger: Ledger, leases: Leases) -> None:
    made = [ledger.submit(submission(f"k{number}", tenant="ab"[number % 2])) for number in range(5)]
    newest = [job.id for job in reversed(made)]
    first = ledger.jobs(limit=2)
    rest = ledger.jobs(before=(first[-1].submitted_s, first[-1].id))
    assert [job.id for job in first + rest] == newest
    assert {job.id for job in ledger.jobs(tenant="a")} == {made[0].id, made[2].id, made[4].id}
    dead(ledger, leases, made[3].reading)
    assert [job.id for job in ledger.jobs(states=[State.DEAD])] == [made[3].id]
    assert ledger.counts() == {State.DEAD: 1, State.WAITING: 4}


def test_changes_since_a_time_are_found(ledger: Ledger, leases: Leases) -> None:
    old, new = ledger.submit(submission("a")), ledger.submit(submission("b"))
    time.sleep(0.01)
    now_s = time.time()
    assert not ledger.jobs(changed_since_s=now_s)
    leases.claim(old.reading, "owner")
    assert [job.id for job in ledger.jobs(changed_since_s=now_s)] == [old.id]
    ledger.cancel(new.id)
    assert {job.id for job in ledger.jobs(changed_since_s=now_s)} == {old.id, new.id}


def test_what_ended_long_ago_is_forgotten_and_what_is_open_or_was_asked_for_since_is_not(
    ledger: Ledger, leases: Leases
) -> None:
    old, joined, waiting = (ledger.submit(submission(key)) for key in ("old", "joined", "waiting"))
    for job in (old, joined):
        claim = leases.claim(job.reading, "owner")
        assert claim is not None
        leases.succeed(claim, "r")
    time.sleep(0.01)
    now_s = time.time()
    again = ledger.submit(submission("joined"))
    gone = ledger.forget(now_s)
    assert gone.readings == (old.reading,)
    assert gone.documents == (old.document,)
    assert {job.id for job in ledger.jobs()} == {joined.id, again.id, waiting.id}
    assert not ledger.forget(now_s).readings
