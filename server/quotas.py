"""What one tenant may ask of a server: requests a second, and requests at a time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from server.errors import OverloadedError, Reason
from server.sections import Section

# Tenants whose buckets are full again need no memory; they are looked for when there are so many.
_MOST_BUCKETS = 1024


class Quota(Section):
    requests_per_s: Annotated[float, Field(ge=0)] = 0.0
    """requests a second that one tenant may send, over all engines of this server; 0 for no bound"""
    burst: Annotated[int, Field(gt=0)] = 20
    """requests that one tenant may send at once when it has sent none for a while"""
    at_once: Annotated[int, Field(ge=0)] = 0
    """requests of one tenant that may be here at a time, waiting or being read; 0 for no bound"""
    share: Annotated[float, Field(gt=0)] = 1.0
    """how much of the cells' time a tenant gets, beside others with a share of 1, when all want more than there is"""


class QuotaSettings(Quota):
    tenants: dict[str, Quota] = Field(default_factory=dict)
    """quotas of single tenants, by name, in place of those of all"""


@dataclass(slots=True)
class _Bucket:
    """Tokens, one a request, that fill up at the tenant's rate."""

    tokens: float
    at_s: float


class Quotas:
    """Counts what tenants ask. One object for all engines of a server. ``clock`` gives seconds."""

    def __init__(self, settings: QuotaSettings | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._default: Quota = settings or QuotaSettings()
        self._tenants: Mapping[str, Quota] = {} if settings is None else settings.tenants
        self._clock = clock
        self._inside: Counter[str] = Counter()
        self._buckets: dict[str, _Bucket] = {}

    def share(self, tenant: str) -> float:
        return self._of(tenant).share

    def check_room(self, tenant: str, retry_after_s: float) -> None:
        """Raises `OverloadedError` (TENANT_AT_LIMIT) where ``tenant`` has as many requests here as it may."""
        at_once = self._of(tenant).at_once
        if at_once and self._inside[tenant] >= at_once:
            raise OverloadedError(
                Reason.TENANT_AT_LIMIT,
                f"{at_once} requests of this tenant are here already, as many as it may have; wait for one to end",
                {"at_once": str(at_once)},
                retry_after_s,
            )

    def spend(self, tenant: str) -> None:
        """Count one request. Raises `OverloadedError` (RATE_LIMITED) where that is too soon after those before it."""
        quota = self._of(tenant)
        if not quota.requests_per_s:
            return
        now = self._clock()
        bucket = self._buckets.setdefault(tenant, _Bucket(quota.burst, now))
        bucket.tokens = min(quota.burst, bucket.tokens + (now - bucket.at_s) * quota.requests_per_s)
        bucket.at_s = now
        if bucket.tokens < 1:
            raise OverloadedError(
                Reason.RATE_LIMITED,
                f"this tenant sent more than the {quota.requests_per_s:g} requests a second it may; wait between them",
                {"requests_per_s": f"{quota.requests_per_s:g}"},
                (1 - bucket.tokens) / quota.requests_per_s,
            )
        bucket.tokens -= 1
        if len(self._buckets) > _MOST_BUCKETS:
            self._forget(now)

    def enter(self, tenant: str) -> None:
        self._inside[tenant] += 1

    def leave(self, tenant: str) -> None:
        self._inside[tenant] -= 1
        if not self._inside[tenant]:
            del self._inside[tenant]

    def _of(self, tenant: str) -> Quota:
        return self._tenants.get(tenant, self._default)

    def _forget(self, now: float) -> None:
        for tenant, bucket in list(self._buckets.items()):
            quota = self._of(tenant)
            if bucket.tokens + (now - bucket.at_s) * quota.requests_per_s >= quota.burst:
                del self._buckets[tenant]
