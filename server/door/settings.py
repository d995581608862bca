"""The sections of the settings that are about the door."""

from __future__ import annotations

from pathlib import Path

from pydantic import model_validator

from server.sections import Section


class Tls(Section):
    certificate: Path | None = None
    """PEM file of the server's certificate, and those between it and its authority; none: no TLS"""
    key: Path | None = None
    """PEM file of the certificate's private key"""
    clients_ca: Path | None = None
    """PEM file of the authorities whose certificates clients must show (mTLS); none: clients show none"""

    @model_validator(mode="after")
    def _whole(self) -> Tls:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together; name both or none")
        if self.clients_ca is not None and self.certificate is None:
            raise ValueError("clients_ca is named but no certificate of the server; name certificate and key too")
        return self

    @property
    def on(self) -> bool:
        return self.certificate is not None


class Authentication(Section):
    keys: Path | None = None
    """file of hashed API keys; `cloister keys` writes it"""
    jwks: Path | None = None
    """JWKS file: the public keys of who issues JWTs"""
    audience: str = ""
    """the aud that JWTs must have; needed with jwks"""
    issuer: str = ""
    """the iss that JWTs must have; empty: not looked at"""
    tenant_claim: str = "tenant"
    """the claim of JWTs that names the tenant"""
    certificates: bool = False
    """whether a client's certificate is a credential: its common name is the tenant; takes tls.clients_ca"""

    @model_validator(mode="after")
    def _tokens_are_for_us(self) -> Authentication:
        if self.jwks is not None and not self.audience:
            raise ValueError("jwks is named but no audience; set it, or tokens for other services would do here")
        return self

    @property
    def on(self) -> bool:
        return self.keys is not None or self.jwks is not None or self.certificates


class Audit(Section):
    to: str = "off"
    """where who asked for what is recorded: off, log (the server's own), or a file to append to"""
