"""What a client shows a server, and what it knows the server by.

    access = Access(ca="ca.pem", token_file=Path("token"))
    with Client("ocr.example:50051", access=access) as client: ...

In the environment: CLOISTER_CA, CLOISTER_CERTIFICATE, CLOISTER_KEY, CLOISTER_TOKEN, CLOISTER_TOKEN_FILE and
CLOISTER_SERVER_NAME.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from server.addresses import is_local

SYSTEM = "system"
"""Stands for the authorities that gRPC brings along."""


class AccessError(Exception):
    """A client's credentials that can't be used. Says which, and what to do."""


@dataclass(frozen=True, slots=True)
class Access:
    """None of it, by default: that is for servers on this host. ``ca`` or a certificate makes the connection TLS.

    ``token`` is an API key or a JWT; one in ``token_file`` is read anew for each call. A server whose certificate has
    another name than its address is expected to be ``server_name``.
    """

    ca: str = ""
    """PEM file of the authorities that vouch for the server, or `SYSTEM`."""
    certificate: Path | None = None
    key: Path | None = None
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    server_name: str = ""
    dangerously_in_the_clear: bool = False
    """Whether a token may go to other hosts without TLS."""

    @classmethod
    def from_environment(cls) -> Access:
        def path(name: str) -> Path | None:
            value = os.environ.get(f"CLOISTER_{name}")
            return Path(value) if value else None

        return cls(
            ca=os.environ.get("CLOISTER_CA", ""),
            certificate=path("CERTIFICATE"),
            key=path("KEY"),
            token=os.environ.get("CLOISTER_TOKEN", ""),
            token_file=path("TOKEN_FILE"),
            server_name=os.environ.get("CLOISTER_SERVER_NAME", ""),
        )

    @property
    def tls(self) -> bool:
        return bool(self.ca) or self.certificate is not None

    def credentials(self, address: str) -> grpc.ChannelCredentials | None:
        """For a channel to ``address``; None for one without TLS. Raises `AccessError`."""
        if not self.tls:
            has_token = bool(self.token) or self.token_file is not None
            if has_token and not is_local(address) and not self.dangerously_in_the_clear:
                raise AccessError(
                    f"a token would go to {address} in the clear; name the server's authority (ca, CLOISTER_CA;"
                    f' "{SYSTEM}" for public ones)'
                )
            return None
        if (self.certificate is None) != (self.key is None):
            raise AccessError("a client's certificate and its key go together; name both or none")
        return grpc.ssl_channel_credentials(
            root_certificates=None if self.ca in ("", SYSTEM) else _read(Path(self.ca)),
            private_key=None if self.key is None else _read(self.key),
            certificate_chain=None if self.certificate is None else _read(self.certificate),
        )

    @property
    def options(self) -> tuple[tuple[str, str], ...]:
        """For the channel."""
        return (("grpc.ssl_target_name_override", self.server_name),) if self.server_name else ()

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """For each call. Raises `AccessError`."""
        token = self.token
        if self.token_file is not None:
            token = _read(self.token_file).decode(errors="replace").strip()
        return (("authorization", f"Bearer {token}"),) if token else ()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AccessError(f"{path}: {error.strerror}; name a file that can be read") from error
