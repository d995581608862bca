"""The queue is bounded, and a deadline is a point in time."""

import asyncio

import pytest

from server.admission import Admission, Deadline
from server.errors import OverloadedError, Reason


def test_a_place_is_refused_past_the_bound_with_a_time_to_come_back() -> None:
    admission = Admission(busy=1, queue=1)
    with admission.place(), admission.place():
        with pytest.raises(OverloadedError) as refused, admission.place():
            pytest.fail("a third one came in")
        assert refused.value.reason == Reason.QUEUE_FULL
        assert refused.value.retry_after_s is not None
        assert refused.value.retry_after_s > 0
        assert refused.value.metadata == {"capacity": "2"}


def test_a_place_is_given_back_whatever_ends_the_request() -> None:
    admission = Admission(busy=1, queue=0)
    with pytest.raises(ValueError, match="broken"), admission.place():
        raise ValueError("broken")
    assert admission.inside == 0
    with admission.place():
        assert admission.inside == 1


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
