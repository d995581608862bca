"""What runs in a cell: a document's bytes in, `cloister.cell.v1.Reply` messages out."""

from __future__ import annotations

import io
import logging
import time
import warnings
from collections.abc import Callable, Mapping

import numpy as np
from google.protobuf.duration_pb2 import Duration
from PIL import Image

from cloister.cell.v1 import cell_pb2
from cloister.v1 import ocr_pb2
from engines import registry
from engines.api import Engine, Page, PageText, Quad, Stage
from engines.documents import decode, specimen
from engines.documents.errors import (
    DamagedError,
    DocumentError,
    NotAnImageError,
    TooManyPagesError,
    TooManyPixelsError,
    UnsupportedError,
)

_REASONS: Mapping[type[DocumentError], cell_pb2.Failure.Reason.ValueType] = {
    NotAnImageError: cell_pb2.Failure.REASON_NOT_AN_IMAGE,
    DamagedError: cell_pb2.Failure.REASON_DAMAGED,
    TooManyPixelsError: cell_pb2.Failure.REASON_TOO_MANY_PIXELS,
    TooManyPagesError: cell_pb2.Failure.REASON_TOO_MANY_PAGES,
    UnsupportedError: cell_pb2.Failure.REASON_UNSUPPORTED,
}
_OUTPUTS = frozenset({ocr_pb2.OUTPUT_WORDS, ocr_pb2.OUTPUT_TEXT})


class OcrJob:
    """Reads one document with one engine. Fulfils the jail's ``Job``, without knowing the jail."""

    def __init__(self, engine: str, options: Mapping[str, object] | None = None) -> None:
        self._engine: Engine = registry.create(engine, options)
        self._specimen: Page | None = None

    def load(self) -> None:
        """Load the engine and run the whole path once for every format, so that no cell meets a first time."""
        # Whatever a library has to say about a document, a cell has nowhere to say it.
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        self._engine.load()
        # A program's memory is made anew for each page: all that a rehearsal can tell of it is whether it starts.
        size = (1000, 640) if self._engine.program is None else (100, 200)
        self._specimen = Page(pixels=specimen.receipt(*size))
        task = cell_pb2.Task(outputs=sorted(_OUTPUTS), max_pixels=1 << 30, max_pages=1).SerializeToString()
        for document in _one_of_each_format(self._specimen):
            self.run(task, memoryview(document), _ignore)
        self.run(task, memoryview(b"not an image"), _ignore)

    def rehearse(self) -> None:
        """Read the specimen, so that the pages of memory a request writes are the cell's own before it comes."""
        if self._specimen is not None:
            self._engine.recognize(self._specimen)

    def run(self, header: bytes, body: memoryview, reply: Callable[[bytes], None]) -> None:
        """Read the document in ``body`` as the `cell_pb2.Task` in ``header`` says: a page a reply, then a summary."""
        task = cell_pb2.Task.FromString(header)
        limits = decode.Limits(pixels=task.max_pixels, pages=task.max_pages)
        outputs = frozenset(task.outputs) or _OUTPUTS
        number = 0
        try:
            started = time.perf_counter()
            for decoded in decode.pages(bytes(body), limits):
                decode_s = time.perf_counter() - started
                number += 1
                page = _page_message(decoded, self._engine.recognize(decoded.page), decode_s, outputs)
                reply(cell_pb2.Reply(page=page).SerializeToString())
                started = time.perf_counter()
        except DocumentError as error:
            failure = cell_pb2.Failure(reason=_REASONS[type(error)], message=str(error), metadata=error.metadata)
            reply(cell_pb2.Reply(failure=failure).SerializeToString())
            return
        reply(cell_pb2.Reply(summary=cell_pb2.Summary(pages=number)).SerializeToString())


def _page_message(
    decoded: decode.Decoded, text: PageText, decode_s: float, outputs: frozenset[ocr_pb2.Output.ValueType]
) -> ocr_pb2.Page:
    started = time.perf_counter()
    height, width = decoded.page.pixels.shape[:2]
    page = ocr_pb2.Page(
        number=decoded.page.number,
        width=width,
        height=height,
        dpi=decoded.page.dpi or 0.0,
        turn=ocr_pb2.Turn(
            degrees=text.turn.degrees,
            confidence=text.turn.confidence,
            exif_orientation=decoded.exif_orientation,
        ),
    )
    if ocr_pb2.OUTPUT_WORDS in outputs:
        for line in text.lines:
            words = (
                ocr_pb2.Word(text=word.text, confidence=word.confidence, quad=_quad(word.quad)) for word in line.words
            )
            page.lines.append(ocr_pb2.Line(words=words, quad=_quad(line.quad)))
    if ocr_pb2.OUTPUT_TEXT in outputs:
        page.text = text.text
    seconds = {**text.seconds, Stage.DECODE: decode_s, Stage.RENDER: time.perf_counter() - started}
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


def _point(point: tuple[float, float]) -> ocr_pb2.Point:
    return ocr_pb2.Point(x=point[0], y=point[1])


def _one_of_each_format(page: Page) -> list[bytes]:
    """The page as a file of every format, and the TIFF variants that go through other code."""
    image = Image.fromarray(np.ascontiguousarray(page.pixels))
    documents = []
    for variant, format_, options in (
        (image, "PNG", {}),
        (image, "JPEG", {}),
        (image, "WEBP", {}),
        (image, "BMP", {}),
        (image, "TIFF", {"compression": "tiff_lzw"}),
        (image.convert("1"), "TIFF", {"compression": "group4"}),
    ):
        buffer = io.BytesIO()
        variant.save(buffer, format_, **options)
        documents.append(buffer.getvalue())
    return documents


def _ignore(payload: bytes) -> None:
    """Take a payload and do nothing with it."""
