"""TSV, hOCR and ALTO: read back by other people's parsers."""

import html5lib
import pytest
from htrvx.schemas import Validator
from lxml import etree

from cloister.v1 import ocr_pb2
from engines.documents import alto, hocr, tsv

ALTO = "{http://www.loc.gov/standards/alto/ns-v4#}"
XHTML = "{http://www.w3.org/1999/xhtml}"
AWKWARD = ("<b>&amp;", 'say"so"', "it's", "naïve", "𝔘", "a\ufffeb")


def quad(left: float, top: float, right: float, bottom: float, drop: float = 0.0) -> ocr_pb2.Quad:
    return ocr_pb2.Quad(
        top_left=ocr_pb2.Point(x=left, y=top),
        top_right=ocr_pb2.Point(x=right, y=top + drop),
        bottom_right=ocr_pb2.Point(x=right, y=bottom + drop),
        bottom_left=ocr_pb2.Point(x=left, y=bottom),
    )


@pytest.fixture
def pages() -> list[ocr_pb2.Page]:
    words = [
        ocr_pb2.Word(text=text, confidence=0.875, quad=quad(100 * i + 10.4, 20.6, 100 * i + 90.2, 40))
        for i, text in enumerate(AWKWARD)
    ]
    slanted = ocr_pb2.Word(text="slanted", confidence=0.5, quad=quad(10, 100, 210, 120, drop=10))
    first = ocr_pb2.Page(number=1, width=800, height=600, dpi=300)
    first.lines.append(ocr_pb2.Line(words=words, quad=quad(-3, 20.6, 590.2, 40)))
    first.lines.append(ocr_pb2.Line(words=[slanted], quad=slanted.quad))
    return [first, ocr_pb2.Page(number=2, width=80, height=60)]


def test_tsv_has_tesseracts_columns_and_levels(pages: list[ocr_pb2.Page]) -> None:
    header, *rows = [line.split("\t") for line in tsv.render(pages).splitlines()]
    assert " ".join(header) == "level page_num block_num par_num line_num word_num left top width height conf text"
    assert [row[0] for row in rows] == ["1", "2", "3", "4", *"555555", "4", "5", "1"]
    assert rows[0] == ["1", "1", "0", "0", "0", "0", "0", "0", "800", "600", "-1", ""]
    assert rows[4] == ["5", "1", "1", "1", "1", "1", "10", "21", "80", "19", "87.50", "<b>&amp;"]
    assert rows[-1] == ["1", "2", "0", "0", "0", "0", "0", "0", "80", "60", "-1", ""]


def test_hocr_is_well_formed_and_a_browsers_parser_reads_it(pages: list[ocr_pb2.Page]) -> None:
    written = hocr.render(pages, "cloister <scribe> 1")
    strict = etree.fromstring(written.encode())
    lenient = html5lib.parse(written, namespaceHTMLElements=True)
    for tree in (strict, lenient):
        words = [element for element in tree.iter(f"{XHTML}span") if element.get("class") == "ocrx_word"]
        assert [word.text for word in words] == [*(text.replace("\ufffe", "\ufffd") for text in AWKWARD), "slanted"]
        assert words[0].get("title") == "bbox 10 21 90 40; x_wconf 88"
        kinds = [
            e.get("class") for e in tree.iter() if isinstance(e.tag, str) and (e.get("class") or "") != "ocrx_word"
        ]
        assert [kind for kind in kinds if kind] == [
            "ocr_page", "ocr_carea", "ocr_par", "ocr_line", "ocr_line", "ocr_page",
        ]  # fmt: skip
    systems = [meta.get("content") for meta in strict.iter(f"{XHTML}meta") if meta.get("name") == "ocr-system"]
    assert systems == ["cloister <scribe> 1"]


def test_hocr_says_how_a_line_slants(pages: list[ocr_pb2.Page]) -> None:
    lines = [
        e.get("title")
        for e in etree.fromstring(hocr.render(pages, "x").encode()).iter()
        if e.get("class") == "ocr_line"
    ]
    assert lines == ["bbox 0 21 590 40; baseline 0.0000 0.0", "bbox 10 100 210 130; baseline 0.0500 -10.0"]


def test_alto_is_valid_by_its_own_schema(pages: list[ocr_pb2.Page]) -> None:
    written = alto.render(pages, "cloister scribe", "1")
    root = etree.fromstring(written.encode())
    (_, named) = root.get("{http://www.w3.org/2001/XMLSchema-instance}schemaLocation").split()
    schema = Validator(named).xmlschema
    schema.assertValid(root)
    assert root.get("SCHEMAVERSION") == "4.3"
    identifiers = [element.get("ID") for element in root.iter() if element.get("ID")]
    assert len(identifiers) == len(set(identifiers))
    for before, after in (("SCHEMAVERSION", "VERSION"), ('WC="0.875"', 'WC="1.2"'), ("<Layout>", "<Layout><Page/>")):
        assert not schema.validate(etree.fromstring(written.replace(before, after).encode()))


def test_alto_holds_the_words_their_places_and_the_gaps(pages: list[ocr_pb2.Page]) -> None:
    root = etree.fromstring(alto.render(pages, "cloister scribe", "1").encode())
    strings = list(root.iter(f"{ALTO}String"))
    assert [s.get("CONTENT") for s in strings] == [*(text.replace("\ufffe", "\ufffd") for text in AWKWARD), "slanted"]
    assert {key: strings[1].get(key) for key in ("HPOS", "VPOS", "WIDTH", "HEIGHT", "WC")} == {
        "HPOS": "110", "VPOS": "21", "WIDTH": "80", "HEIGHT": "19", "WC": "0.875",
    }  # fmt: skip
    assert [space.get("WIDTH") for space in root.iter(f"{ALTO}SP")] == ["20"] * 5
