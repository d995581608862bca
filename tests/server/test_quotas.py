"""What one tenant may ask, by the second and at a time."""

from __future__ import annotations

import pytest

from server.errors import OverloadedError, Reason
from server.quotas import Quotas, QuotaSettings


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def quotas(clock: Clock | None = None, **values: object) -> Quotas:
    return Quotas(QuotaSettings.model_validate(values), clock or Clock())


def test_without_settings_nothing_is_bounded() -> None:
    free = Quotas()
    for _ in range(1000):
        free.spend("a")
        free.enter("a")
        free.check_room("a", 1.0)


def test_a_tenant_sends_at_its_rate_after_a_burst_and_is_told_when_the_next_is_due() -> None:
    clock = Clock()
    bounded = quotas(clock, requests_per_s=2.0, burst=3)
    for _ in range(3):
        bounded.spend("a")
    with pytest.raises(OverloadedError) as refused:
        bounded.spend("a")
    assert refused.value.reason == Reason.RATE_LIMITED
    assert refused.value.retry_after_s == pytest.approx(0.5)
    bounded.spend("b")  # another's rate is its own
    clock.now_s += 0.5
    bounded.spend("a")
    with pytest.raises(OverloadedError):
        bounded.spend("a")
    clock.now_s += 60
    for _ in range(3):
        bounded.spend("a")
    with pytest.raises(OverloadedError):
        bounded.spend("a")


def test_a_tenant_has_so_many_requests_here_at_a_time() -> None:
    bounded = quotas(at_once=2)
    bounded.enter("a")
    bounded.check_room("a", 1.0)
    bounded.enter("a")
    with pytest.raises(OverloadedError) as refused:
        bounded.check_room("a", 1.5)
    assert (refused.value.reason, refused.value.retry_after_s) == (Reason.TENANT_AT_LIMIT, 1.5)
    bounded.check_room("b", 1.0)
    bounded.leave("a")
    bounded.check_room("a", 1.0)


def test_a_tenants_own_quota_stands_in_place_of_everybodys() -> None:
    bounded = quotas(at_once=1, tenants={"large": {"at_once": 3, "share": 2.0}})
    for tenant in ("small", "large"):
        bounded.enter(tenant)
    with pytest.raises(OverloadedError):
        bounded.check_room("small", 1.0)
    bounded.check_room("large", 1.0)
    assert (bounded.share("small"), bounded.share("large")) == (1.0, 2.0)


def test_tenants_that_have_not_sent_for_a_while_are_forgotten() -> None:
    clock = Clock()
    bounded = quotas(clock, requests_per_s=1.0, burst=2)
    for number in range(5000):
        bounded.spend(f"tenant{number}")
        clock.now_s += 0.1
    assert len(bounded._buckets) < 1100
