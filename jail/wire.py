"""Frames between server and cell, over one pipe each way. Pure: bytes in, frames out.

A frame is a head of 8 bytes and its content::

    magic "CL" | version, 1 byte | kind, 1 byte | length of the content, 4 bytes, big-endian

    to a cell:     HEADER  BODY
    from a cell:   READY  PAYLOAD*  ( END | CRASHED )      or, before any request was read:   FAILED

READY and FAILED leave a cell before it has read a byte of any document. Of what comes later the server believes
nothing: `ReplyParser` takes frames in this order alone, and none longer than it was told to.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

_MAGIC = b"CL"
_VERSION = 1
_HEAD = struct.Struct("!2sBBI")
HEAD_BYTES = _HEAD.size
MAX_CONTENT = (1 << 32) - 1
_MAX_REPORT = 16 << 10
_MAX_PLACE = 200
_FEW_PAYLOADS, _PAYLOAD_BYTES = 256, 1024
"""So many payloads any reply may have, and one more for each so many bytes that it may have in all."""


class Kind(IntEnum):
    HEADER = 1
    BODY = 2
    READY = 16
    PAYLOAD = 17
    END = 18
    CRASHED = 19
    FAILED = 20


class MalformedFrameError(Exception):
    """Bytes that are no frame, or a frame that may not come here. Says which rule was broken, and quotes nothing."""


@dataclass(frozen=True, slots=True)
class Frame:
    kind: Kind
    content: bytes


def head(kind: Kind, length: int) -> bytes:
    """The head of a frame whose content has ``length`` bytes."""
    if length > MAX_CONTENT:
        raise MalformedFrameError(f"a content of {length} bytes is longer than a frame can be")
    return _HEAD.pack(_MAGIC, _VERSION, kind, length)


def parse_head(raw: bytes | bytearray | memoryview) -> tuple[Kind, int]:
    """Kind and length of a frame from its first 8 bytes."""
    magic, version, kind, length = _HEAD.unpack(raw)
    if magic != _MAGIC:
        raise MalformedFrameError("no frame starts here")
    if version != _VERSION:
        raise MalformedFrameError(f"version {version} of a frame")
    try:
        return Kind(kind), length
    except ValueError:
        raise MalformedFrameError(f"kind {kind} of a frame") from None


_NEXT: dict[Kind | None, frozenset[Kind]] = {
    None: frozenset({Kind.READY, Kind.FAILED}),
    Kind.READY: frozenset({Kind.PAYLOAD, Kind.END, Kind.CRASHED}),
    Kind.PAYLOAD: frozenset({Kind.PAYLOAD, Kind.END, Kind.CRASHED}),
    Kind.END: frozenset(),
    Kind.CRASHED: frozenset(),
    Kind.FAILED: frozenset(),
}


class ReplyParser:
    """Takes a cell's bytes as they come and gives whole frames, in the one order allowed.

    ``max_bytes`` bounds the sum of all payloads, and their number too: tiny ones by the million would cost the server
    more time than their cell. A frame too long is refused from its head: no more is ever held than the frame that is
    being received.
    """

    def __init__(self, max_bytes: int) -> None:
        self._left = max_bytes
        self._payloads_left = _FEW_PAYLOADS + max_bytes // _PAYLOAD_BYTES
        self._buffer = bytearray()
        self._last: Kind | None = None

    @property
    def ended(self) -> bool:
        """Whether a frame has come after which nothing may follow."""
        return self._last is not None and not _NEXT[self._last]

    def feed(self, data: bytes | memoryview) -> list[Frame]:
        """The frames that ``data`` completes. Raises `MalformedFrameError`; the parser is of no more use then."""
        self._buffer += data
        frames = []
        start = 0
        while True:
            if self.ended and len(self._buffer) > start:
                raise MalformedFrameError("bytes after the end")
            if len(self._buffer) - start < HEAD_BYTES:
                break
            kind, length = parse_head(self._buffer[start : start + HEAD_BYTES])
            self._check(kind, length)
            end = start + HEAD_BYTES + length
            if len(self._buffer) < end:
                break
            frames.append(Frame(kind, bytes(memoryview(self._buffer)[start + HEAD_BYTES : end])))
            start = end
            self._last = kind
            if kind is Kind.PAYLOAD:
                self._left -= length
                self._payloads_left -= 1
        del self._buffer[:start]
        return frames

    def _check(self, kind: Kind, length: int) -> None:
        if kind not in _NEXT[self._last]:
            raise MalformedFrameError(f"{kind.name} after {self._last.name if self._last else 'nothing'}")
        most = {
            Kind.READY: _MAX_REPORT,
            Kind.FAILED: _MAX_REPORT,
            Kind.PAYLOAD: self._left,
            Kind.END: 0,
            Kind.CRASHED: _MAX_PLACE,
        }[kind]
        if length > most:
            raise MalformedFrameError(f"{kind.name} of {length} bytes where {most} are allowed")
        if kind is Kind.PAYLOAD and not self._payloads_left:
            raise MalformedFrameError("more frames than a reply of its length may have")
        if kind is Kind.PAYLOAD and length == 0:
            raise MalformedFrameError("an empty PAYLOAD")
