"""Certificates and tokens, made for a test."""

from __future__ import annotations

import datetime
import ipaddress
import json
import time
from dataclasses import dataclass
from pathlib import Path

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

AUDIENCE, ISSUER = "cloister", "https://issuer.example"


@dataclass(frozen=True)
class Signed:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        key.write_bytes(self.key_pem)
        certificate.write_bytes(self.pem)
        return certificate, key


class Authority:
    """Signs certificates."""

    def __init__(self, name: str = "an authority") -> None:
        self._own = _signed(name, None)

    @property
    def pem(self) -> bytes:
        return self._own.pem

    def write(self, path: Path) -> Path:
        path.write_bytes(self.pem)
        return path

    def sign(self, name: str) -> Signed:
        """For a server on this host, or a client of that name."""
        return _signed(name, self._own)


def _signed(name: str, by: Signed | None) -> Signed:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if by is None else by.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
    )
    if by is not None:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return Signed(builder.sign(key if by is None else by.key, hashes.SHA256()), key)


class Issuer:
    """Signs JWTs, by a key called ``kid``."""

    def __init__(self, kid: str = "first") -> None:
        self._kid = kid
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def jwk(self) -> dict[str, object]:
        public: dict[str, object] = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key()))
        return {**public, "kid": self._kid, "alg": "ES256", "use": "sig"}

    def token(self, **claims: object) -> str:
        """A good one for the tenant "acme", but for ``claims``; those that are None are left out."""
        all_claims = {"aud": AUDIENCE, "iss": ISSUER, "sub": "somebody", "tenant": "acme", "exp": time.time() + 600}
        kept = {name: claim for name, claim in (all_claims | claims).items() if claim is not None}
        return jwt.encode(kept, self._key, algorithm="ES256", headers={"kid": self._kid})


def write_jwks(path: Path, *issuers: Issuer) -> Path:
    path.write_text(json.dumps({"keys": [issuer.jwk for issuer in issuers]}))
    return path
