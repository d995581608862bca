"""Who calls: what the RPCs of any service learn of a caller, by `current`."""

from __future__ import annotations

import uuid
from contextvars import ContextVar
from dataclasses import dataclass, field

from server.errors import CredentialError, Reason

ANY_TENANT = "*"


@dataclass(frozen=True, slots=True)
class Credential:
    """What a caller has shown. ``id`` names it in the audit log, as "key:2f81c09a"; "" for none at all."""

    id: str
    tenant: str
    """`ANY_TENANT` for one that may speak for each."""


ANONYMOUS = Credential("", ANY_TENANT)
"""Where a server wants no credentials, callers are who they say."""


@dataclass(slots=True)
class Caller:
    """One call's. ``request_id`` is in the reply, in the log, and in the audit log."""

    credential: Credential = ANONYMOUS
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    acts_for: str = ""
    """The tenant whose request it turned out to be, for the audit log."""

    def tenant(self, claimed: str) -> str:
        """Whose a request is that names ``claimed``; "" for nobody's.

        Raises `CredentialError` (OTHER_TENANT) where that is another than the credential's.
        """
        own = self.credential.tenant
        if own != ANY_TENANT and claimed not in ("", own):
            raise CredentialError(
                Reason.OTHER_TENANT,
                f"the credential is for tenant {own!r}, and the request names another; leave its tenant empty",
                {"tenant": own},
            )
        self.acts_for = claimed if own == ANY_TENANT else own
        return self.acts_for


_current: ContextVar[Caller | None] = ContextVar("caller", default=None)


def current() -> Caller:
    """The caller of the RPC that runs in this task."""
    return _current.get() or Caller()


def enter(caller: Caller) -> None:
    """Have `current` give ``caller`` from here on in this task, which serves one call."""
    _current.set(caller)
