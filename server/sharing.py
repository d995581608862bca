"""Has a document read: by one cell, or its pages by several at once where cells are free.

How many pages a document has only a cell may find out. So the first cell is told beforehand into how many shares they
would go; its first reply says how many there are, and only then are more cells asked. Pages come in their order whoever
reads them, and what one cell fails at ends the request when its page would have come, as if one cell had read them all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from cloister.cell.v1 import cell_pb2
from cloister.v1 import ocr_pb2
from server import reading
from server.admission import Deadline, Place
from server.hosts import EngineHost
from server.telemetry import RequestRecord

Part: TypeAlias = "ocr_pb2.Outline | ocr_pb2.Page"


@dataclass(slots=True)
class Reading:
    """One document on its way through cells. ``cells`` bounds how many read it at a time.

    Each takes a turn of ``place``, where the request holds one. ``record`` is filled in as it goes. ``pdf`` is the PDF,
    where one was wanted, once `parts` has ended.
    """

    host: EngineHost
    document: bytes
    task: cell_pb2.Task
    deadline: Deadline
    record: RequestRecord
    cells: int = 1
    place: Place | None = None
    pdf: bytearray = field(default_factory=bytearray)

    async def parts(self) -> AsyncGenerator[Part, None]:
        """Yield an outline, then the pages in order, each as soon as it and those before it are read.

        Raises what `reading.replies` does. To leave early, close the iterator: that kills the cells.
        """
        async with aclosing(self._by_one() if self.cells < 2 else self._by_several()) as parts:
            async for part in parts:
                yield part

    async def _by_one(self) -> AsyncGenerator[Part, None]:
        async with aclosing(self._replies(self.task, self.record)) as parts:
            async for part in parts:
                yield part

    async def _by_several(self) -> AsyncGenerator[Part, None]:
        pages: list[ocr_pb2.Page] = []
        async with _ended_together() as tasks:
            first = _Share(self, 0, self.cells, self.record)
            tasks.append(asyncio.create_task(first.read()))
            outline = await first.next()
            assert isinstance(outline, ocr_pb2.Outline), "replies are checked to begin with one"
            yield outline
            count = min(self.cells, outline.pages)
            # Cells at work on other pages count for the request as a whole, not for its wait and its set-up.
            apart = [replace(self.record, stages_s={}, confidences=[]) for _ in range(1, count)]
            others = [_Share(self, number, count, record) for number, record in enumerate(apart, 1)]
            tasks += [asyncio.create_task(share.read()) for share in others]
            shares = [first, *others]
            for number in range(outline.pages):
                share = shares[number % count]
                page = await share.next()
                if isinstance(page, ocr_pb2.Outline):
                    page = await share.next()
                assert isinstance(page, ocr_pb2.Page), "replies are checked to hold one outline"
                if share is not first:
                    reading.note(self.record, page)
                pages.append(page)
                yield page
            for share in shares:
                await share.end()
        if count > 1 and ocr_pb2.OUTPUT_PDF in self.task.outputs:
            task = _copy(self.task)
            task.read.extend(pages)
            async with aclosing(self._replies(task, replace(self.record, stages_s={}))) as rest:
                async for _ in rest:
                    raise AssertionError("replies are checked to hold the PDF alone")

    async def _replies(self, task: cell_pb2.Task, record: RequestRecord) -> AsyncGenerator[Part, None]:
        """One cell's outline and pages; the PDF that it makes is taken out."""
        one_cell = reading.replies(self.host, self.document, task, self.deadline, record, place=self.place)
        async with aclosing(one_cell) as replies:
            async for reply in replies:
                match reply:
                    case cell_pb2.Outline():
                        yield ocr_pb2.Outline(pages=reply.pages)
                    case ocr_pb2.Page():
                        yield reply
                    case _:
                        self.pdf += reply

    def part_of(self, number: int, count: int, record: RequestRecord) -> AsyncGenerator[Part, None]:
        """The replies of the cell that reads share ``number`` of ``count``."""
        task = _copy(self.task)
        task.share, task.shares = number, count
        if ocr_pb2.OUTPUT_PDF in task.outputs and ocr_pb2.OUTPUT_WORDS not in task.outputs:
            task.outputs.append(ocr_pb2.OUTPUT_WORDS)  # for the cell that will write it
        return self._replies(task, record)

    def failed(self, record: RequestRecord) -> None:
        """Tell the request's record how the cell of ``record`` ended."""
        self.record.cell, self.record.breach = record.cell, record.breach
        self.record.phase = record.phase


class _Share:
    """The pages of one cell, read as fast as it gives them: a cell that had to wait for its turn would hold its place.

    What waits here is bounded by what a cell may answer.
    """

    def __init__(self, whole: Reading, number: int, count: int, record: RequestRecord) -> None:
        self._whole = whole
        self._number = number
        self._count = count
        self._record = record
        self._parts: asyncio.Queue[Part | Exception | None] = asyncio.Queue()

    async def read(self) -> None:
        """Until the cell has ended, well or not; that is for `next` and `end` to tell."""
        try:
            async with aclosing(self._whole.part_of(self._number, self._count, self._record)) as parts:
                async for part in parts:
                    self._parts.put_nowait(part)
        except Exception as error:
            self._parts.put_nowait(error)
        else:
            self._parts.put_nowait(None)

    async def next(self) -> Part:
        """The next part, of which there is one. Raises what the cell failed with before it came."""
        part = await self._parts.get()
        if isinstance(part, Exception):
            self._whole.failed(self._record)
            raise part
        assert part is not None, "replies are checked to hold all pages of the share"
        return part

    async def end(self) -> None:
        """Wait for the end of the cell that has given all its pages. Raises what it failed with after them."""
        last = await self._parts.get()
        if isinstance(last, Exception):
            self._whole.failed(self._record)
            raise last


@asynccontextmanager
async def _ended_together() -> AsyncIterator[list[asyncio.Task[None]]]:
    """Tasks of which none outlives the block."""
    tasks: list[asyncio.Task[None]] = []
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _copy(task: cell_pb2.Task) -> cell_pb2.Task:
    copy = cell_pb2.Task()
    copy.CopyFrom(task)
    return copy
