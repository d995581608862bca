"""Readers of what programs write. Files of the real tesseract program are read in test_vendor.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.api import PageText, Quad
from engines.boxes import UNSTATED
from engines.errors import ProgramError
from engines.vendor.formats import READERS, Format, abbyy, alto, hocr, tsv

FINEREADER = Path(__file__).with_name("finereader10.xml").read_bytes()
ALTO = """<?xml version="1.0" encoding="UTF-8"?>
<alto xmlns="http://www.loc.gov/standards/alto/ns-v{version}#">
<Description><MeasurementUnit>{unit}</MeasurementUnit></Description>
<Layout><Page ID="p" PHYSICAL_IMG_NR="1" WIDTH="{width}" HEIGHT="{height}"><PrintSpace><TextBlock ID="b">
<TextLine ID="l" HPOS="100" VPOS="50" WIDTH="400" HEIGHT="40">
<String CONTENT="read" HPOS="100" VPOS="50" WIDTH="200" HEIGHT="40" WC="0.75"/><SP/>
<String CONTENT="hyphen" HPOS="320" VPOS="50" WIDTH="160" HEIGHT="40" SUBS_TYPE="HypPart1" SUBS_CONTENT="hyphenated"/>
<HYP CONTENT="\u00ad" HPOS="480" VPOS="65" WIDTH="20" HEIGHT="5"/>
</TextLine></TextBlock></PrintSpace></Page></Layout></alto>"""
HOCR = """<!DOCTYPE html><html><head><title>x</title><meta name=ocr-system content=hand></head><body>
<div class="ocr_page" title='image "a;b.png"; bbox 0 0 1000 500'><p class=ocr_par>
<span class="ocr_line" title="bbox 100 50 500 90; textangle 90">
<span class="ocrx_word" title="bbox 100 50 300 90; x_wconf 75"><strong>R&amp;D</strong></span>
<span class="ocrx_word" title="bbox 320 50 500 90"> <em>co</em>st </span>
<span class="ocrx_word" title="bbox 1 1 2 2"> </span></span><br>
<span class="ocrx_word" title="bbox 5 5 9 9">loose</span>
</div><div class="ocr_page" title="bbox 0 0 9 9"><span class="ocrx_word" title="bbox 1 1 2 2">second</span></div>
</body></html>"""


def texts(page: PageText) -> list[list[str]]:
    return [[word.text for word in line.words] for line in page.lines]


def box(quad: Quad) -> tuple[float, ...]:
    return (*quad.top_left, *quad.bottom_right)


@pytest.mark.parametrize("version", [2, 3, 4])
def test_alto_is_read_in_any_version(version: int) -> None:
    page = alto.read(ALTO.format(version=version, unit="pixel", width=1000, height=500).encode()).on_page(1000, 500)
    assert texts(page) == [["read", "hyphen-"]]
    first, second = page.lines[0].words
    assert box(first.quad) == (100, 50, 300, 90)
    assert box(second.quad) == (320, 50, 500, 90)
    assert (first.confidence, second.confidence) == (0.75, UNSTATED)


@pytest.mark.parametrize("unit", ["mm10", "inch1200"])
def test_alto_in_other_units_is_scaled_to_the_page(unit: str) -> None:
    page = alto.read(ALTO.format(version=3, unit=unit, width=1000, height=500).encode()).on_page(2000, 1500)
    assert box(page.lines[0].words[0].quad) == (200, 150, 600, 270)


def test_hocr_is_read_though_it_is_no_xml() -> None:
    page = hocr.read(HOCR.encode()).on_page(1000, 500)
    assert texts(page) == [["R&D", "cost"], ["loose"]]
    first, second = page.lines[0].words
    assert (first.confidence, second.confidence) == (0.75, UNSTATED)
    # Turned by 90 degrees against the clock: what is read first lies below.
    assert first.quad.top_left == (100, 90)
    assert first.quad.top_right == (100, 50)


def test_finereader_xml_is_read_character_by_character() -> None:
    page = abbyy.read(FINEREADER).on_page(400, 200)
    assert texts(page) == [["To", "at-"], ["tend", "all"], ["42"]]
    to, at = page.lines[0].words
    assert box(to.quad) == (20, 12, 54, 38)
    assert to.confidence == pytest.approx(0.8)
    assert box(at.quad) == (62, 12, 104, 38)
    assert at.confidence == pytest.approx(0.8)
    assert page.lines[2].words[0].confidence == UNSTATED


def test_a_line_without_boxes_for_characters_is_parted_by_their_number() -> None:
    tend, everything = abbyy.read(FINEREADER).on_page(400, 200).lines[1].words
    assert box(tend.quad) == (20, 50, 70, 80)
    assert box(everything.quad) == (82.5, 50, 120, 80)


def test_boxes_on_a_page_that_finereader_turned_are_turned_back() -> None:
    turned = FINEREADER.replace(b'originalCoords="1"', b'rotation="RotatedClockwise"')
    page = abbyy.read(turned).on_page(200, 400)
    assert page.turn.degrees == 90
    word = page.lines[0].words[0]
    # The page was sent lying on its left side: text runs upward, and begins at its lower edge.
    assert word.quad.top_left == (12, 380)
    assert word.quad.top_right == (12, 346)
    assert word.quad.bottom_left == (38, 380)


def test_boxes_are_cut_to_the_page() -> None:
    rows = "5\t1\t1\t1\t1\t1\t-5\t-5\t2000\t20\t-1\twide"
    header = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext"
    page = tsv.read(f"{header}\n{rows}\n".encode()).on_page(100, 50)
    assert box(page.lines[0].words[0].quad) == (0, 0, 100, 15)
    assert page.lines[0].words[0].confidence == UNSTATED


@pytest.mark.parametrize(
    ("format_", "data"),
    [
        (Format.ALTO, b"<html/>"),
        (Format.ALTO, b"<alto><Layout>"),
        (Format.ALTO, ALTO.format(version=3, unit="pixel", width="wide", height=1).encode()),
        (Format.ALTO, ALTO.format(version=3, unit="mm10", width="0", height=1).encode()),
        (Format.ALTO, ALTO.format(version=3, unit="pixel", width=9, height=9).replace('"100"', '"nan"').encode()),
        (Format.ABBYY_XML, FINEREADER.replace(b'l="20"', b'l="1e400"')),
        (Format.ABBYY_XML, b"<alto/>"),
        (Format.HOCR, b"no tags"),
        (Format.HOCR, b"\xff\xfe"),
        (Format.HOCR, b"<b>" * 5000),
        (Format.HOCR, HOCR.replace("bbox 320", "box 320").encode()),
        (Format.TSV, b"level\ttext\n5\tword"),
        (Format.TSV, b"\xff"),
    ],
)
def test_output_that_cannot_be_read_is_refused(format_: Format, data: bytes) -> None:
    with pytest.raises(ProgramError):
        READERS[format_](data)


BOMB = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(12))


@pytest.mark.parametrize("format_", [Format.ALTO, Format.ABBYY_XML])
@pytest.mark.parametrize(
    "prolog",
    [f'<!DOCTYPE alto [<!ENTITY e0 "grow">{BOMB}]>', '<!DOCTYPE alto SYSTEM "file:///etc/hostname">'],
    ids=["bomb", "file"],
)
def test_entities_are_refused_before_they_grow(format_: Format, prolog: str) -> None:
    with pytest.raises(ProgramError, match="document type"):
        READERS[format_](f'{prolog}<alto><String CONTENT="&e12;"/></alto>'.encode())


def test_an_error_holds_no_text_of_the_document() -> None:
    with pytest.raises(ProgramError) as caught:
        alto.read(b"<alto><secret></wrong></alto>")
    assert "secret" not in str(caught.value)
    with pytest.raises(ProgramError) as caught:
        alto.read(ALTO.format(version=3, unit="pixel", width="secret", height=1).encode())
    assert "secret" not in str(caught.value)


@given(format_=st.sampled_from(Format), data=st.data())
def test_damaged_output_is_read_or_refused(format_: Format, data: st.DataObject) -> None:
    whole = {Format.ALTO: ALTO.format(version=3, unit="pixel", width=9, height=9).encode(), Format.HOCR: HOCR.encode()}
    raw = bytearray(whole.get(format_, FINEREADER))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        page = READERS[format_](bytes(raw[: data.draw(st.integers(0, len(raw)))])).on_page(300, 200)
    except ProgramError:
        return
    for line in page.lines:
        for word in line.words:
            assert 0 <= word.confidence <= 1
            assert all(0 <= x <= 300 and 0 <= y <= 200 for x, y in (word.quad.top_left, word.quad.bottom_right))
