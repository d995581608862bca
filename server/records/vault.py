"""Encrypts what is kept of documents: AES-256-GCM (NIST SP 800-38D) with keys from the operator's file.

A ciphertext is bound to the comparison it belongs to, to its part in it and to the day it expires: whoever can write to
the database can neither put it elsewhere nor let it live longer.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_BYTES = 32
_NAME_BYTES = 4
_NONCE_BYTES = 12
_HOW = "make one by: (umask 077; openssl rand -base64 32 > FILE)"


class VaultError(Exception):
    """Keys that can't be used, or a ciphertext that they don't open. Says what to do, and no secret."""


class Vault:
    """Seals with the first of ``keys`` (32 bytes each), and opens with all: so that keys can be changed."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != _KEY_BYTES for key in keys):
            raise VaultError(f"a key is {_KEY_BYTES} bytes long; {_HOW}")
        self._keys = {hashlib.sha256(key).digest()[:_NAME_BYTES]: AESGCM(key) for key in keys}
        self._newest = next(iter(self._keys))

    @classmethod
    def load(cls, path: Path) -> Vault:
        """The keys in a file: a line of base64 each, the newest first. Only its owner may read it."""
        try:
            if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise VaultError(f"{path} can be read by others than its owner; chmod 600 it")
            lines = path.read_bytes().split()
            return cls([base64.b64decode(line, altchars=b"-_" if set(b"-_") & set(line) else None) for line in lines])
        except OSError as error:
            raise VaultError(f"{path}: {error.strerror}; {_HOW}") from error
        except binascii.Error as error:
            raise VaultError(f"{path} holds a line that is not base64; {_HOW}") from error

    def seal(self, data: bytes, label: str) -> bytes:
        """``data`` so that only `open` with the same ``label`` gives it back."""
        nonce = os.urandom(_NONCE_BYTES)
        return self._newest + nonce + self._keys[self._newest].encrypt(nonce, data, label.encode())

    def open(self, sealed: bytes, label: str) -> bytes:
        """What was sealed. Raises `VaultError` where its key is not here, or it or its label was changed."""
        key = self._keys.get(sealed[:_NAME_BYTES])
        if key is None:
            raise VaultError("it was sealed with a key that is no longer in the file of keys")
        nonce, ciphertext = sealed[_NAME_BYTES:][:_NONCE_BYTES], sealed[_NAME_BYTES + _NONCE_BYTES :]
        try:
            return key.decrypt(nonce, ciphertext, label.encode())
        except InvalidTag as error:
            raise VaultError("it was changed since it was sealed") from error
