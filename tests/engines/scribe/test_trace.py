"""A trace on its way: from the engine, through a cell's job and the server's checks, onto the page."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cloister.cell.v1 import cell_pb2
from cloister.v1 import ocr_pb2
from engines.documents import specimen, tracing
from engines.job import OcrJob
from server.replies import ReplyChecker

TRACED = (ocr_pb2.OUTPUT_WORDS, ocr_pb2.OUTPUT_TRACE)


@pytest.fixture(scope="module")
def job() -> OcrJob:
    made = OcrJob("scribe")
    made.load()
    return made


def document(quarters: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(np.rot90(specimen.receipt(), quarters))).save(buffer, "PNG")
    return buffer.getvalue()


def read(job: OcrJob, body: bytes, *outputs: ocr_pb2.Output.ValueType) -> ocr_pb2.Page:
    task = cell_pb2.Task(outputs=outputs, max_pixels=1 << 24, max_pages=1)
    checker, replies = ReplyChecker(task), list[bytes]()
    job.run(task.SerializeToString(), memoryview(body), replies.append)
    taken = [checker.take(reply) for reply in replies]
    checker.finish()
    page = taken[1]
    assert isinstance(page, ocr_pb2.Page)
    return page


def middle(quad: ocr_pb2.Quad) -> tuple[float, float]:
    corners = (quad.top_left, quad.top_right, quad.bottom_right, quad.bottom_left)
    return sum(corner.x for corner in corners) / 4, sum(corner.y for corner in corners) / 4


@pytest.mark.parametrize("quarters", [0, 1])
def test_windows_lie_where_their_words_do_however_the_page_is_turned(job: OcrJob, quarters: int) -> None:
    page = read(job, document(quarters), *TRACED)
    assert page.turn.degrees == 90 * quarters
    assert page.trace.windows
    total = next(w for line in page.lines for w in line.words if w.text == "Subtotal")
    window = next(window for window in page.trace.windows if window.text.startswith("Subtotal"))
    x, y = middle(total.quad)
    xs = [window.quad.top_left.x, window.quad.bottom_right.x]
    ys = [window.quad.top_left.y, window.quad.bottom_right.y]
    assert min(xs) < x < max(xs)
    assert min(ys) < y < max(ys)


def test_words_are_the_same_with_a_trace_and_there_is_none_unasked(job: OcrJob) -> None:
    traced, plain = read(job, document(0), *TRACED), read(job, document(0), ocr_pb2.OUTPUT_WORDS)
    assert list(traced.lines) == list(plain.lines)
    assert not plain.HasField("trace")


def test_every_act_is_drawn_in_its_colour_with_a_legend(job: OcrJob) -> None:
    body = document(0)
    page = read(job, body, *TRACED)
    bare = Image.open(io.BytesIO(tracing.draw(body, page)))
    quad = page.trace.windows[0].quad
    del page.trace.decisions[:]
    acts = [act for act in ocr_pb2.Decision.Act.values() if act]
    for act in acts:
        page.trace.decisions.add(act=act, quad=quad, text="was is", measure=1)
    drawn = Image.open(io.BytesIO(tracing.draw(body, page)))
    assert drawn.size == bare.size
    assert drawn.height > drawn.width * page.height / page.width
    colours = {colour for _, colour in drawn.getcolors(1 << 24)}
    assert len(tracing._STYLES) == len(acts)
    assert {style.colour for style in tracing._STYLES.values()} <= colours
