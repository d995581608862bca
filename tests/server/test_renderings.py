"""What the command line writes of an answer."""

import json

import pytest

from cloister.v1 import ocr_pb2
from server import files
from server.renderings import Rendering
from tests.server.jobs import page_of


@pytest.fixture
def response() -> ocr_pb2.RecognizeResponse:
    pages = [page_of(1, ["Größe", "100"]), page_of(2, ["end"])]
    answer = ocr_pb2.RecognizeResponse(pages=pages, text="\f".join(page.text for page in pages))
    answer.files.extend(files.make(files.OUTPUTS, pages, b"%PDF-1.7 ...", answer.provenance))
    return answer


def test_text_parts_pages_by_a_form_feed(response: ocr_pb2.RecognizeResponse) -> None:
    assert Rendering.TEXT.render(response).decode() == "Größe 100\fend\n"


def test_json_is_the_protobuf_mapping_on_one_line(response: ocr_pb2.RecognizeResponse) -> None:
    response.ClearField("files")
    text = Rendering.JSON.render(response).decode()
    assert text.count("\n") == 1
    assert "Größe" in text
    parsed = json.loads(text)
    assert parsed["pages"][0]["lines"][0]["words"][1]["text"] == "100"
    assert parsed["pages"][0]["lines"][0]["words"][0]["quad"]["topRight"] == {"x": 98.0, "y": 10.0}


@pytest.mark.parametrize(
    ("rendering", "beginning"),
    [
        (Rendering.TSV, b"level\tpage_num\t"),
        (Rendering.HOCR, b"<?xml"),
        (Rendering.ALTO, b"<?xml"),
        (Rendering.PDF, b"%PDF-1.7"),
    ],
)
def test_files_are_taken_as_the_server_made_them(
    response: ocr_pb2.RecognizeResponse, rendering: Rendering, beginning: bytes
) -> None:
    assert len(rendering.outputs) == 1
    assert rendering.render(response).startswith(beginning)


@pytest.mark.parametrize(
    ("name", "rendering"),
    [
        ("scan.ocr.pdf", Rendering.PDF),
        ("SCAN.TXT", Rendering.TEXT),
        ("a.hocr", Rendering.HOCR),
        ("alto.xml", Rendering.ALTO),
        ("scan.docx", None),
    ],
)
def test_the_name_of_a_file_says_its_form(name: str, rendering: Rendering | None) -> None:
    assert Rendering.of_file(name) is rendering
