"""PDFs through the job that runs in cells; and hostile ones."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Iterator

import pikepdf
import pytest
from PIL import Image

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
    """The replies after the outline."""
    options = ocr_pb2.PdfOptions(**pdf)
    replies = told(job, body, cell_pb2.Task(outputs=outputs, pdf=options))
    return replies[1:] if replies[0].WhichOneof("part") == "outline" else replies


def told(job: OcrJob, body: bytes, task: cell_pb2.Task) -> list[cell_pb2.Reply]:
    task.max_pixels, task.max_pages = 2_000_000, 10
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


def pages_of(replies: list[cell_pb2.Reply]) -> list[ocr_pb2.Page]:
    pages = [reply.page for reply in replies if reply.WhichOneof("part") == "page"]
    for page in pages:
        page.ClearField("timings")
    return pages


def documents() -> Iterator[bytes]:
    """Five pages as a PDF, the second with text, the fourth turned; and as a TIFF."""
    scans = [scan(noise(400, 600, 3, n), content=SEEN if n == 1 else b"", turn=90 * (n == 3)) for n in range(5)]
    with pikepdf.new() as pdf:
        for body in scans:
            with pikepdf.open(io.BytesIO(body)) as one:
                pdf.pages.extend(one.pages)
        yield saved(pdf)
    buffer = io.BytesIO()
    images = [Image.fromarray(noise(400, 600 + n, 3, n)) for n in range(5)]
    images[0].save(buffer, "TIFF", save_all=True, append_images=images[1:])
    yield buffer.getvalue()


@pytest.mark.parametrize("body", [*documents()], ids=["PDF", "TIFF"])
@pytest.mark.parametrize("existing", [ocr_pb2.EXISTING_TEXT_SKIP, ocr_pb2.EXISTING_TEXT_REDO])
def test_pages_read_in_shares_make_the_document_that_one_makes(
    job: OcrJob, body: bytes, existing: ocr_pb2.ExistingText.ValueType
) -> None:
    options = ocr_pb2.PdfOptions(existing_text=existing)
    whole = told(job, body, cell_pb2.Task(outputs=[WORDS, PDF], pdf=options))
    assert whole[0].outline.pages == 5
    read: dict[int, ocr_pb2.Page] = {}
    for share in range(2):
        task = cell_pb2.Task(outputs=[WORDS, PDF], pdf=options, share=share, shares=2)
        outline, *replies, summary = told(job, body, task)
        assert outline.outline.pages == 5
        assert [page.number for page in pages_of(replies)] == [[1, 3, 5], [2, 4]][share]
        assert summary.summary.pages == len(replies)
        assert not pdf_of(replies)
        read |= {page.number: page for page in pages_of(replies)}
    pages = [read[number] for number in range(1, 6)]
    assert pages == pages_of(whole)
    *parts, summary = told(job, body, cell_pb2.Task(outputs=[PDF], pdf=options, read=pages))
    assert summary.summary.pages == 5
    # Saving makes an identifier anew.
    identifier = re.compile(rb"/ID \[[^]]*\]")
    assert identifier.sub(b"", pdf_of(parts)) == identifier.sub(b"", pdf_of(whole))


def test_a_signed_file_is_refused_before_its_pages_are_shared_out(job: OcrJob) -> None:
    with pikepdf.open(io.BytesIO(scan(noise(400, 600)))) as pdf:
        pdf.pages.append(pdf.pages[0])
        pdf.Root.AcroForm = pikepdf.Dictionary(SigFlags=3, Fields=pikepdf.Array())
        body = saved(pdf)
    (refusal,) = told(job, body, cell_pb2.Task(outputs=[PDF], shares=2))
    assert refusal.failure.reason == cell_pb2.Failure.REASON_SIGNED


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
