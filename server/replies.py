"""Checks what a cell answers, message by message. Nothing of it is trusted.

A cell may have been taken over by the document it read. What it can say is held to an outline, its share of the pages
1, 2, 3..., the parts of a PDF where one was wanted, and then a summary, or a failure at any point; numbers must be
finite and lie where they can lie; text must hold no control characters, which could steer a caller's terminal. Anything
else is `MalformedReplyError`, and ends the request.
"""

from __future__ import annotations

import math
import re

from google.protobuf.message import DecodeError

from cloister.cell.v1 import cell_pb2
from cloister.v1 import ocr_pb2
from server.errors import CellError, DocumentError, Reason

# Fields of Timings that a cell sets; the others are the server's.
_CELL_STAGES = frozenset({"decode", "orient", "detect", "recognise", "wordinate", "render"})
# Quads may stand a little over the page's edge: a turned line's box does.
_TOLERANCE_PX = 16.0
_TOLERANCE_SHARE = 0.02
# Parsed, a message can take twenty times its bytes: a page of nothing but empty lines does. A dense one has 1 MB.
_MAX_MESSAGE_BYTES = 4 << 20
# A dense page of a newspaper has some 10,000. An empty word is 5 bytes, and costs the event loop microseconds more than
# once: a message full of them would hold up every other request for seconds.
_MAX_WORDS = 50_000
_MAX_DPI = 1e6
_MAX_MESSAGE_CHARS = 500
_MAX_METADATA = 16
# What `ocr.proto` says of a trace.
_MAX_TRACED = 10_000
_MAX_TRACED_CHARS = 100
_ACTS = frozenset(ocr_pb2.Decision.Act.values()) - {ocr_pb2.Decision.ACT_UNSPECIFIED}
_WORD = re.compile(r"[^\s\x00-\x1f\x7f-\x9f]+")
_LINE = re.compile(r"[^\x00-\x1f\x7f-\x9f]*")
_LINES = re.compile(r"[^\x00-\x09\x0b-\x1f\x7f-\x9f]*")
_SENTENCE = re.compile(r"[^\x00-\x1f\x7f-\x9f]+")
# What google.rpc.ErrorInfo allows as a key.
_KEY = re.compile(r"[a-z][a-zA-Z0-9_-]{0,63}")

_FAILURES = {
    cell_pb2.Failure.REASON_NOT_AN_IMAGE: Reason.NOT_AN_IMAGE,
    cell_pb2.Failure.REASON_DAMAGED: Reason.DAMAGED_DOCUMENT,
    cell_pb2.Failure.REASON_TOO_MANY_PIXELS: Reason.TOO_MANY_PIXELS,
    cell_pb2.Failure.REASON_TOO_MANY_PAGES: Reason.TOO_MANY_PAGES,
    cell_pb2.Failure.REASON_UNSUPPORTED: Reason.UNSUPPORTED_DOCUMENT,
    cell_pb2.Failure.REASON_ENCRYPTED: Reason.ENCRYPTED_DOCUMENT,
    cell_pb2.Failure.REASON_SIGNED: Reason.SIGNED_DOCUMENT,
}


class MalformedReplyError(CellError):
    """A cell's reply broke the rules. ``breach`` names the rule for the operator and holds nothing of the reply."""

    def __init__(self, breach: str) -> None:
        super().__init__(Reason.MALFORMED_REPLY, "the engine answered with something that can't be right")
        self.breach = breach


class ReplyChecker:
    """Takes the replies of one cell in order. One for each request; ``task`` is what the cell was told."""

    def __init__(self, task: cell_pb2.Task) -> None:
        self._max_pixels = task.max_pixels
        self._max_pages = task.max_pages
        self._words_wanted = ocr_pb2.OUTPUT_WORDS in task.outputs
        self._text_wanted = ocr_pb2.OUTPUT_TEXT in task.outputs
        self._pdf_wanted = ocr_pb2.OUTPUT_PDF in task.outputs
        self._trace_wanted = ocr_pb2.OUTPUT_TRACE in task.outputs
        self._share = task.share
        self._shares = task.shares
        # A cell that is told what others read has nothing to read.
        self._outlined = bool(task.read)
        self._expected = range(0)
        self._read_elsewhere = len(task.read)
        self._pages = 0
        self._pdf_begun = False
        self._ended = False
        self._failure: DocumentError | None = None

    def take(self, payload: bytes) -> cell_pb2.Outline | ocr_pb2.Page | bytes | None:
        """What is in this reply: the outline, a page or a part of the PDF; None where it is the last.

        Raises `MalformedReplyError`.
        """
        if self._ended:
            raise MalformedReplyError("a reply after the last one")
        _require(len(payload) <= _MAX_MESSAGE_BYTES, "a message too long to be parsed")
        try:
            reply = cell_pb2.Reply.FromString(payload)
        except DecodeError as error:
            raise MalformedReplyError("not a Reply message") from error
        # What this version does not know must not ride along to the caller.
        reply.DiscardUnknownFields()
        match reply.WhichOneof("part"):
            case "outline":
                self._check_outline(reply.outline)
                return reply.outline
            case "page":
                _require(not self._pdf_begun, "a page after the PDF")
                self._check_page(reply.page)
                return reply.page
            case "pdf_part":
                self._check_pdf_part(reply.pdf_part)
                return reply.pdf_part
            case "summary":
                _require(self._pdf_begun == self._pdf_wanted, "no PDF, though one was wanted")
                _require(self._outlined, "a summary without an outline")
                _require(self._pages == len(self._expected), "a summary before the last page")
                read = self._pages + self._read_elsewhere
                _require(reply.summary.pages == read, "the summary's count is not that of the pages")
            case "failure":
                self._failure = _document_error(reply.failure)
            case _:
                raise MalformedReplyError("a reply of no known part")
        self._ended = True
        return None

    def finish(self) -> None:
        """To be called when the cell has ended well. Raises `DocumentError` where it could not read the document."""
        if self._failure is not None:
            raise self._failure
        _require(self._ended, "the cell ended before its last reply")

    def _check_outline(self, outline: cell_pb2.Outline) -> None:
        _require(not self._outlined, "a second outline, or one that was not asked for")
        _require(0 < outline.pages <= self._max_pages, "an outline of no pages, or of more than were allowed")
        self._outlined = True
        shares = max(1, min(self._shares, outline.pages))
        _require(self._share < shares, "an outline of fewer pages than another cell found")
        self._expected = range(self._share + 1, outline.pages + 1, shares)
        # The PDF of a document that cells share is made by one more.
        self._pdf_wanted = self._pdf_wanted and shares == 1

    def _check_pdf_part(self, part: bytes) -> None:
        """What the PDF holds is its reader's to judge: it is as trustworthy as the document it was made from."""
        _require(self._pdf_wanted, "a PDF that was not asked for")
        _require(self._outlined and self._pages == len(self._expected), "a PDF before the last page")
        _require(bool(part), "an empty part of a PDF")
        _require(self._pdf_begun or part.startswith(b"%PDF-"), "a PDF that is none")
        self._pdf_begun = True

    def _check_page(self, page: ocr_pb2.Page) -> None:
        _require(self._pages < len(self._expected), "a page more than were to come")
        _require(page.number == self._expected[self._pages], "pages out of order")
        self._pages += 1
        _require(0 < page.width * page.height <= self._max_pixels, "a page of impossible size")
        _require(0 <= page.dpi <= _MAX_DPI, "a resolution out of range")
        _require(page.turn.degrees in (0, 90, 180, 270), "a turn that is not a quarter's multiple")
        _require(0 <= page.turn.confidence <= 1, "a turn's confidence out of 0..1")
        _require(1 <= page.turn.exif_orientation <= 8, "an EXIF orientation out of 1..8")
        _require(self._words_wanted or not page.lines, "words that were not asked for")
        _require(self._text_wanted or not page.text, "text that was not asked for")
        _require(not (page.kept and page.lines), "lines of a page that was not read")
        _require(_LINES.fullmatch(page.text) is not None, "text with control characters")
        _require(self._trace_wanted or not page.HasField("trace"), "a trace that was not asked for")
        _require(not (page.kept and page.HasField("trace")), "a trace of a page that was not read")
        over = max(_TOLERANCE_PX, _TOLERANCE_SHARE * max(page.width, page.height))
        _check_lines(page, over)
        _check_trace(page, over)
        _check_timings(page.timings)


def _check_lines(page: ocr_pb2.Page, over: float) -> None:
    right, bottom = page.width + over, page.height + over
    _require(len(page.lines) <= _MAX_WORDS, "a page of too many lines")
    _require(sum(len(line.words) for line in page.lines) <= _MAX_WORDS, "a page of too many words")
    for line in page.lines:
        _require(bool(line.words), "a line without words")
        _require(_lies_within(line.quad, -over, right, bottom), "a line outside its page")
        for word in line.words:
            # Comparisons with a NaN are false, so these hold for finite numbers alone.
            _require(0 <= word.confidence <= 1, "a word's confidence out of 0..1")
            _require(_WORD.fullmatch(word.text) is not None, "an empty word, or one with white space or controls")
            _require(_lies_within(word.quad, -over, right, bottom), "a word outside its page")


def _check_trace(page: ocr_pb2.Page, over: float) -> None:
    right, bottom = page.width + over, page.height + over
    trace = page.trace
    _require(len(trace.windows) <= _MAX_TRACED, "a trace of too many windows")
    _require(len(trace.decisions) <= _MAX_TRACED, "a trace of too many decisions")
    for window in trace.windows:
        _require(0 <= window.confidence <= 1, "a window's confidence out of 0..1")
        _require(_lies_within(window.quad, -over, right, bottom), "a window outside its page")
    for decision in trace.decisions:
        _require(decision.act in _ACTS, "a decision of no known act")
        _require(math.isfinite(decision.measure), "a decision's measure that is no number")
        _require(_lies_within(decision.quad, -over, right, bottom), "a decision outside its page")
    for text in (*(window.text for window in trace.windows), *(decision.text for decision in trace.decisions)):
        _require(len(text) <= _MAX_TRACED_CHARS, "a traced text too long")
        _require(_LINE.fullmatch(text) is not None, "a traced text with control characters")


def _lies_within(quad: ocr_pb2.Quad, low: float, right: float, bottom: float) -> bool:
    a, b, c, d = quad.top_left, quad.top_right, quad.bottom_right, quad.bottom_left
    return (
        low <= a.x <= right
        and low <= b.x <= right
        and low <= c.x <= right
        and low <= d.x <= right
        and low <= a.y <= bottom
        and low <= b.y <= bottom
        and low <= c.y <= bottom
        and low <= d.y <= bottom
    )


def _check_timings(timings: ocr_pb2.Timings) -> None:
    for stage, duration in timings.ListFields():
        _require(stage.name in _CELL_STAGES, "a time that is the server's to say")
        _require(0 <= duration.seconds < 86400 and 0 <= duration.nanos < 1_000_000_000, "a time out of range")


def _document_error(failure: cell_pb2.Failure) -> DocumentError:
    reason = _FAILURES.get(failure.reason)
    if reason is None:
        raise MalformedReplyError("a failure of no known reason")
    _require(len(failure.message) <= _MAX_MESSAGE_CHARS, "a failure's message too long")
    _require(_SENTENCE.fullmatch(failure.message) is not None, "a failure's message empty or with control characters")
    _require(len(failure.metadata) <= _MAX_METADATA, "a failure with too much metadata")
    for key, value in failure.metadata.items():
        _require(_KEY.fullmatch(key) is not None, "a failure's metadata key out of form")
        _require(len(value) <= _MAX_MESSAGE_CHARS, "a failure's metadata value too long")
        _require(_SENTENCE.fullmatch(value) is not None, "a failure's metadata value out of form")
    return DocumentError(reason, failure.message, dict(failure.metadata))


def _require(holds: bool, breach: str) -> None:
    if not holds:
        raise MalformedReplyError(breach)
