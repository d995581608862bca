"""The whole way: the `cloister` server as a process, documents through gRPC, read in jailed cells by scribe."""

from __future__ import annotations

import asyncio
import io
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from bench.embedded import Cloister
from cloister.v1 import ocr_pb2
from engines.documents import specimen
from server import selftest
from server.async_client import AsyncClient
from server.errors import CloisterError, Reason

PAGES = Path(__file__).parents[1] / "deploy" / "demo" / "pages"
LAYERS = {
    "pid_namespace",
    "cgroups",
    "network_namespace",
    "mounts",
    "rlimits",
    "no_new_privs",
    "capabilities",
    "seccomp",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Cloister]:
    with Cloister(CELLS__BUSY="2", CELLS__IDLE="2") as running:
        yield running


def encoded(image: Image.Image, format_: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def receipt() -> bytes:
    return encoded(Image.fromarray(specimen.receipt()))


def share_found(response: ocr_pb2.RecognizeResponse, text: str) -> float:
    wanted = Counter(text.split())
    found = Counter(word.text for page in response.pages for line in page.lines for word in line.words)
    return (wanted & found).total() / wanted.total()


def test_a_drawn_receipt_is_read(server: Cloister) -> None:
    assert share_found(server.recognize(receipt()), "\n".join(specimen.RECEIPT_LINES)) >= 0.9


def test_the_page_of_the_self_test_is_read(server: Cloister) -> None:
    page = (Path(selftest.__file__).with_name("selftest.png")).read_bytes()
    assert share_found(server.recognize(page), "Cloister reads scans Total 18.49") >= 0.6


def test_the_reply_says_who_read_it_where_and_how_long_it_took(server: Cloister) -> None:
    response = server.recognize(receipt())
    assert response.provenance.engine == "scribe"
    assert response.provenance.model_version
    assert set(response.provenance.jail_layers) >= LAYERS
    assert not set(response.provenance.jail_layers_off) - {"landlock"}
    for stage in ("queue", "cell_setup", "decode", "detect", "recognise", "wordinate", "total"):
        assert response.timings.HasField(stage), stage


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("receipt-photo.jpg", "Sourdough croissant Cinnamon 2.75 Orange juice SUBTOTAL 16.47 TOTAL Visa Thank"),
        (
            "invoice-scan.jpg",
            "NORTHGATE FASTENERS Invoice Date: January Amount 222.00 536.40 178.39 1,117.29",
        ),
        (
            "letter-fax.tif",
            "Surveyors Thank letter inspection sandstone kitchen market possession Yours sincerely,",
        ),
    ],
)
def test_the_demo_documents_are_read(server: Cloister, document: str, words: str) -> None:
    response = server.recognize((PAGES / document).read_bytes())
    assert share_found(response, words) >= 0.8


def test_words_lie_on_the_page_in_the_turn_that_exif_asks_for(server: Cloister) -> None:
    upright = Image.fromarray(specimen.receipt())
    exif = Image.Exif()
    exif[0x0112] = 6
    response = server.recognize(encoded(upright.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=95))
    (page,) = response.pages
    assert (page.width, page.height) == upright.size
    assert page.turn.exif_orientation == 6
    assert share_found(response, "\n".join(specimen.RECEIPT_LINES)) >= 0.85
    first = page.lines[0].words[0].quad
    assert first.top_left.y < 120
    assert first.top_left.x < first.top_right.x


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_page_that_lies_on_its_side_or_upside_down_is_turned(server: Cloister, degrees: int) -> None:
    pixels = specimen.receipt()
    height, width = pixels.shape[:2]
    (expected,) = server.recognize(receipt()).pages
    turned = Image.fromarray(pixels).rotate(-degrees, expand=True)
    (page,) = server.recognize(encoded(turned)).pages
    assert (page.width, page.height) == turned.size
    assert page.turn.degrees == -degrees % 360
    assert page.turn.confidence > 0.5
    assert page.timings.HasField("orient")
    words = [word for line in page.lines for word in line.words]
    assert [word.text for word in words] == [word.text for line in expected.lines for word in line.words]
    # Where the first word begins, on the page as it was sent.
    corner, was = words[0].quad.top_left, expected.lines[0].words[0].quad.top_left
    there = {90: (height - was.y, was.x), 180: (width - was.x, height - was.y), 270: (was.y, width - was.x)}[degrees]
    assert (corner.x, corner.y) == pytest.approx(there, abs=3)


def test_an_image_comes_back_as_a_pdf_and_that_is_kept_or_read_anew(server: Cloister) -> None:
    made = server.client.recognize((PAGES / "letter-fax.tif").read_bytes(), outputs=[ocr_pb2.OUTPUT_PDF]).files[0]
    assert made.output == ocr_pb2.OUTPUT_PDF
    kept = server.client.recognize(made.content)
    assert kept.pages[0].kept
    assert "Surveyors" in kept.text.split()
    redo = ocr_pb2.PdfOptions(existing_text=ocr_pb2.EXISTING_TEXT_REDO)
    again = server.client.recognize(
        made.content, pdf=redo, outputs=[ocr_pb2.OUTPUT_WORDS, ocr_pb2.OUTPUT_PDF, ocr_pb2.OUTPUT_HOCR]
    )
    assert not again.pages[0].kept
    assert share_found(again, "Brindle Surveyors and Valuers February") == 1
    assert [file.output for file in again.files] == [ocr_pb2.OUTPUT_PDF, ocr_pb2.OUTPUT_HOCR]
    assert server.client.recognize(again.files[0].content).text.split().count("Surveyors") == 1


async def test_files_of_a_stream_come_after_its_pages(server: Cloister) -> None:
    document = (PAGES / "letter-fax.tif").read_bytes()
    async with (
        AsyncClient(server.address) as client,
        client.stream(document, outputs=[ocr_pb2.OUTPUT_PDF, ocr_pb2.OUTPUT_ALTO]) as stream,
    ):
        pages = [page async for page in stream]
    assert [(page.number, len(page.lines)) for page in pages] == [(1, 0), (2, 0)]
    assert stream.files[ocr_pb2.OUTPUT_PDF].startswith(b"%PDF-")
    assert b'CONTENT="Surveyors"' in stream.files[ocr_pb2.OUTPUT_ALTO]


async def test_pages_of_a_stream_leave_one_by_one(server: Cloister) -> None:
    document = (PAGES / "letter-fax.tif").read_bytes()
    async with AsyncClient(server.address) as client, client.stream(document) as pages:
        numbers = [page.number async for page in pages]
        assert numbers == [1, 2]
        assert pages.summary is not None
        assert pages.summary.pages == 2


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", Reason.EMPTY_DOCUMENT),
        (b"not an image at all", Reason.NOT_AN_IMAGE),
        (receipt()[:2000], Reason.DAMAGED_DOCUMENT),
        (encoded(Image.new("1", (20_000, 20_000)), "TIFF", compression="group4"), Reason.TOO_MANY_PIXELS),
    ],
)
def test_a_bad_document_gets_a_reason_and_the_server_lives(server: Cloister, document: bytes, reason: Reason) -> None:
    with pytest.raises(CloisterError) as refusal:
        server.recognize(document)
    assert refusal.value.reason == reason
    assert server.recognize(receipt()).pages


def test_an_empty_page_has_no_words(server: Cloister) -> None:
    (page,) = server.recognize(encoded(Image.new("L", (600, 800), 255))).pages
    assert not page.lines


def test_requests_side_by_side_each_get_their_own_answer(server: Cloister) -> None:
    sizes = [(640 + 2 * n, 1000) for n in range(12)]

    def width(size: tuple[int, int]) -> int:
        page = Image.fromarray(specimen.receipt()).resize(size)
        return server.recognize(encoded(page)).pages[0].width

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(width, sizes)) == [size[0] for size in sizes]


async def test_a_cancelled_call_leaves_a_server_that_reads_on(server: Cloister) -> None:
    async with AsyncClient(server.address) as client:
        call = asyncio.ensure_future(client.recognize((PAGES / "letter-fax.tif").read_bytes()))
        await asyncio.sleep(0.15)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await client.recognize(receipt())).pages


def test_the_server_holds_no_tensorflow_and_the_zygote_no_grpc(server: Cloister) -> None:
    (keeper,) = children(server.pid)
    (zygote,) = children(keeper)
    assert "libtensorflow" not in maps(server.pid)
    assert "cv2" not in maps(server.pid)
    assert "libtensorflow" in maps(zygote)
    assert "grpc" not in maps(zygote)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may see the memory of processes that can't be dumped")
def test_no_cell_can_write_the_code_that_libraries_made(server: Cloister) -> None:
    _, _, zygote, *cells = family(server.pid)
    of_cells = [memory for pid in cells if (memory := of_process(pid, "maps"))]
    assert of_cells
    for memory in (maps(zygote), *of_cells):
        assert " r-xp " in memory
        assert " rwxp " not in memory


def children(pid: int) -> list[int]:
    return [int(child) for child in of_process(pid, f"task/{pid}/children").split()]


def family(pid: int) -> list[int]:
    return [pid, *(member for child in children(pid) for member in family(child))]


def maps(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


def of_process(pid: int, name: str) -> str:
    """A file that /proc has of a process; empty for one that has ended, as cells do at any time."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_a_server_that_ends_takes_all_its_processes_along() -> None:
    before = set(os.listdir("/proc"))
    with Cloister() as running:
        running.recognize(receipt())
        pids = family(running.pid)
        assert len(pids) >= 5, "server, keeper, zygote and two cells"
    left = [pid for pid in pids if str(pid) in set(os.listdir("/proc")) - before]
    assert not left


def test_it_reads_without_a_pid_namespace_where_libraries_can_name_their_threads() -> None:
    with Cloister(CELLS__BUSY="1", CELLS__IDLE="1", JAIL__DANGEROUSLY_WITHOUT='["pid_namespace"]') as lacking:
        response = lacking.recognize(receipt())
    assert response.pages[0].lines
    assert "pid_namespace" in response.provenance.jail_layers_off
