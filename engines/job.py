"""What runs in a cell: a document's bytes in, `cloister.cell.v1.Reply` messages out."""

from __future__ import annotations

import io
import logging
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from google.protobuf.duration_pb2 import Duration
from PIL import Image

from cloister.cell.v1 import cell_pb2
from cloister.v1 import ocr_pb2
from engines import registry
from engines.api import Engine, Line, Page, PageText, Quad, Stage, Turn, Word
from engines.documents import decode, specimen
from engines.documents.decode import Limits
from engines.documents.document import Existing, Leaf, PdfOptions, open_document
from engines.documents.errors import (
    DamagedError,
    DocumentError,
    EncryptedError,
    NotAnImageError,
    SignedError,
    TooManyPagesError,
    TooManyPixelsError,
    UnsupportedError,
)
from engines.trace import Trace, Tracing

_REASONS: Mapping[type[DocumentError], cell_pb2.Failure.Reason.ValueType] = {
    NotAnImageError: cell_pb2.Failure.REASON_NOT_AN_IMAGE,
    DamagedError: cell_pb2.Failure.REASON_DAMAGED,
    TooManyPixelsError: cell_pb2.Failure.REASON_TOO_MANY_PIXELS,
    TooManyPagesError: cell_pb2.Failure.REASON_TOO_MANY_PAGES,
    UnsupportedError: cell_pb2.Failure.REASON_UNSUPPORTED,
    EncryptedError: cell_pb2.Failure.REASON_ENCRYPTED,
    SignedError: cell_pb2.Failure.REASON_SIGNED,
}
_EXISTING: Mapping[ocr_pb2.ExistingText.ValueType, Existing] = {
    ocr_pb2.EXISTING_TEXT_UNSPECIFIED: Existing.SKIP,
    ocr_pb2.EXISTING_TEXT_SKIP: Existing.SKIP,
    ocr_pb2.EXISTING_TEXT_REDO: Existing.REDO,
    ocr_pb2.EXISTING_TEXT_ADD: Existing.ADD,
}
_PART_BYTES = 1 << 20
_NO_LIMIT = 1 << 30
_MOST_TRACED = 10_000
_LONGEST_TRACED = 100
_OUTPUTS = frozenset({ocr_pb2.OUTPUT_WORDS, ocr_pb2.OUTPUT_TEXT})


class OcrJob:
    """Reads one document with one engine. Fulfils the jail's ``Job``, without knowing the jail."""

    def __init__(self, engine: str, options: Mapping[str, object] | None = None) -> None:
        self._engine: Engine = registry.create(engine, options)
        self._rehearsal = b""

    def load(self) -> None:
        """Load the engine and run the whole path once for every format, so that no cell meets a first time."""
        # Whatever a library has to say about a document, a cell has nowhere to say it.
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        self._engine.load()
        # A program's memory is made anew for each page: all that a rehearsal can tell of it is whether it starts.
        program = self._engine.program is not None
        page = Page(pixels=specimen.receipt(100, 200) if program else specimen.receipt())
        documents = _one_of_each_format(page)
        self._rehearsal = documents[0] if program else _encoded(Image.fromarray(specimen.letter()), "JPEG")
        made = b""
        for document in documents:
            made = self._warm_up(document)
        # And the PDF made of the last: kept, read anew, and the ways that end early.
        self._warm_up(made)
        self._warm_up(made, ocr_pb2.EXISTING_TEXT_REDO)
        self._warm_up(b"%PDF- but not one")
        self._warm_up(b"not an image")

    def rehearse(self) -> None:
        """Read a page drawn here, so that the memory a request writes is the cell's own before it comes."""
        if self._rehearsal:
            task = cell_pb2.Task(max_pixels=_NO_LIMIT, max_pages=1)
            self.run(task.SerializeToString(), memoryview(self._rehearsal), lambda payload: None)

    def _warm_up(self, document: bytes, existing: ocr_pb2.ExistingText.ValueType = ocr_pb2.EXISTING_TEXT_SKIP) -> bytes:
        """Read ``document`` as a cell would, and return the PDF made of it."""
        task = cell_pb2.Task(
            outputs=[*sorted(_OUTPUTS), ocr_pb2.OUTPUT_PDF, ocr_pb2.OUTPUT_TRACE],
            max_pixels=_NO_LIMIT,
            max_pages=1,
            pdf=ocr_pb2.PdfOptions(existing_text=existing),
        )
        replies: list[bytes] = []
        self.run(task.SerializeToString(), memoryview(document), replies.append)
        return b"".join(cell_pb2.Reply.FromString(reply).pdf_part for reply in replies)

    def run(self, header: bytes, body: memoryview, reply: Callable[[bytes], None]) -> None:
        """Read the document in ``body`` as the `cell_pb2.Task` in ``header`` says.

        An outline, a page a reply, the parts of the PDF if one is wanted, then a summary.
        """
        task = cell_pb2.Task.FromString(header)
        try:
            pages = self._bound(task, bytes(body), reply) if task.read else self._read(task, bytes(body), reply)
        except DocumentError as error:
            failure = cell_pb2.Failure(reason=_REASONS[type(error)], message=str(error), metadata=error.metadata)
            reply(cell_pb2.Reply(failure=failure).SerializeToString())
            return
        reply(cell_pb2.Reply(summary=cell_pb2.Summary(pages=pages)).SerializeToString())

    def _read(self, task: cell_pb2.Task, body: bytes, reply: Callable[[bytes], None]) -> int:
        """Read this cell's share of the pages, and write the PDF where it is wanted and the share is all of them."""
        outputs = frozenset(task.outputs) or _OUTPUTS
        options = _pdf_options(task)
        document = open_document(body, _limits(task), options)
        count = document.count()
        reply(cell_pb2.Reply(outline=cell_pb2.Outline(pages=count)).SerializeToString())
        share = decode.Share(task.share, max(1, min(task.shares, count)))
        writes = options.write and share == decode.ALL
        if options.write and not writes:
            document = open_document(body, _limits(task), replace(options, write=False))
        number = 0
        texts: dict[int, PageText] = {}
        started = time.perf_counter()
        for leaf in document.leaves(share):
            decode_s = time.perf_counter() - started
            number += 1
            text, trace = self._recognized(leaf.page, outputs)
            if text is not None and writes:
                texts[leaf.number] = text
            page = _page_message(leaf, text, decode_s, outputs)
            if trace is not None:
                page.trace.CopyFrom(trace_message(trace))
            reply(cell_pb2.Reply(page=page).SerializeToString())
            started = time.perf_counter()
        if writes:
            _reply_pdf(document.pdf(texts), reply)
        return number

    def _recognized(
        self, page: Page | None, outputs: frozenset[ocr_pb2.Output.ValueType]
    ) -> tuple[PageText | None, Trace | None]:
        if page is None:
            return None, None
        if ocr_pb2.OUTPUT_TRACE in outputs and isinstance(self._engine, Tracing):
            return self._engine.traced(page)
        return self._engine.recognize(page), None

    def _bound(self, task: cell_pb2.Task, body: bytes, reply: Callable[[bytes], None]) -> int:
        """Write the PDF of pages that other cells have read."""
        document = open_document(body, _limits(task), _pdf_options(task))
        document.survey()
        texts = {page.number: page_text(page) for page in task.read if not page.kept}
        _reply_pdf(document.pdf(texts), reply)
        return len(task.read)


def _limits(task: cell_pb2.Task) -> Limits:
    return Limits(pixels=task.max_pixels, pages=task.max_pages)


def _pdf_options(task: cell_pb2.Task) -> PdfOptions:
    return PdfOptions(
        write=ocr_pb2.OUTPUT_PDF in task.outputs,
        existing=_EXISTING[task.pdf.existing_text],
        break_signatures=task.pdf.break_signatures,
    )


def _reply_pdf(made: bytes, reply: Callable[[bytes], None]) -> None:
    for start in range(0, len(made), _PART_BYTES):
        reply(cell_pb2.Reply(pdf_part=made[start : start + _PART_BYTES]).SerializeToString())


def _page_message(
    leaf: Leaf, text: PageText | None, decode_s: float, outputs: frozenset[ocr_pb2.Output.ValueType]
) -> ocr_pb2.Page:
    started = time.perf_counter()
    page = ocr_pb2.Page(
        number=leaf.number,
        width=leaf.width,
        height=leaf.height,
        dpi=leaf.dpi or 0.0,
        turn=ocr_pb2.Turn(exif_orientation=leaf.exif_orientation),
        kept=text is None,
    )
    seconds: dict[Stage, float] = {}
    if text is not None:
        page.turn.degrees, page.turn.confidence = text.turn.degrees, text.turn.confidence
        seconds.update(text.seconds)
        if ocr_pb2.OUTPUT_WORDS in outputs:
            for line in text.lines:
                words = (ocr_pb2.Word(text=w.text, confidence=w.confidence, quad=_quad(w.quad)) for w in line.words)
                page.lines.append(ocr_pb2.Line(words=words, quad=_quad(line.quad)))
    if ocr_pb2.OUTPUT_TEXT in outputs:
        page.text = leaf.text if text is None else text.text
    seconds |= {Stage.DECODE: decode_s, Stage.RENDER: time.perf_counter() - started}
    for stage, value in seconds.items():
        getattr(page.timings, stage.value).CopyFrom(Duration(nanos=int(value * 1e9) % 10**9, seconds=int(value)))
    return page


def _quad(quad: Quad) -> ocr_pb2.Quad:
    return ocr_pb2.Quad(
        top_left=_point(quad.top_left),
        top_right=_point(quad.top_right),
        bottom_right=_point(quad.bottom_right),
        bottom_left=_point(quad.bottom_left),
    )


def trace_message(trace: Trace) -> ocr_pb2.Trace:
    """A trace as it goes through the API: cut short where it is too long for it."""
    message = ocr_pb2.Trace(cut_short=max(len(trace.windows), len(trace.decisions)) > _MOST_TRACED)
    for window in trace.windows[:_MOST_TRACED]:
        message.windows.add(text=_brief(window.text), confidence=window.confidence, quad=_quad(window.quad))
    for one in trace.decisions[:_MOST_TRACED]:
        act = ocr_pb2.Decision.Act.Value(f"ACT_{one.act.name}")
        message.decisions.add(act=act, text=_brief(one.text), measure=one.measure, quad=_quad(one.quad))
    return message


def _brief(text: str) -> str:
    return text[:_LONGEST_TRACED]


def _point(point: tuple[float, float]) -> ocr_pb2.Point:
    return ocr_pb2.Point(x=point[0], y=point[1])


def page_text(page: ocr_pb2.Page) -> PageText:
    """A page's message as what an engine gives."""
    lines = (
        Line(tuple(Word(w.text, w.confidence, _corners(w.quad)) for w in line.words), _corners(line.quad))
        for line in page.lines
    )
    return PageText(tuple(lines), Turn(page.turn.degrees, page.turn.confidence))


def _corners(quad: ocr_pb2.Quad) -> Quad:
    corners = (quad.top_left, quad.top_right, quad.bottom_right, quad.bottom_left)
    return Quad(*((corner.x, corner.y) for corner in corners))


def _one_of_each_format(page: Page) -> list[bytes]:
    """The page as a file of every format, and the TIFF variants that go through other code."""
    image = Image.fromarray(np.ascontiguousarray(page.pixels))
    return [
        *(_encoded(image, format_) for format_ in ("PNG", "JPEG", "WEBP", "BMP")),
        _encoded(image, "TIFF", compression="tiff_lzw"),
        _encoded(image.convert("1"), "TIFF", compression="group4"),
    ]


def _encoded(image: Image.Image, format_: str, **options: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()
