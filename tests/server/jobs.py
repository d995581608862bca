"""A job that speaks `cell.proto` without an engine: a document is a text, its lines are pages, and it can misbehave.

first page\nsecond page        is read: a page for each line, a word for each word
!crash                         does what `_MISDEEDS` says
one page\n!hang                reads the first page, then does
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from cloister.cell.v1 import cell_pb2
from cloister.v1 import ocr_pb2

Reply = Callable[[bytes], None]

WIDTH, HEIGHT = 200, 100


def document(*pages: str) -> bytes:
    return "\n".join(pages).encode()


def page_of(number: int, words: list[str]) -> ocr_pb2.Page:
    """A page of one line, its words side by side."""
    step = WIDTH / len(words)
    quads = [_quad(i * step, 10, (i + 1) * step - 2, 30) for i in range(len(words))]
    line = ocr_pb2.Line(quad=_quad(0, 10, WIDTH, 30))
    for word, quad in zip(words, quads, strict=True):
        line.words.append(ocr_pb2.Word(text=word, confidence=0.5, quad=quad))
    page = ocr_pb2.Page(number=number, width=WIDTH, height=HEIGHT, lines=[line], text=" ".join(words))
    page.turn.exif_orientation = 1
    page.turn.confidence = 1.0
    page.timings.decode.FromMilliseconds(1)
    page.timings.recognise.FromMilliseconds(2)
    return page


def _quad(left: float, top: float, right: float, bottom: float) -> ocr_pb2.Quad:
    return ocr_pb2.Quad(
        top_left=ocr_pb2.Point(x=left, y=top),
        top_right=ocr_pb2.Point(x=right, y=top),
        bottom_right=ocr_pb2.Point(x=right, y=bottom),
        bottom_left=ocr_pb2.Point(x=left, y=bottom),
    )


class TinyJob:
    def __init__(self, load_s: float = 0.0, broken: bool = False, load_until: str = "") -> None:
        """``load_until`` names a file that is waited for."""
        self._load_s = float(load_s)
        self._broken = broken
        self._load_until = load_until

    def load(self) -> None:
        time.sleep(self._load_s)
        while self._load_until and not os.path.exists(self._load_until):
            time.sleep(0.05)
        if self._broken:
            raise RuntimeError("the tiny engine is broken")

    def rehearse(self) -> None:
        pass

    def run(self, header: bytes, body: memoryview, reply: Reply) -> None:
        task = cell_pb2.Task.FromString(header)
        text = "a picture" if bytes(body[:4]) == b"\x89PNG" else bytes(body).decode()
        lines = text.split("\n")
        if task.read:
            told = "|".join(page.text for page in task.read)
            reply(cell_pb2.Reply(pdf_part=f"%PDF-{told}".encode()).SerializeToString())
            reply(cell_pb2.Reply(summary=cell_pb2.Summary(pages=len(task.read))).SerializeToString())
            return
        count = sum(not line.startswith("!") for line in lines)
        if count:
            reply(cell_pb2.Reply(outline=cell_pb2.Outline(pages=count)).SerializeToString())
        shares = max(1, min(task.shares, count))
        number = read = 0
        for line in lines:
            if line.startswith("!"):
                deed, *arguments = line[1:].split()
                # Of several cells, that which reads the page after it.
                if number % shares == task.share and _MISDEEDS[deed](reply, number + 1, *arguments):
                    return
                continue
            number += 1
            if (number - 1) % shares != task.share:
                continue
            read += 1
            page = page_of(number, line.split())
            if ocr_pb2.OUTPUT_WORDS not in task.outputs:
                del page.lines[:]
            if ocr_pb2.OUTPUT_TEXT not in task.outputs:
                page.ClearField("text")
            reply(cell_pb2.Reply(page=page).SerializeToString())
        if ocr_pb2.OUTPUT_PDF in task.outputs and shares == 1:
            reply(cell_pb2.Reply(pdf_part=b"%PDF-").SerializeToString())
        reply(cell_pb2.Reply(summary=cell_pb2.Summary(pages=read)).SerializeToString())


def _send(reply: Reply, page: ocr_pb2.Page) -> None:
    reply(cell_pb2.Reply(page=page).SerializeToString())


def _crash(reply: Reply, number: int) -> bool:
    raise RuntimeError("the secret of this document")


def _abort(reply: Reply, number: int) -> bool:
    os.kill(os.getpid(), signal.SIGSEGV)
    return True


def _hang(reply: Reply, number: int) -> bool:
    while True:
        sum(range(1000))


def _violate(reply: Reply, number: int) -> bool:
    os.open("/etc/passwd", os.O_RDONLY)
    return True


def _hog(reply: Reply, number: int) -> bool:
    held = []
    while True:
        held.append(bytearray(b"x" * (1 << 20)))


def _garbage(reply: Reply, number: int) -> bool:
    reply(b"\xff\xff\xff\xff")
    return False


def _order(reply: Reply, number: int) -> bool:
    _send(reply, page_of(number + 1, ["late"]))
    return False


def _outside(reply: Reply, number: int) -> bool:
    page = page_of(number, ["far"])
    page.lines[0].words[0].quad.top_left.x = 5000
    _send(reply, page)
    return False


def _nan(reply: Reply, number: int) -> bool:
    page = page_of(number, ["odd"])
    page.lines[0].words[0].confidence = float("nan")
    _send(reply, page)
    return False


def _unended(reply: Reply, number: int) -> bool:
    return True


def _escape(reply: Reply, number: int) -> bool:
    page = page_of(number, ["\x1b[2J"])
    _send(reply, page)
    return False


def _fail(reply: Reply, number: int, reason: str) -> bool:
    failure = cell_pb2.Failure(reason=reason, message="it can't be read", metadata={"page": str(number)})
    reply(cell_pb2.Reply(failure=failure).SerializeToString())
    return True


def _work(reply: Reply, number: int, seconds: str) -> bool:
    """Use the CPU for a while: a cell can't sleep."""
    until = time.perf_counter() + float(seconds)
    while time.perf_counter() < until:
        sum(range(1000))
    return False


_MISDEEDS: dict[str, Callable[..., bool]] = {
    "crash": _crash,
    "abort": _abort,
    "hang": _hang,
    "violate": _violate,
    "hog": _hog,
    "garbage": _garbage,
    "order": _order,
    "outside": _outside,
    "nan": _nan,
    "unended": _unended,
    "escape": _escape,
    "fail": _fail,
    "work": _work,
}
