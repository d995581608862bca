"""The reply parser believes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jail import wire
from jail.wire import Frame, Kind, MalformedFrameError, ReplyParser

contents = st.binary(min_size=1, max_size=300)


def frame(kind: Kind, content: bytes = b"") -> bytes:
    return wire.head(kind, len(content)) + content


def reply(payloads: list[bytes]) -> bytes:
    return frame(Kind.READY, b"{}") + b"".join(frame(Kind.PAYLOAD, payload) for payload in payloads) + frame(Kind.END)


@given(payloads=st.lists(contents, max_size=5), cuts=st.lists(st.integers(1, 40), min_size=1))
def test_a_reply_is_the_same_however_it_is_cut(payloads: list[bytes], cuts: list[int]) -> None:
    raw = reply(payloads)
    parser = ReplyParser(max_bytes=sum(map(len, payloads)))
    frames: list[Frame] = []
    turn = 0
    while raw:
        size = cuts[turn % len(cuts)]
        frames += parser.feed(raw[:size])
        raw = raw[size:]
        turn += 1
    assert [part.content for part in frames if part.kind is Kind.PAYLOAD] == payloads
    assert parser.ended


@given(st.binary(max_size=2000))
def test_any_bytes_are_frames_in_order_or_refused(raw: bytes) -> None:
    parser = ReplyParser(max_bytes=1000)
    try:
        frames = parser.feed(raw)
    except MalformedFrameError:
        return
    assert sum(len(part.content) for part in frames if part.kind is Kind.PAYLOAD) <= 1000
    assert not frames or frames[0].kind in {Kind.READY, Kind.FAILED}


@given(payloads=st.lists(contents, min_size=1, max_size=4), at=st.integers(0), bit=st.integers(0, 7))
def test_a_flipped_bit_in_a_head_is_refused_or_shifts_no_more_than_allowed(
    payloads: list[bytes], at: int, bit: int
) -> None:
    raw = bytearray(reply(payloads))
    raw[at % len(raw)] ^= 1 << bit
    limit = sum(map(len, payloads))
    parser = ReplyParser(max_bytes=limit)
    try:
        frames = parser.feed(bytes(raw))
    except MalformedFrameError:
        return
    assert sum(len(part.content) for part in frames if part.kind is Kind.PAYLOAD) <= limit


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"GIF89a..", "no frame"),
        (b"CL\x02\x10\x00\x00\x00\x00", "version 2"),
        (b"CL\x01\x63\x00\x00\x00\x00", "kind 99"),
        (frame(Kind.PAYLOAD, b"x"), "PAYLOAD after nothing"),
        (frame(Kind.HEADER, b"x"), "HEADER after nothing"),
        (frame(Kind.READY, b"{}") * 2, "READY after READY"),
        (frame(Kind.READY, b"{}") + frame(Kind.FAILED), "FAILED after READY"),
        (frame(Kind.READY, b"{}") + frame(Kind.PAYLOAD), "empty"),
        (frame(Kind.READY, b"{}") + frame(Kind.END, b"x"), "END of 1 bytes where 0"),
        (reply([]) + b"x", "bytes after the end"),
        (reply([]) + frame(Kind.END), "bytes after the end"),
        (reply([b"x" * 60, b"x" * 50]), "PAYLOAD of 50 bytes where 40 are allowed"),
        (frame(Kind.READY, b"{}") + wire.head(Kind.PAYLOAD, 1 << 31), "PAYLOAD of 2147483648 bytes"),
        (wire.head(Kind.READY, 1 << 20), "READY of 1048576 bytes"),
        (frame(Kind.READY, b"{}") + wire.head(Kind.CRASHED, 1000), "CRASHED of 1000 bytes"),
    ],
)
def test_what_breaks_the_rules_is_refused_and_said(raw: bytes, why: str) -> None:
    with pytest.raises(MalformedFrameError, match=why):
        ReplyParser(max_bytes=100).feed(raw)


def test_nothing_is_taken_after_the_end_in_a_later_read_either() -> None:
    parser = ReplyParser(max_bytes=100)
    parser.feed(reply([b"x"]))
    with pytest.raises(MalformedFrameError, match="after the end"):
        parser.feed(b"y")


def test_a_reply_has_no_more_frames_than_its_length_may_have() -> None:
    parser = ReplyParser(max_bytes=64 << 10)
    assert len(parser.feed(frame(Kind.READY, b"{}") + 320 * frame(Kind.PAYLOAD, b"x"))) == 321
    with pytest.raises(MalformedFrameError, match="more frames"):
        parser.feed(frame(Kind.PAYLOAD, b"x"))
