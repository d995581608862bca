"""A candidate for comparisons: `tests.server.jobs.TinyJob`, but for what it is told to get wrong."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

from engines.api import Limits
from jail.spec import ZygoteSpec
from server.catalogue import EngineEntry
from tests.server.jobs import TinyJob

EVERY_MISDEED = (
    "crash",
    "abort",
    "hang",
    "spin",
    "violate",
    "hog",
    "garbage",
    "order",
    "outside",
    "nan",
    "unended",
    "escape",
    "flood",
)
"""All the ways to fail that a candidate has."""


class Candidate(TinyJob):
    """Takes ``misread`` for its reverse, crashes where ``crash_on`` stands; does one of ``deeds`` by the document."""

    def __init__(self, misread: str = "", crash_on: str = "", deeds: Sequence[str] = ()) -> None:
        super().__init__()
        self._misread = misread
        self._crash_on = crash_on
        self._deeds = deeds

    def run(self, header: bytes, body: memoryview, reply: Callable[[bytes], None]) -> None:
        text = bytes(body).decode()
        if self._crash_on and self._crash_on in text:
            raise RuntimeError("as told")
        if self._misread:
            text = text.replace(self._misread, self._misread[::-1])
        if self._deeds:
            deed = self._deeds[zlib.crc32(body) % len(self._deeds)]
            if deed in _DEEDS:
                _DEEDS[deed](reply)
            elif deed != "read":
                text = f"!{deed}\n{text}"
        super().run(header, memoryview(text.encode()), reply)


def candidate(name: str, **kwargs: str | list[str]) -> EngineEntry:
    return EngineEntry(
        name=name,
        version="2.0",
        model_version="",
        languages=("en",),
        limits=Limits(memory_bytes=1 << 20),
        zygote=ZygoteSpec(job="tests.server.candidates:Candidate", kwargs=kwargs, policy="base"),
    )


def _spin(_: Callable[[bytes], None]) -> None:
    while True:
        pass


def _flood(reply: Callable[[bytes], None]) -> None:
    while True:
        reply(b"x" * (1 << 20))


_DEEDS = {"spin": _spin, "flood": _flood}
