"""A job that claims to have made forbidden calls."""

from __future__ import annotations

from collections.abc import Callable

from jail.proof import Proof


class Obedient(Proof):
    """Makes no forbidden call, so that it looks as if none were stopped."""

    def run(self, header: bytes, body: memoryview, reply: Callable[[bytes], None]) -> None:
        if header == b"call":
            reply(b"survived")
        else:
            super().run(header, body, reply)
