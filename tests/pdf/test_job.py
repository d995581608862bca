"""PDFs through the job that runs in cells; and hostile ones."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator

import pikepdf
import pytest

from cloister.cell.v1 import cell_pb2
from cloister.v1 import ocr_pb2
from engines import registry
from engines.api import Limits, Line, Page, PageText, Quad, Word
from engines.job import OcrJob
from tests.pdf.make import noise, saved, scan
from tests.pdf.readers import pypdf

SEEN = b"BT /F1 12 Tf 20 20 Td (Seen before) Tj ET"


class TwoWords:
    """Reads the same two words on every page: one in its middle, one over the text of `SEEN`."""

    name = "two-words"
    version = model_version = ""
    languages = ()
    policy = "base"
    program = None
    limits = Limits()

    def load(self) -> None:
        pass

    def recognize(self, page: Page) -> PageText:
        height, width = page.pixels.shape[:2]
        words = [
            Word(text, 0.9, Quad((x, y), (x + 60, y), (x + 60, y + 20), (x, y + 20)))
            for text, x, y in (("Middle", width // 2, height // 2), ("before", 100.0, height - 60.0))
        ]
        return PageText(tuple(Line((word,), word.quad) for word in words))


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> OcrJob:
    monkeypatch.setattr(registry, "create", lambda name, options=None: TwoWords())
    return OcrJob("two-words")


def run(job: OcrJob, body: bytes, *outputs: ocr_pb2.Output.ValueType, **pdf: object) -> list[cell_pb2.Reply]:
    options = ocr_pb2.PdfOptions(**pdf)
    task = cell_pb2.Task(outputs=outputs, max_pixels=2_000_000, max_pages=10, pdf=options)
    replies: list[bytes] = []
    job.run(task.SerializeToString(), memoryview(body), replies.append)
    return [cell_pb2.Reply.FromString(reply) for reply in replies]


def pdf_of(replies: list[cell_pb2.Reply]) -> bytes:
    return b"".join(reply.pdf_part for reply in replies)


WORDS, TEXT, PDF = ocr_pb2.OUTPUT_WORDS, ocr_pb2.OUTPUT_TEXT, ocr_pb2.OUTPUT_PDF


def test_a_scan_is_read_and_comes_back_with_its_words(job: OcrJob) -> None:
    page, *parts, summary = run(job, scan(noise(400, 600)), WORDS, TEXT, PDF)
    assert [word.text for line in page.page.lines for word in line.words] == ["Middle", "before"]
    assert not page.page.kept
    assert summary.summary.pages == 1
    assert sorted(word.text for word in pypdf(pdf_of(parts))) == ["Middle", "before"]


def test_a_page_with_text_is_kept_and_the_reply_says_so(job: OcrJob) -> None:
    page, *parts, _ = run(job, scan(noise(400, 600), content=SEEN), WORDS, TEXT, PDF)
    assert page.page.kept
    assert page.page.text == "Seen before"
    assert not page.page.lines
    assert [word.text for word in pypdf(pdf_of(parts))] == ["Seen", "before"]


def test_a_page_read_anew_gets_no_word_twice(job: OcrJob) -> None:
    redo = ocr_pb2.EXISTING_TEXT_REDO
    page, *parts, _ = run(job, scan(noise(400, 600), content=SEEN), WORDS, PDF, existing_text=redo)
    assert [word.text for line in page.page.lines for word in line.words] == ["Middle", "before"]
    assert sorted(word.text for word in pypdf(pdf_of(parts))) == ["Middle", "Seen", "before"]


def test_a_page_added_to_holds_both(job: OcrJob) -> None:
    *parts, _ = run(job, scan(noise(400, 600), content=SEEN), PDF, existing_text=ocr_pb2.EXISTING_TEXT_ADD)[1:]
    assert sorted(word.text for word in pypdf(pdf_of(parts))) == ["Middle", "Seen", "before", "before"]


def test_a_file_that_may_not_be_rewritten_is_refused_before_it_is_read_unless_text_is_enough(job: OcrJob) -> None:
    signed = scan(noise(400, 600), AcroForm=pikepdf.Dictionary(SigFlags=3, Fields=pikepdf.Array()))
    assert [reply.failure.reason for reply in run(job, signed, PDF)] == [cell_pb2.Failure.REASON_SIGNED]
    assert run(job, signed, TEXT)[-1].summary.pages == 1
    assert run(job, signed, PDF, break_signatures=True)[-1].summary.pages == 1


def mutated(count: int) -> Iterator[bytes]:
    """Valid files with bytes changed, cut, repeated and swapped; half of them where the structure is."""
    random_ = random.Random(7)
    with pikepdf.open(io.BytesIO(scan(noise(40, 60, 3), turn=90, content=SEEN))) as pdf:
        pdf.pages.append(pdf.pages[0])
        files = [saved(pdf), saved(pdf, object_stream_mode=pikepdf.ObjectStreamMode.generate)]
    numbers = [b"-1", b"0", b"99999999999", b"1e9", b"/X", b"null", b"[", b"<<", b"1 0 R", b"3 0 R"]
    for _ in range(count):
        body = bytearray(random_.choice(files))
        for _ in range(random_.randint(1, 12)):
            at = random_.randrange(len(body))
            match random_.randrange(5):
                case 0:
                    body[at] = random_.randrange(256)
                case 1:
                    del body[at : at + random_.randrange(200)]
                case 2:
                    body[at:at] = body[at : at + random_.randrange(200)]
                case 3:
                    digits = [i for i, byte in enumerate(body) if 48 <= byte <= 57]
                    at = random_.choice(digits)
                    body[at : at + 1] = random_.choice(numbers)
                case _:
                    at = max(body.find(b"obj", at), 0)
                    body[at : at + 4] = random_.choice(numbers)
        yield bytes(body)


def test_every_mutated_file_has_an_answer(job: OcrJob) -> None:
    endings = []
    for body in mutated(200):
        replies = run(job, body, WORDS, TEXT, PDF, existing_text=ocr_pb2.EXISTING_TEXT_REDO)
        endings.append(replies[-1].WhichOneof("part"))
        if endings[-1] == "summary":
            assert pdf_of(replies).startswith(b"%PDF-")
    assert set(endings) == {"summary", "failure"}
    assert endings.count("summary") >= 20
