"""What was read, as text, JSON and TSV."""

import json

import pytest

from cloister.v1 import ocr_pb2
from server.renderings import Rendering
from tests.server.jobs import page_of


@pytest.fixture
def response() -> ocr_pb2.RecognizeResponse:
    pages = [page_of(1, ["Größe", "100"]), page_of(2, ["end"])]
    return ocr_pb2.RecognizeResponse(pages=pages, text="\f".join(page.text for page in pages))


def test_text_parts_pages_by_a_form_feed(response: ocr_pb2.RecognizeResponse) -> None:
    assert Rendering.TEXT.render(response) == "Größe 100\fend\n"


def test_json_is_the_protobuf_mapping_on_one_line(response: ocr_pb2.RecognizeResponse) -> None:
    text = Rendering.JSON.render(response)
    assert text.count("\n") == 1
    assert "Größe" in text
    parsed = json.loads(text)
    assert parsed["pages"][0]["lines"][0]["words"][1]["text"] == "100"
    assert parsed["pages"][0]["lines"][0]["words"][0]["quad"]["topRight"] == {"x": 98.0, "y": 10.0}


def test_tsv_has_tesseracts_columns_and_levels(response: ocr_pb2.RecognizeResponse) -> None:
    header, *rows = [line.split("\t") for line in Rendering.TSV.render(response).splitlines()]
    assert " ".join(header) == ("level page_num block_num par_num line_num word_num left top width height conf text")
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5", "5", "1", "2", "3", "4", "5"]
    assert rows[0] == ["1", "1", "0", "0", "0", "0", "0", "0", "200", "100", "-1", ""]
    assert rows[4] == ["5", "1", "1", "1", "1", "1", "0", "10", "98", "20", "50.00", "Größe"]


def test_an_empty_page_has_a_row_of_its_own() -> None:
    response = ocr_pb2.RecognizeResponse(pages=[ocr_pb2.Page(number=1, width=3, height=4)])
    assert len(Rendering.TSV.render(response).splitlines()) == 2
