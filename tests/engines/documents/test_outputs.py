"""TSV, hOCR and ALTO: read back by other people's parsers."""

import html5lib
import pytest
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


# What ALTO 4.4's schema says of the elements that are written here, in RELAX NG: their order and number, the attributes
# each must and may have, and of what type. It was held against alto-4-4.xsd type by type, and is stricter where that
# leaves things open. The schema itself is under CC BY-SA, and in no package.
ALTO_RULES = """<grammar xmlns="http://relaxng.org/ns/structure/1.0" ns="http://www.loc.gov/standards/alto/ns-v4#"
 datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes">
<define name="box"><attribute name="HPOS"><data type="float"/></attribute><attribute name="VPOS"><data type="float"/>
 </attribute><attribute name="WIDTH"><data type="float"><param name="minInclusive">0</param></data></attribute></define>
<define name="place"><ref name="box"/><attribute name="HEIGHT"><data type="float"><param name="minInclusive">0</param>
 </data></attribute></define>
<define name="id"><attribute name="ID"><data type="NCName"/></attribute></define>
<start><element name="alto"><attribute name="SCHEMAVERSION"><value>4.4</value></attribute>
 <optional><attribute name="schemaLocation" ns="http://www.w3.org/2001/XMLSchema-instance"/></optional>
 <element name="Description"><element name="MeasurementUnit"><value>pixel</value></element>
  <zeroOrMore><element name="Processing"><ref name="id"/>
   <optional><element name="processingCategory"><list><oneOrMore><choice><value>contentGeneration</value>
    <value>contentModification</value><value>preOperation</value><value>postOperation</value><value>other</value>
   </choice></oneOrMore></list></element></optional>
   <optional><element name="processingSoftware"><optional><element name="softwareName"><text/></element></optional>
    <optional><element name="softwareVersion"><text/></element></optional></element></optional>
  </element></zeroOrMore>
 </element>
 <element name="Layout"><oneOrMore><element name="Page"><ref name="id"/>
  <attribute name="PHYSICAL_IMG_NR"><data type="float"/></attribute>
  <attribute name="WIDTH"><data type="float"/></attribute><attribute name="HEIGHT"><data type="float"/></attribute>
  <element name="PrintSpace"><ref name="place"/>
  <zeroOrMore><element name="TextBlock"><ref name="id"/><ref name="place"/>
   <zeroOrMore><element name="TextLine"><ref name="id"/><ref name="place"/>
    <attribute name="BASELINE"><data type="string"><param name="pattern">(-?[0-9.]+,-?[0-9.]+ ?)+</param></data>
    </attribute>
    <oneOrMore><element name="String"><ref name="id"/><ref name="place"/>
     <attribute name="WC"><data type="float"><param name="minInclusive">0</param>
      <param name="maxInclusive">1</param></data></attribute><attribute name="CONTENT"/></element>
     <optional><element name="SP"><ref name="box"/></element></optional></oneOrMore>
   </element></zeroOrMore></element></zeroOrMore></element>
 </element></oneOrMore></element>
</element></start></grammar>"""


def test_alto_keeps_the_rules_of_its_schema(pages: list[ocr_pb2.Page]) -> None:
    rules = etree.RelaxNG(etree.fromstring(ALTO_RULES))
    written = alto.render(pages, "cloister scribe", "1")
    root = etree.fromstring(written.encode())
    rules.assertValid(root)
    identifiers = [element.get("ID") for element in root.iter() if element.get("ID")]
    assert len(identifiers) == len(set(identifiers))
    for before, after in (("SCHEMAVERSION", "VERSION"), ('WC="0.875"', 'WC="1.2"'), ("<Layout>", "<Layout><Page/>")):
        assert not rules.validate(etree.fromstring(written.replace(before, after).encode()))


def test_alto_holds_the_words_their_places_and_the_gaps(pages: list[ocr_pb2.Page]) -> None:
    root = etree.fromstring(alto.render(pages, "cloister scribe", "1").encode())
    strings = list(root.iter(f"{ALTO}String"))
    assert [s.get("CONTENT") for s in strings] == [*(text.replace("\ufffe", "\ufffd") for text in AWKWARD), "slanted"]
    assert {key: strings[1].get(key) for key in ("HPOS", "VPOS", "WIDTH", "HEIGHT", "WC")} == {
        "HPOS": "110", "VPOS": "21", "WIDTH": "80", "HEIGHT": "19", "WC": "0.875",
    }  # fmt: skip
    assert [space.get("WIDTH") for space in root.iter(f"{ALTO}SP")] == ["20"] * 5
