"""What a cell answers is held to the rules."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloister.cell.v1 import cell_pb2
from cloister.v1 import ocr_pb2
from server.errors import DocumentError, Reason
from server.replies import MalformedReplyError, ReplyChecker
from tests.server.jobs import page_of

BOTH = (ocr_pb2.OUTPUT_WORDS, ocr_pb2.OUTPUT_TEXT)


def checker(outputs: tuple[ocr_pb2.Output.ValueType, ...] = BOTH, pages: int = 1, **task: object) -> ReplyChecker:
    """One that has taken an outline of ``pages``; of none, nothing yet."""
    check = ReplyChecker(cell_pb2.Task(outputs=outputs, max_pixels=1_000_000, max_pages=9, **task))
    if pages:
        assert check.take(outline(pages)) == cell_pb2.Outline(pages=pages)
    return check


def outline(pages: int) -> bytes:
    return cell_pb2.Reply(outline=cell_pb2.Outline(pages=pages)).SerializeToString()


def page(number: int) -> bytes:
    return cell_pb2.Reply(page=page_of(number, ["a", "word"])).SerializeToString()


def changed(change: Callable[[ocr_pb2.Page], object]) -> bytes:
    made = page_of(1, ["a", "word"])
    change(made)
    return cell_pb2.Reply(page=made).SerializeToString()


def summary(pages: int) -> bytes:
    return cell_pb2.Reply(summary=cell_pb2.Summary(pages=pages)).SerializeToString()


def failure(**fields: object) -> bytes:
    return cell_pb2.Reply(failure=cell_pb2.Failure(**fields)).SerializeToString()


def test_pages_and_a_summary_are_taken() -> None:
    check = checker(pages=2)
    assert check.take(page(1)) == page_of(1, ["a", "word"])
    assert check.take(page(2)) == page_of(2, ["a", "word"])
    assert check.take(summary(2)) is None
    check.finish()


def part(content: bytes) -> bytes:
    return cell_pb2.Reply(pdf_part=content).SerializeToString()


def test_the_parts_of_a_pdf_are_taken_after_the_pages() -> None:
    check = checker((ocr_pb2.OUTPUT_WORDS, ocr_pb2.OUTPUT_TEXT, ocr_pb2.OUTPUT_PDF))
    check.take(page(1))
    assert [check.take(part(b"%PDF-1.7")), check.take(part(b"more"))] == [b"%PDF-1.7", b"more"]
    assert check.take(summary(1)) is None
    check.finish()


@pytest.mark.parametrize(
    ("wanted", "payloads"),
    [
        (False, [page(1), part(b"%PDF-1.7")]),
        (True, [part(b"%PDF-1.7")]),
        (True, [page(1), part(b"MZ")]),
        (True, [page(1), part(b"")]),
        (True, [page(1), part(b"%PDF-1.7"), page(2)]),
        (True, [page(1), part(b"%PDF-1.7"), outline(1)]),
        (True, [page(1), summary(1)]),
    ],
)
def test_a_pdf_out_of_place_is_refused(wanted: bool, payloads: list[bytes]) -> None:
    check = checker((*BOTH, ocr_pb2.OUTPUT_PDF) if wanted else BOTH)
    *first, last = payloads
    for payload in first:
        check.take(payload)
    with pytest.raises(MalformedReplyError):
        check.take(last)


def test_a_page_that_was_kept_has_no_lines() -> None:
    with pytest.raises(MalformedReplyError):
        checker().take(changed(lambda made: setattr(made, "kept", True)))


@pytest.mark.parametrize(
    "payloads",
    [
        [page(1)],
        [summary(0)],
        [summary(1)],
        [outline(0)],
        [outline(10)],
        [outline(2), outline(2)],
        [outline(2), page(2)],
        [outline(2), page(1), page(1)],
        [outline(2), page(1), page(2), page(3)],
        [outline(2), page(1), summary(1)],
        [outline(2), page(1), page(2), summary(1)],
        [outline(1), page(1), summary(2)],
        [outline(1), page(1), summary(1), summary(1)],
        [outline(1), page(1), summary(1), page(2)],
        [failure(reason=1, message="no"), outline(1)],
        [b""],
        [b"\xff\xff\xff"],
    ],
)
def test_replies_out_of_order_are_refused(payloads: list[bytes]) -> None:
    check = checker(pages=0)
    with pytest.raises(MalformedReplyError):
        [check.take(payload) for payload in payloads]


def test_a_cell_answers_with_its_share_of_the_pages() -> None:
    check = checker(pages=5, share=1, shares=3)
    assert [check.take(page(number)) for number in (2, 5)] == [page_of(number, ["a", "word"]) for number in (2, 5)]
    assert check.take(summary(2)) is None
    check.finish()


@pytest.mark.parametrize(
    "payloads",
    [[page(1)], [page(2), page(3)], [page(2), summary(1)], [page(2), page(5), page(8)], [page(2), page(5), summary(5)]],
)
def test_pages_of_another_share_are_refused(payloads: list[bytes]) -> None:
    check = checker(pages=5, share=1, shares=3)
    with pytest.raises(MalformedReplyError):
        [check.take(payload) for payload in payloads]


def test_there_are_no_more_shares_than_pages() -> None:
    check = checker(pages=2, share=1, shares=8)
    check.take(page(2))
    check.take(summary(1))
    check.finish()
    with pytest.raises(MalformedReplyError):
        checker(pages=1, share=1, shares=8)


def test_only_a_cell_that_reads_all_pages_may_send_a_pdf() -> None:
    wanted = (*BOTH, ocr_pb2.OUTPUT_PDF)
    alone = checker(wanted, pages=1, shares=2)
    alone.take(page(1))
    assert alone.take(part(b"%PDF-1.7")) == b"%PDF-1.7"
    shared = checker(wanted, pages=2, shares=2)
    shared.take(page(1))
    with pytest.raises(MalformedReplyError):
        shared.take(part(b"%PDF-1.7"))


def test_a_cell_that_is_told_what_others_read_sends_a_pdf_alone() -> None:
    told: dict[str, object] = {"read": [page_of(1, ["a"]), page_of(2, ["b"])]}
    check = checker((ocr_pb2.OUTPUT_PDF,), pages=0, **told)
    assert check.take(part(b"%PDF-1.7")) == b"%PDF-1.7"
    assert check.take(summary(2)) is None
    for wrong in (page(1), outline(2), summary(2)):
        with pytest.raises(MalformedReplyError):
            checker((ocr_pb2.OUTPUT_PDF,), pages=0, **told).take(wrong)


def test_an_end_before_the_last_reply_is_refused() -> None:
    check = checker()
    check.take(page(1))
    with pytest.raises(MalformedReplyError):
        check.finish()


@pytest.mark.parametrize(
    "change",
    [
        lambda p: setattr(p, "width", 0),
        lambda p: setattr(p, "height", 4_000_000_000),
        lambda p: setattr(p, "dpi", float("nan")),
        lambda p: setattr(p, "dpi", -1),
        lambda p: setattr(p.turn, "degrees", 45),
        lambda p: setattr(p.turn, "confidence", 1.5),
        lambda p: setattr(p.turn, "exif_orientation", 9),
        lambda p: setattr(p, "text", "a\x1b[2J"),
        lambda p: setattr(p.lines[0].words[0], "text", ""),
        lambda p: setattr(p.lines[0].words[0], "text", "two words"),
        lambda p: setattr(p.lines[0].words[0], "text", "\x07"),
        lambda p: setattr(p.lines[0].words[0], "confidence", float("nan")),
        lambda p: setattr(p.lines[0].words[0], "confidence", 1.01),
        lambda p: setattr(p.lines[0].words[0], "confidence", -0.01),
        lambda p: setattr(p.lines[0].words[1].quad.bottom_left, "y", float("inf")),
        lambda p: setattr(p.lines[0].words[1].quad.top_left, "x", float("nan")),
        lambda p: setattr(p.lines[0].words[1].quad.top_left, "x", -30),
        lambda p: setattr(p.lines[0].quad.bottom_right, "x", 230),
        lambda p: p.lines[0].ClearField("words"),
        lambda p: p.timings.total.FromSeconds(1),
        lambda p: p.timings.queue.FromSeconds(1),
        lambda p: setattr(p.timings.decode, "seconds", -1),
        lambda p: setattr(p.timings.decode, "nanos", 2_000_000_000),
    ],
)
def test_a_page_that_can_not_be_is_refused(change: Callable[[ocr_pb2.Page], object]) -> None:
    with pytest.raises(MalformedReplyError):
        checker().take(changed(change))


@pytest.mark.parametrize(("lines", "words"), [(1, 50_001), (2, 25_001), (50_001, 0)])
def test_a_page_of_more_words_than_any_has_is_refused(lines: int, words: int) -> None:
    def fill(page: ocr_pb2.Page) -> None:
        for _ in range(lines):
            page.lines.add().words.extend([ocr_pb2.Word(text="x")] * words)

    with pytest.raises(MalformedReplyError) as raised:
        checker().take(changed(fill))
    assert "too many" in raised.value.breach


def test_a_quad_a_little_over_the_edge_is_taken() -> None:
    assert checker().take(changed(lambda p: setattr(p.lines[0].quad.top_left, "x", -10)))


@pytest.mark.parametrize("outputs", [(ocr_pb2.OUTPUT_WORDS,), (ocr_pb2.OUTPUT_TEXT,)])
def test_what_was_not_asked_for_is_refused(outputs: tuple[ocr_pb2.Output.ValueType, ...]) -> None:
    with pytest.raises(MalformedReplyError):
        checker(outputs).take(page(1))


def test_fields_that_are_not_known_do_not_ride_along() -> None:
    stowaway = ocr_pb2.Page.FromString(page_of(1, ["a"]).SerializeToString() + b"\xfa\x7f\x06secret")
    taken = checker().take(cell_pb2.Reply(page=stowaway).SerializeToString())
    assert taken is not None
    assert b"secret" not in taken.SerializeToString()


def test_a_failure_is_told_when_the_cell_has_ended() -> None:
    check = checker()
    check.take(failure(reason=cell_pb2.Failure.REASON_TOO_MANY_PAGES, message="too many", metadata={"limit": "2"}))
    with pytest.raises(DocumentError) as raised:
        check.finish()
    assert (raised.value.reason, raised.value.metadata) == (Reason.TOO_MANY_PAGES, {"limit": "2"})


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": 0, "message": "x"},
        {"reason": 99, "message": "x"},
        {"reason": 1, "message": ""},
        {"reason": 1, "message": "x" * 501},
        {"reason": 1, "message": "\x1b[2J"},
        {"reason": 1, "message": "x", "metadata": {"a key": "1"}},
        {"reason": 1, "message": "x", "metadata": {"key": "\x00"}},
        {"reason": 1, "message": "x", "metadata": {f"k{i}": "1" for i in range(17)}},
    ],
)
def test_a_failure_out_of_form_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(MalformedReplyError):
        checker().take(failure(**fields))


@given(st.binary(max_size=200), st.integers(0, 250), st.integers(0, 255))
def test_no_bytes_make_it_fail_in_another_way(noise: bytes, place: int, byte: int) -> None:
    spoilt = bytearray(page(1))
    spoilt[place % len(spoilt)] = byte
    for payload in (noise, bytes(spoilt)):
        check = checker()
        try:
            check.take(payload)
            check.finish()
        except (MalformedReplyError, DocumentError):
            continue


TRACED = (*BOTH, ocr_pb2.OUTPUT_TRACE)


def traced(change: Callable[[ocr_pb2.Trace], object] = lambda trace: None) -> bytes:
    """A page with a trace of one window and one decision."""
    made = page_of(1, ["a", "word"])
    quad = made.lines[0].words[0].quad
    made.trace.windows.add(quad=quad, text="a word", confidence=0.9)
    made.trace.decisions.add(quad=quad, text="w", act=ocr_pb2.Decision.ACT_DROP, measure=0.1)
    change(made.trace)
    return cell_pb2.Reply(page=made).SerializeToString()


def test_a_trace_that_was_asked_for_is_taken() -> None:
    taken = checker(TRACED).take(traced())
    assert isinstance(taken, ocr_pb2.Page)
    assert taken.trace.windows[0].text == "a word"


def test_a_trace_that_was_not_asked_for_is_refused() -> None:
    with pytest.raises(MalformedReplyError):
        checker().take(traced())


@pytest.mark.parametrize(
    "change",
    [
        lambda t: setattr(t.windows[0], "confidence", float("nan")),
        lambda t: setattr(t.windows[0], "text", "\x1b[2J"),
        lambda t: setattr(t.windows[0], "text", "a" * 101),
        lambda t: setattr(t.windows[0].quad.top_left, "x", 5000),
        lambda t: setattr(t.decisions[0].quad.top_left, "y", float("nan")),
        lambda t: setattr(t.decisions[0], "act", 0),
        lambda t: setattr(t.decisions[0], "act", 99),
        lambda t: setattr(t.decisions[0], "measure", float("inf")),
        lambda t: setattr(t.decisions[0], "text", "two\nlines"),
        lambda t: [t.decisions.add(act=1) for _ in range(10_000)],
        lambda t: [t.windows.add() for _ in range(10_000)],
    ],
)
def test_a_trace_that_can_not_be_right_is_refused(change: Callable[[ocr_pb2.Trace], object]) -> None:
    with pytest.raises(MalformedReplyError):
        checker(TRACED).take(traced(change))
