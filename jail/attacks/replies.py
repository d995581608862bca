"""Attacks on the server through the reply pipe: bytes that no cell of ours writes."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from jail import wire
from jail.attacks.attack import Answer, Arguments, Attack, Guard, Scene, Target, text
from jail.attacks.machine import Machine
from jail.policy import REPLY_FD
from jail.result import Status
from jail.wire import Kind

REPLY_BYTES = 4 << 20
"""What a cell of the stage may answer in all."""
_FLOOD_BLOCKS = 12
_BLOCK = 1 << 20


# Deeds, in the cell.


def _say(machine: Machine, arguments: Arguments) -> bytes:
    """Write bytes as they are to the reply pipe, and end well."""
    content = bytes.fromhex(text(arguments, "content"))
    if content:
        machine.call("write", REPLY_FD, content, len(content))
    machine.call("exit_group", 0)
    raise AssertionError("exit_group returned")


def _flood(machine: Machine, arguments: Arguments) -> bytes:
    block = wire.head(Kind.PAYLOAD, _BLOCK) + bytes(_BLOCK)
    for _ in range(_FLOOD_BLOCKS):
        sent = 0
        while sent < len(block):
            sent += machine.call("write", REPLY_FD, block[sent:], len(block) - sent)
    return b"done"


# Targets, outside.


def _believing(content: bytes) -> Callable[[Scene], AbstractContextManager[Target]]:
    """The server, reached where it takes the reply for a good one."""

    @contextmanager
    def server(scene: Scene) -> Iterator[Target]:
        yield Target({"content": content.hex()}, lambda answer: answer.result.status is not Status.MALFORMED_REPLY)

    return server


@contextmanager
def forgery(scene: Scene) -> Iterator[Target]:
    """A well-formed reply of the attacker's own. The server can't know it from the job's: it is taken."""
    lie = secrets.token_bytes(16)
    content = frame(Kind.PAYLOAD, lie) + frame(Kind.END)
    yield Target({"content": content.hex()}, lambda answer: answer.payloads == (lie,))


@contextmanager
def _memory(scene: Scene) -> Iterator[Target]:
    def full(answer: Answer) -> bool:
        return len(answer.payloads) >= _FLOOD_BLOCKS

    yield Target({}, full)


def frame(kind: Kind, content: bytes = b"") -> bytes:
    return wire.head(kind, len(content)) + content


_PAGE = frame(Kind.PAYLOAD, b"a page")
_END = frame(Kind.END)
_REPLIES = {
    "nothing at all": b"",
    "4 GB promised": wire.head(Kind.PAYLOAD, wire.MAX_CONTENT) + b"x",
    "an empty page": frame(Kind.PAYLOAD) + _END,
    "an end that is not empty": _PAGE + frame(Kind.END, b"more"),
    "an end, then more": _PAGE + _END + _PAGE,
    "two ends": _PAGE + _END + _END,
    "ready again": frame(Kind.READY, b"{}") + _END,
    "failed, after it was ready": frame(Kind.FAILED, b'["mounts", "a lie", ""]'),
    "a request": frame(Kind.HEADER, b"x") + _END,
    "cut short": (_PAGE + _END)[:-3],
    "no end": _PAGE,
    "another version": b"CL\x02\x11" + bytes(4) + _END,
    "an unknown kind": b"CL\x01\x63" + bytes(4) + _END,
    "no frame": b"\xff" * 64,
}

FORGED = Attack("answer in the job's name", forgery, _say, ())
"""What can't be stopped, and shows that the bytes of the others do arrive."""

ATTACKS = (
    *(Attack(f"reply with {name}", _believing(content), _say, (Guard.FRAMES,)) for name, content in _REPLIES.items()),
    Attack("flood the reply", _memory, _flood, (Guard.REPLY_BOUND,)),
)
