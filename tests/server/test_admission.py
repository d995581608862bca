"""The queue is bounded and fair, a deadline is a point in time, and what can't be done in time is not begun."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from server.admission import Admission, Deadline, Place
from server.errors import OverloadedError, Reason
from server.fairness import Priority
from server.quotas import Quotas, QuotaSettings

INTERACTIVE, BATCH = Priority.INTERACTIVE, Priority.BATCH


def later() -> Deadline:
    return Deadline.after(30)


class Request:
    """A request in a task of its own, which holds its turn until it is told to end."""

    def __init__(
        self, admission: Admission, tenant: str = "", priority: Priority = INTERACTIVE, deadline: Deadline | None = None
    ) -> None:
        self.leave = asyncio.Event()
        self.started = asyncio.Event()
        self.refused: OverloadedError | None = None
        self.task = asyncio.create_task(self._run(admission, tenant, priority, deadline or later()))

    async def _run(self, admission: Admission, tenant: str, priority: Priority, deadline: Deadline) -> None:
        try:
            with admission.place(deadline, tenant, priority) as place:
                async with place.turn():
                    self.started.set()
                    await self.leave.wait()
        except OverloadedError as error:
            self.refused = error

    async def end(self) -> None:
        self.leave.set()
        await asyncio.wait_for(self.task, 10)


async def settled() -> None:
    """All that can go on has gone on."""
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def requests(admission: Admission, *askers: tuple[str, Priority]) -> AsyncIterator[list[Request]]:
    made = []
    for tenant, priority in askers:
        made.append(Request(admission, tenant, priority))
        await settled()
    try:
        yield made
    finally:
        for request in made:
            await request.end()
        assert (admission.inside, admission.waiting) == (0, 0)


async def test_a_place_is_refused_past_the_bound_with_a_time_to_come_back() -> None:
    admission = Admission(busy=1, queue=1)
    async with requests(admission, ("", INTERACTIVE), ("", INTERACTIVE)) as (first, second):
        assert (admission.inside, admission.waiting, admission.free) == (2, 1, 0)
        third = Request(admission)
        await third.task
        assert third.refused is not None
        assert third.refused.reason == Reason.QUEUE_FULL
        assert third.refused.retry_after_s is not None
        assert third.refused.retry_after_s > 0
        assert third.refused.metadata == {"capacity": "2"}
        assert not second.started.is_set()
        await first.end()
        await second.started.wait()


async def test_a_place_is_given_back_whatever_ends_the_request() -> None:
    admission = Admission(busy=1, queue=0)
    with pytest.raises(ValueError, match="broken"), admission.place(later()):
        raise ValueError("broken")
    assert admission.inside == 0
    with pytest.raises(ValueError, match="broken"), admission.place(later()) as place:
        async with place.turn():
            raise ValueError("broken")
    assert (admission.inside, admission.free) == (0, 1)


async def test_one_that_is_cancelled_leaves_the_queue() -> None:
    admission = Admission(busy=1, queue=2)
    async with requests(admission, *[("", INTERACTIVE)] * 3) as (first, second, third):
        second.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second.task
        second.task = asyncio.create_task(asyncio.sleep(0))
        assert (admission.inside, admission.waiting) == (2, 1)
        await first.end()
        await asyncio.wait_for(third.started.wait(), 5)


async def test_one_that_is_cancelled_just_as_its_turn_comes_passes_it_on() -> None:
    admission = Admission(busy=1, queue=2)
    async with requests(admission, *[("", INTERACTIVE)] * 3) as (first, second, third):
        first.leave.set()
        while admission.waiting == 2:
            await asyncio.sleep(0)
        second.task.cancel()  # it has been given the turn, and has not run since
        with pytest.raises(asyncio.CancelledError):
            await second.task
        second.task = asyncio.create_task(asyncio.sleep(0))
        await asyncio.wait_for(third.started.wait(), 5)


async def test_a_newcomer_gets_the_place_of_a_tenant_that_holds_more() -> None:
    admission = Admission(busy=1, queue=3)
    async with requests(admission, *[("many", INTERACTIVE)] * 4) as many:
        new = Request(admission, "new")
        await settled()
        assert admission.inside == 4
        assert [request.refused and request.refused.reason for request in many] == [None, None, None, Reason.QUEUE_FULL]
        # Two wait now that are of many, and one that is of new: it would only turn the tables.
        second = Request(admission, "new")
        await second.task
        assert second.refused is not None
        await many[0].end()
        await asyncio.wait_for(new.started.wait(), 5)
        assert not many[1].started.is_set()
        await new.end()


async def test_an_interactive_newcomer_gets_the_place_of_a_batch_and_a_batch_none() -> None:
    admission = Admission(busy=1, queue=2)
    async with requests(admission, ("a", INTERACTIVE), ("a", BATCH), ("b", BATCH)) as (running, one, two):
        batch = Request(admission, "c", BATCH)
        await batch.task
        assert batch.refused is not None
        person = Request(admission, "a", INTERACTIVE)
        await settled()
        assert (one.refused is None) != (two.refused is None)
        await running.end()
        await asyncio.wait_for(person.started.wait(), 5)
        assert not one.started.is_set()
        assert not two.started.is_set()
        await person.end()


async def test_one_whose_document_is_still_coming_may_have_to_leave_too() -> None:
    admission = Admission(busy=1, queue=1)
    refused: list[str] = []

    async def receive() -> None:
        try:
            with admission.place(later(), "slow"):
                await asyncio.sleep(30)
        except OverloadedError as error:
            refused.append(error.reason)

    slow = [asyncio.create_task(receive()) for _ in range(2)]
    await settled()
    async with requests(admission, ("other", INTERACTIVE)) as (other,):
        await asyncio.wait_for(other.started.wait(), 5)
        assert refused == [Reason.QUEUE_FULL]
        assert slow[1].done()
        assert not slow[1].cancelled()
        slow[0].cancel()
        await asyncio.wait(slow)


async def test_who_has_begun_is_never_put_out() -> None:
    admission = Admission(busy=2, queue=0)
    async with requests(admission, ("a", BATCH), ("a", BATCH)):
        new = Request(admission, "b", INTERACTIVE)
        await new.task
        assert new.refused is not None


async def test_more_turns_of_a_request_that_has_begun_go_before_the_line() -> None:
    admission = Admission(busy=1, queue=2)
    order: list[str] = []

    async def more(place: Place) -> None:
        async with place.turn():
            order.append("more")

    with admission.place(later()) as place:
        async with place.turn():
            waiting = Request(admission)
            await settled()
            second = asyncio.create_task(more(place))
            await settled()
            assert not order
        await second
        order.append("line" if waiting.started.is_set() else "not yet")
    await asyncio.wait_for(waiting.started.wait(), 5)
    await waiting.end()
    assert order[0] == "more"
    assert admission.free == 1


async def test_a_deadline_that_the_queue_makes_impossible_is_refused_at_once() -> None:
    admission = Admission(busy=1, queue=8)
    admission._expected.add(0.2)
    async with requests(admission, *[("", INTERACTIVE)] * 4):
        hurried = Request(admission, deadline=Deadline.after(0.5))
        await hurried.task
        assert hurried.refused is not None
        assert hurried.refused.reason == Reason.DEADLINE_TOO_SHORT
        assert hurried.refused.retry_after_s is not None
        assert 0.5 < hurried.refused.retry_after_s < 5
        assert float(hurried.refused.metadata["expected_s"]) > 0.5
        patient = Request(admission, deadline=Deadline.after(20))
        await settled()
        assert patient.refused is None
        assert admission.inside == 5
        patient.task.cancel()
        await asyncio.wait([patient.task])


async def test_one_whose_turn_comes_too_late_is_not_begun() -> None:
    admission = Admission(busy=1, queue=8)
    admission._expected.add(0.5)
    async with requests(admission, ("", INTERACTIVE)) as (busy,):
        hurried = Request(admission, deadline=Deadline.after(2.0))
        await settled()
        assert hurried.refused is None
        await asyncio.sleep(1.7)
        await busy.end()
        await hurried.task
        assert hurried.refused is not None
        assert hurried.refused.reason == Reason.DEADLINE_TOO_SHORT
        assert not hurried.started.is_set()


async def test_quotas_hold_over_all_engines() -> None:
    quotas = Quotas(
        QuotaSettings.model_validate({"at_once": 2, "tenants": {"slow": {"requests_per_s": 0.01, "burst": 1}}})
    )
    one, other = Admission(2, 2, quotas), Admission(2, 2, quotas)
    async with requests(one, ("a", INTERACTIVE)), requests(other, ("a", INTERACTIVE), ("b", INTERACTIVE)):
        third = Request(one, "a")
        await third.task
        assert third.refused is not None
        assert third.refused.reason == Reason.TENANT_AT_LIMIT
    async with requests(one, ("slow", INTERACTIVE)):
        second = Request(other, "slow")
        await second.task
        assert second.refused is not None
        assert second.refused.reason == Reason.RATE_LIMITED


async def test_a_refusal_costs_a_tenant_none_of_its_rate() -> None:
    quotas = Quotas(QuotaSettings.model_validate({"requests_per_s": 0.01, "burst": 2}))
    admission = Admission(1, 0, quotas)
    async with requests(admission, ("a", INTERACTIVE)) as (first,):
        for _ in range(5):
            refused = Request(admission, "a")
            await refused.task
            assert refused.refused is not None
            assert refused.refused.reason == Reason.QUEUE_FULL
        await first.end()
        second = Request(admission, "a")
        await asyncio.wait_for(second.started.wait(), 5)
        await second.end()


def test_a_caller_gets_the_deadline_it_asks_for_within_the_cap() -> None:
    assert Deadline.of_call(5, default_s=60, cap_s=300).remaining_s == pytest.approx(5, abs=0.5)
    assert Deadline.of_call(None, default_s=60, cap_s=300).remaining_s == pytest.approx(60, abs=0.5)
    assert Deadline.of_call(9999, default_s=60, cap_s=300).remaining_s == pytest.approx(300, abs=0.5)


async def test_a_deadline_ends_its_block() -> None:
    deadline = Deadline.after(0.01)
    with pytest.raises(TimeoutError):
        async with deadline.timeout():
            await asyncio.sleep(5)
    assert deadline.passed
    assert deadline.remaining_s == 0
