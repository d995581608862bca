"""A PDF with a layer is the PDF that was sent, and a layer."""

from __future__ import annotations

import io

import numpy as np
import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, Stream

from engines.api import Line, Quad, Word
from engines.documents.decode import Limits
from engines.documents.errors import EncryptedError, SignedError
from engines.documents.pdf import font, layer, reading, writing
from engines.documents.pdf.make_font import make as make_font
from tests.pdf.make import noise, saved, scan
from tests.pdf.readers import pypdf
from tests.pdf.specimen import Layout, make

LIMITS = Limits(pixels=10_000_000, pages=10)
LINE = Line(
    (
        Word("Hidden", 0.9, Quad((20, 20), (90, 20), (90, 44), (20, 44))),
        Word("words", 0.9, Quad((100, 20), (170, 20), (170, 44), (100, 44))),
    ),
    Quad((20, 20), (170, 20), (170, 44), (20, 44)),
)


def layered(body: bytes, *, replaces: bool = False, **options: bool) -> bytes:
    layers = [writing.Layer(s.number, (LINE,), s.to_user, replaces) for s in reading.sheets(body, LIMITS)]
    return writing.with_layers(body, layers, **options)


def pixels(body: bytes) -> list[np.ndarray]:
    return [np.array(sheet.page().pixels) for sheet in reading.sheets(body, LIMITS)]


def words(body: bytes) -> list[str]:
    return [word.text for word in pypdf(body)]


def rich() -> bytes:
    """A file with one of everything that a rewrite could lose."""
    pdf = pikepdf.open(
        io.BytesIO(scan(noise(400, 600, 3), turn=90, content=b"0 0 1 rg 5 5 50 50 re f q 2 0 0 2 0 0 cm"))
    )
    page = pdf.pages[0]
    link = Dictionary(
        Type=Name.Annot, Subtype=Name.Link, Rect=Array([0, 0, 9, 9]), A=Dictionary(S=Name.URI, URI=b"x:y")
    )
    field = Dictionary(
        Type=Name.Annot, Subtype=Name.Widget, FT=Name.Tx, T=b"name", V=b"value", Rect=Array([10, 10, 90, 30])
    )
    page.Annots = Array([pdf.make_indirect(link), pdf.make_indirect(field)])
    pdf.Root.AcroForm = Dictionary(Fields=Array([page.Annots[1]]))
    pdf.attachments["note.txt"] = b"attached"
    with pdf.open_outline() as outline:
        outline.root.append(pikepdf.OutlineItem("Chapter", 0))
    with pdf.open_metadata() as metadata:
        metadata["dc:title"] = "A title"
        metadata["pdfaid:part"] = "2"
        metadata["pdfaid:conformance"] = "B"
    profile = Stream(pdf, b"profile", N=3)
    pdf.Root.OutputIntents = Array([Dictionary(S=Name.GTS_PDFA1, DestOutputProfile=pdf.make_indirect(profile))])
    pdf.Root.MarkInfo = Dictionary(Marked=True)
    pdf.Root.StructTreeRoot = pdf.make_indirect(Dictionary(Type=Name.StructTreeRoot, K=Array([])))
    return saved(pdf)


def test_the_look_stays_pixel_for_pixel() -> None:
    body = rich()
    for before, after in zip(pixels(body), pixels(layered(body)), strict=True):
        assert np.array_equal(before, after)


def test_everything_but_the_page_that_got_a_layer_stays_object_for_object() -> None:
    body = rich()
    before, after = pikepdf.open(io.BytesIO(body)), pikepdf.open(io.BytesIO(layered(body)))
    assert set(before.Root.keys()) == set(after.Root.keys())
    for key in set(before.Root.keys()) - {"/Pages", "/Outlines", "/AcroForm", "/Names"}:
        assert before.Root[key].unparse(resolved=True) == after.Root[key].unparse(resolved=True), key
    assert before.Root.Metadata.read_bytes() == after.Root.Metadata.read_bytes()
    assert after.attachments["note.txt"].get_file().read_bytes() == b"attached"
    with after.open_outline() as outline:
        assert [item.title for item in outline.root] == ["Chapter"]
    old, new = before.pages[0].obj, after.pages[0].obj
    assert set(new.keys()) == set(old.keys())
    assert [str(a.Subtype) for a in new.Annots] == ["/Link", "/Widget"]
    assert after.Root.AcroForm.Fields[0].objgen == new.Annots[1].objgen
    assert set(new.Resources.Font.keys()) == {"/F1", f"/{layer.FONT}"}
    *_, last = new.Contents
    assert last.read_bytes() == old.Contents.read_bytes()


def test_a_tagged_files_layer_is_marked_as_an_artifact() -> None:
    pdf = pikepdf.open(io.BytesIO(layered(rich())))
    first = pdf.pages[0].obj.Contents[0].read_bytes()
    assert first.startswith(b"/Artifact BMC")
    assert first.rstrip().endswith(b"EMC")


def test_resources_that_pages_share_are_not_written_into() -> None:
    pdf = pikepdf.open(io.BytesIO(scan(noise(40, 60))))
    pdf.pages[0].obj.Resources = pdf.make_indirect(pdf.pages[0].obj.Resources)
    pdf.pages.append(pdf.pages[0])
    body = saved(pdf)
    first = next(reading.sheets(body, LIMITS))
    after = pikepdf.open(io.BytesIO(writing.with_layers(body, [writing.Layer(1, (LINE,), first.to_user)])))
    assert [sorted(page.obj.Resources.Font.keys()) for page in after.pages] == [[f"/{layer.FONT}", "/F1"], ["/F1"]]
    assert np.array_equal(pixels(body)[0], pixels(saved(after))[0])


def test_resources_that_a_page_inherits_stay_its_own() -> None:
    pdf = pikepdf.open(io.BytesIO(scan(noise(40, 60))))
    resources = pdf.make_indirect(pdf.pages[0].obj.Resources)
    page = pdf.pages[0].obj
    del page["/Resources"]
    pdf.Root.Pages.Resources = resources
    body = layered(saved(pdf))
    assert words(body) == ["Hidden", "words"]
    assert np.array_equal(pixels(body)[0], pixels(scan(noise(40, 60)))[0])


def test_a_signed_file_is_refused_unless_its_caller_says_otherwise() -> None:
    pdf = pikepdf.open(io.BytesIO(scan(noise(400, 600))))
    signature = pdf.make_indirect(Dictionary(FT=Name.Sig, T=b"s", V=Dictionary(Type=Name.Sig)))
    pdf.Root.AcroForm = Dictionary(SigFlags=3, Fields=Array([signature]))
    body = saved(pdf)
    with pytest.raises(SignedError, match="signed"):
        layered(body)
    assert words(layered(body, break_signatures=True)) == ["Hidden", "words"]


def test_a_file_under_restrictions_is_not_rewritten() -> None:
    with pikepdf.open(io.BytesIO(scan(noise(400, 600)))) as pdf:
        body = saved(pdf, encryption=pikepdf.Encryption(owner="o", user=""))
    with pytest.raises(EncryptedError, match="not rewritten"):
        layered(body)


def test_hidden_text_is_replaced_and_seen_text_stays() -> None:
    content = (
        b"BT /F1 12 Tf 20 20 Td (Seen) Tj ET q 3 Tr"
        b" BT /F1 12 Tf 20 60 Td (old) Tj 0 -14 Td [(lay) 5 (er)] TJ (ish) ' ET Q"
        b" BT /F1 9 Tf 20 90 Td (too) Tj ET"
    )
    body = scan(noise(400, 600), content=content)
    assert sorted(words(layered(body, replaces=True))) == ["Hidden", "Seen", "too", "words"]
    assert np.array_equal(pixels(body)[0], pixels(layered(body, replaces=True))[0])
    assert {"old", "Hidden"} <= set(words(layered(body)))


def test_a_layer_that_was_written_here_can_be_replaced() -> None:
    body = layered(scan(noise(400, 600)))
    assert words(layered(body, replaces=True)) == ["Hidden", "words"]


def test_files_keep_their_form() -> None:
    """PDF/A-1 has neither object streams nor cross-reference streams."""
    pdf = pikepdf.open(io.BytesIO(scan(noise(40, 60))))
    old = saved(pdf, object_stream_mode=pikepdf.ObjectStreamMode.disable, force_version="1.4")
    new = saved(pdf, object_stream_mode=pikepdf.ObjectStreamMode.generate)
    assert b"/ObjStm" not in layered(old)
    assert layered(old).startswith(b"%PDF-1.4")
    assert b"/ObjStm" in layered(new)


def test_the_font_is_embedded_and_its_widths_are_those_stated() -> None:
    """ISO 19005-2, 6.2.11.4 and 6.2.11.5; 6.2.11.3.2 for the map of codes to glyphs."""
    from fontTools.ttLib import TTFont

    pdf = pikepdf.open(io.BytesIO(layered(scan(noise(400, 600)))))
    made = pdf.pages[0].obj.Resources.Font[f"/{layer.FONT}"]
    (descendant,) = made.DescendantFonts
    program = TTFont(io.BytesIO(descendant.FontDescriptor.FontFile2.read_bytes()))
    assert made.BaseFont == descendant.BaseFont == descendant.FontDescriptor.FontName
    assert program["name"].getDebugName(6) == str(made.BaseFont)[1:]
    glyphs = descendant.CIDToGIDMap.read_bytes()
    widths = {32: int(descendant.W[1][0])}
    for code in (ord(c) for c in "Hidden words"):
        glyph = int.from_bytes(glyphs[2 * code : 2 * code + 2], "big")
        assert program["hmtx"][program.getGlyphName(glyph)][0] == widths.get(code, int(descendant.DW))
    assert program["hhea"].ascent == int(descendant.FontDescriptor.Ascent) == font.ASCENT


def test_words_and_characters_beyond_the_plane_have_widths_of_their_own() -> None:
    from fontTools.ttLib import TTFont

    codes = font.Codes()
    code, width = codes.word("slanted", 3.0)
    (astral,) = (codes.characters("\N{GRINNING FACE}")[i : i + 2] for i in (0,))
    first, entries = list(codes.widths())[2:]
    stated = dict(enumerate(map(int, entries), int(first)))
    program = TTFont(font.FILE)
    glyphs = codes.glyphs()
    for key in (code, astral):
        number = int.from_bytes(key, "big")
        glyph = int.from_bytes(glyphs[2 * number : 2 * number + 2], "big")
        assert program["hmtx"][program.getGlyphName(glyph)][0] == stated[number]
    assert stated[int.from_bytes(code, "big")] == width * font.UNITS
    assert abs(width / 3.0 - 1) < 0.021


def test_the_font_is_the_one_that_its_maker_makes() -> None:
    assert make_font() == font.FILE.read_bytes()


@pytest.mark.parametrize("skew", [0.0, 1.0, 5.0])
def test_qpdf_finds_nothing_wrong(skew: float) -> None:
    for body in (make(Layout(skew=skew, letters=True, turn=90)).pdf, layered(rich()), layered(rich(), replaces=True)):
        with pikepdf.open(io.BytesIO(body)) as pdf:
            assert not pdf.check_pdf_syntax()
