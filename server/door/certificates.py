"""TLS with certificates that are read again when their files change, without a restart and without a lost connection.

gRPC asks for the certificates at every handshake; connections that stand keep those they were made with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from structlog.typing import FilteringBoundLogger

from server.door.settings import Tls
from server.door.watched import Watched


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM texts that go together: a chain with its key, and the authorities of clients where they are asked for any."""

    chain: bytes
    key: bytes
    clients_ca: bytes | None

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(self.key, self.chain)], self.clients_ca)


def read(certificate: Path, key: Path, clients_ca: Path | None) -> Certificates:
    """Raises ValueError where a file is not PEM of its kind or the key is another certificate's, and OSError."""
    found = Certificates(
        certificate.read_bytes(), key.read_bytes(), None if clients_ca is None else clients_ca.read_bytes()
    )
    leaf = _certificates(certificate, found.chain)[0]
    try:
        private = load_pem_private_key(found.key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"{key}: not a private key in PEM without a password: {error}") from error
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if private.public_key().public_bytes(*form) != leaf.public_key().public_bytes(*form):
        raise ValueError(f"{key}: not the key of {certificate}; name the two that belong together")
    if clients_ca is not None and found.clients_ca is not None:
        _certificates(clients_ca, found.clients_ca)
    return found


def server_credentials(tls: Tls, log: FilteringBoundLogger) -> grpc.ServerCredentials:
    """For a server's port. Raises ValueError and OSError where the files can't be used from the start."""
    assert tls.certificate is not None
    assert tls.key is not None
    certificate, key, clients_ca = tls.certificate, tls.key, tls.clients_ca
    watched = Watched(
        tuple(path for path in (certificate, key, clients_ca) if path is not None),
        lambda: read(certificate, key, clients_ca),
        log,
    )
    given = watched.version

    def newer() -> grpc.ServerCertificateConfiguration | None:
        """What gRPC asks before each handshake, from a thread of its own: None where nothing has changed."""
        nonlocal given
        found = watched.get()
        if watched.version == given:
            return None
        given = watched.version
        return found.configuration()

    return grpc.dynamic_ssl_server_credentials(
        watched.get().configuration(),
        newer,  # type: ignore[arg-type]  # its stub does not know that None means no change
        require_client_authentication=clients_ca is not None,
    )


def _certificates(path: Path, pem: bytes) -> list[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ValueError(f"{path}: no certificates in PEM: {error}") from error
    return found
