"""A job whose document is its script: what whoever has taken over a cell makes it send, byte for byte."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence

from jail.policy import REPLY_FD


def script(*payloads: bytes, raw: bytes = b"") -> bytes:
    """A document that has the cell reply with ``payloads``, each in a frame; then with ``raw``, as it is, if any."""
    return json.dumps([[payload.hex() for payload in payloads], raw.hex()]).encode()


class Puppet:
    def load(self) -> None:
        """Nothing to load."""

    def rehearse(self) -> None:
        """Nothing to rehearse."""

    def run(self, header: bytes, body: memoryview, reply: Callable[[bytes], None]) -> None:
        payloads: Sequence[str]
        payloads, raw = json.loads(bytes(body))
        for payload in payloads:
            reply(bytes.fromhex(payload))
        if raw:
            os.write(REPLY_FD, bytes.fromhex(raw))
            os._exit(0)
