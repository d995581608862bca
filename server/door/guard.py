"""Finds out who calls, from what the call shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from structlog.typing import FilteringBoundLogger

from server.door import keys, tokens
from server.door.caller import ANONYMOUS, ANY_TENANT, Credential
from server.door.settings import Authentication
from server.door.watched import Watched
from server.errors import CredentialError, Reason
from server.settings import SettingsError

HEADER = "authorization"
_BEARER = "bearer "
_COMMON_NAME = "x509_common_name"


class Guard:
    """Knows the keys and the issuers of a server. Raises `SettingsError` where their files can't be used."""

    def __init__(self, settings: Authentication, log: FilteringBoundLogger) -> None:
        self._settings = settings
        self._demands = tokens.Demands(settings.audience, settings.issuer, settings.tenant_claim)
        self._keys = self._jwks = None
        try:
            if (path := settings.keys) is not None:
                self._keys = Watched((path,), lambda: keys.read(path), log)
        except (OSError, ValueError) as error:
            raise SettingsError(f"authentication.keys: {error}; make one: cloister keys add") from error
        try:
            if (jwks := settings.jwks) is not None:
                self._jwks = Watched((jwks,), lambda: tokens.read_jwks(jwks), log)
        except (OSError, ValueError) as error:
            raise SettingsError(f"authentication.jwks: {error}") from error

    def shown(self, metadata: Iterable[tuple[str, str | bytes]]) -> Credential | None:
        """The credential in a call's metadata; None where there is none and its connection's certificate may do.

        Raises `CredentialError` for one that is not good, whatever else there is, and for none where one is wanted.
        """
        if not self._settings.on:
            return ANONYMOUS
        for key, value in metadata:
            if key == HEADER and isinstance(value, str):
                return self._bearer(value)
        if self._settings.certificates:
            return None
        raise CredentialError(
            Reason.NO_CREDENTIAL,
            'this server wants to know who calls; send "authorization: Bearer" with a key or token',
        )

    def of_connection(self, auth_context: Mapping[str, Iterable[bytes]]) -> Credential:
        """The credential that a connection's certificate is. Raises `CredentialError` where there is none."""
        names = [name.decode(errors="replace") for name in auth_context.get(_COMMON_NAME, ())]
        if len(names) != 1 or names[0] in ("", ANY_TENANT):
            raise CredentialError(
                Reason.NO_CREDENTIAL, "the connection shows no certificate whose common name could be a tenant's"
            )
        return Credential(f"certificate:{names[0]}", names[0])

    def _bearer(self, header: str) -> Credential:
        presented = header[len(_BEARER) :].strip()
        if not header.lower().startswith(_BEARER) or not presented:
            raise CredentialError(Reason.INVALID_CREDENTIAL, 'the metadata "authorization" must say: Bearer, and a key')
        if self._keys is not None and (self._jwks is None or presented.startswith(keys.PREFIX)):
            key = keys.found(self._keys.get(), presented)
            if key is None:
                raise CredentialError(Reason.INVALID_CREDENTIAL, "the key is not known here; it may have been revoked")
            if key.expired:
                raise CredentialError(Reason.CREDENTIAL_EXPIRED, "the key has expired; get a new one")
            return Credential(f"key:{key.id}", key.tenant)
        if self._jwks is not None:
            return tokens.checked(presented, self._jwks.get(), self._demands)
        raise CredentialError(
            Reason.INVALID_CREDENTIAL, "this server takes clients' certificates, no keys and no tokens"
        )
