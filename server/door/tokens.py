"""JWTs (RFC 7519), checked against the public keys in a JWKS file (RFC 7517)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jwt
from jwt.exceptions import ExpiredSignatureError, InvalidTokenError, PyJWKError, PyJWKSetError

from server.door.caller import ANY_TENANT, Credential
from server.errors import CredentialError, Reason

# Signatures alone. With HMAC whoever can check a token can make one; "none" is no signature.
_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
# Clocks of issuer and server may differ by so much.
_LEEWAY_S = 30


@dataclass(frozen=True, slots=True)
class Demands:
    """What tokens must say. An empty ``issuer`` is not looked at."""

    audience: str
    issuer: str
    tenant_claim: str


def read_jwks(path: Path) -> dict[str, jwt.PyJWK]:
    """The keys in a JWKS file, by kid. Raises ValueError and OSError."""
    try:
        keys = jwt.PyJWKSet.from_dict(json.loads(path.read_text(encoding="utf-8"))).keys
    except (PyJWKError, PyJWKSetError, AttributeError, TypeError) as error:
        raise ValueError(f"{path}: not a JWKS that can be used: {error}") from error
    for key in keys:
        if key.algorithm_name not in _ALGORITHMS:
            raise ValueError(f"{path}: a key is for {key.algorithm_name}; put only public keys of signatures there")
        if key.key_id is None and len(keys) > 1:
            raise ValueError(f"{path}: a key has no kid, and is not the only one; give it one")
    return {key.key_id or "": key for key in keys}


def checked(token: str, keys: Mapping[str, jwt.PyJWK], demands: Demands) -> Credential:
    """Who shows ``token``. Raises `CredentialError`."""
    try:
        kid = jwt.get_unverified_header(token).get("kid", "")
        key = keys.get(kid) or (keys.get("") if len(keys) == 1 else None)
        if key is None:
            raise _refused("it is signed by a key that is not known here")
        claims = jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            audience=demands.audience,
            issuer=demands.issuer or None,
            leeway=_LEEWAY_S,
            options={"require": ["exp", "aud", *(["iss"] if demands.issuer else [])]},
        )
    except ExpiredSignatureError as error:
        raise CredentialError(Reason.CREDENTIAL_EXPIRED, "the token has expired; get a new one") from error
    except InvalidTokenError as error:
        raise _refused(f"it is not valid: {error}") from error
    tenant = claims.get(demands.tenant_claim)
    if not isinstance(tenant, str) or tenant in ("", ANY_TENANT):
        raise _refused(f"its claim {demands.tenant_claim!r} names no tenant")
    return Credential(f"token:{claims.get('sub') or claims.get('jti') or kid}", tenant)


def _refused(why: str) -> CredentialError:
    return CredentialError(Reason.INVALID_CREDENTIAL, f"the token can't be taken: {why}")
