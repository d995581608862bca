"""Has a kept document drawn on in a cell of its own: a caller's bytes are parsed nowhere else, an operator's least."""

from __future__ import annotations

from collections.abc import Iterator

from cloister.v1 import ocr_pb2
from engines.documents.marks import Mark, Side, header
from jail.pool import Pool
from jail.result import Status
from jail.spec import Layers, Limits, ZygoteSpec
from server.comparison import Rules, paired
from server.records.comparison import Kept
from server.settings import Settings

_JOB = "engines.documents.drawing:DrawJob"
_MEMORY_BYTES = 1 << 30
_TIME_S = 60.0


class DrawingError(Exception):
    """The page can't be drawn. Says why."""


async def draw(kept: Kept, page: int, rules: Rules, settings: Settings) -> bytes:
    """A PNG of the page of that number, with the words of both readings where they differ, and faint where they don't.

    Raises `DrawingError`, and `jail.errors.JailError` where no cell can be made.
    """
    layers = Layers(settings.jail.dangerously_without, settings.jail.cgroup_parent)
    limits = Limits(memory_bytes=_MEMORY_BYTES)
    pool = Pool(ZygoteSpec(_JOB), limits, busy=1, idle=1, layers=layers)
    await pool.start()
    try:
        drawn = bytearray()
        asked = header(page, _marks(numbered(kept.control, page), numbered(kept.candidate, page), rules))
        async with pool.run(asked, kept.document, timeout_s=_TIME_S) as run:
            async for payload in run:
                drawn += payload
    finally:
        await pool.close()
    if run.result is None or run.result.status is not Status.OK:
        why = "no result" if run.result is None else f"{run.result.status.value} {run.result.reason}"
        raise DrawingError(f"its cell ended before it was drawn: {why}")
    if not drawn:
        raise DrawingError(f"the document can't be read, or has no page {page}")
    return bytes(drawn)


def numbered(pages: tuple[ocr_pb2.Page, ...], number: int) -> ocr_pb2.Page:
    """The page of that number, or an empty one."""
    return next((page for page in pages if page.number == number), ocr_pb2.Page(number=number))


def _marks(control: ocr_pb2.Page, candidate: ocr_pb2.Page, rules: Rules) -> Iterator[Mark]:
    for pair in paired(control, candidate, rules):
        if pair.same and pair.control is not None:
            yield Mark(_corners(pair.control), Side.BOTH)
            continue
        for word, side in ((pair.control, Side.CONTROL), (pair.candidate, Side.CANDIDATE)):
            if word is not None:
                yield Mark(_corners(word), side, word.text)


def _corners(word: ocr_pb2.Word) -> tuple[float, ...]:
    quad = word.quad
    corners = (quad.top_left, quad.top_right, quad.bottom_right, quad.bottom_left)
    return tuple(value for corner in corners for value in (corner.x, corner.y))
