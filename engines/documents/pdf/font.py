"""The font of the hidden layer as PDF objects: codes for the document's characters and words, boxes for glyphs.

Codes of characters are UTF-16 code units, so that most of the font means the same in any document. The codes that no
such character has are dealt out as they are needed: to characters beyond the Basic Multilingual Plane, and to whole
words, which slanted lines want (see `layer`).
"""

from __future__ import annotations

import codecs
import math
import zlib
from pathlib import Path

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream

UNITS = 1000
"""Units of an em, in the font file and, as it happens, in PDF."""
ASCENT = 800
DESCENT = -200
ADVANCE = 500
"""Of a character."""
SPACE_ADVANCE = 250
"""Narrow: the gap between two words is often narrower than a letter."""
WIDTHS = tuple(round(150 * 1.04**step) for step in range(136))
"""Of the glyphs for whole words, 0.15 to 30 em: any width lies within 2 % of one."""
FILE = Path(__file__).with_name("hidden.ttf")

BOX_GLYPH = 1
SPACE_GLYPH = 2
FIRST_WIDTH_GLYPH = 3

_NAME = Name("/CloisterHidden")
_SPACE = 0x20
_DEALT = range(0xD800, 0xF900)
"""Surrogates and the private use area."""
_ENTRIES_A_BLOCK = 100

# Read when the module is loaded, in the zygote: a cell can open nothing, a codec's module included.
_FONT_FILE = FILE.read_bytes()
_UTF_16 = codecs.lookup("utf-16-be")


class Codes:
    """Deals out codes, and keeps count of those used."""

    def __init__(self) -> None:
        self._used: set[int] = set()
        self._dealt: dict[tuple[str, int], int] = {}

    @property
    def free(self) -> int:
        """How many more words, or characters without a code of their own, can have one."""
        return len(_DEALT) - len(self._dealt)

    def characters(self, text: str) -> bytes:
        """A code for each character, for a Tj: `ADVANCE` wide each, a space `SPACE_ADVANCE`."""
        return b"".join(self._character(character).to_bytes(2, "big") for character in text)

    def word(self, text: str, width: float) -> tuple[bytes, float]:
        """One code for a whole word about ``width`` em wide, and how wide it is: one of `WIDTHS`, in em."""
        step = round(math.log(max(width, 1e-3) * UNITS / WIDTHS[0]) / math.log(1.04))
        index = min(max(step, 0), len(WIDTHS) - 1)
        code = self._deal(text, FIRST_WIDTH_GLYPH + index)
        return code.to_bytes(2, "big"), WIDTHS[index] / UNITS

    def _character(self, character: str) -> int:
        code = ord(character)
        if code > 0xFFFF or code in _DEALT:
            return self._deal(character, BOX_GLYPH)
        self._used.add(code)
        return code

    def _deal(self, text: str, glyph: int) -> int:
        key = (text, glyph)
        if key not in self._dealt:
            if not self.free:
                raise OverflowError(f"no more than {len(_DEALT)} words can have codes of their own in one font")
            self._dealt[key] = _DEALT[len(self._dealt)]
        return self._dealt[key]

    def to_unicode(self) -> bytes:
        """The ToUnicode CMap (Adobe Technical Note 5411): a range a high byte, as ranges must not cross one."""
        rows = sorted({code >> 8 for code in self._used})
        ranges = [f"<{row:02X}00> <{row:02X}FF> <{row:02X}00>" for row in rows]
        singles = [
            f"<{code:04X}> <{_UTF_16.encode(text, 'replace')[0].hex().upper()}>"
            for (text, _), code in self._dealt.items()
        ]
        return "\n".join(
            (
                "/CIDInit /ProcSet findresource begin",
                "12 dict begin",
                "begincmap",
                "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def",
                "/CMapName /Adobe-Identity-UCS def",
                "/CMapType 2 def",
                "1 begincodespacerange",
                "<0000> <FFFF>",
                "endcodespacerange",
                *_blocks("bfrange", ranges),
                *_blocks("bfchar", singles),
                "endcmap",
                "CMapName currentdict /CMap defineresource pop",
                "end",
                "end",
                "",
            )
        ).encode()

    def glyphs(self) -> bytes:
        """The CIDToGIDMap: two bytes for each code."""
        glyphs = bytearray(BOX_GLYPH.to_bytes(2, "big") * 0x10000)
        for code, glyph in ((_SPACE, SPACE_GLYPH), *((code, glyph) for (_, glyph), code in self._dealt.items())):
            glyphs[2 * code : 2 * code + 2] = glyph.to_bytes(2, "big")
        return bytes(glyphs)

    def widths(self) -> Array:
        """The W array: what is not `ADVANCE` wide."""
        entries: list[object] = [_SPACE, Array([SPACE_ADVANCE])]
        dealt = [ADVANCE if glyph == BOX_GLYPH else WIDTHS[glyph - FIRST_WIDTH_GLYPH] for _, glyph in self._dealt]
        if dealt:
            entries += [_DEALT[0], Array(dealt)]
        return Array(entries)


def embed(pdf: pikepdf.Pdf) -> pikepdf.Object:
    """Put the font file into ``pdf``: the font descriptor that all fonts made by `add` share."""
    return pdf.make_indirect(
        Dictionary(
            Type=Name.FontDescriptor,
            FontName=_NAME,
            Flags=1 << 2,  # symbolic: glyphs are not those of a standard Latin set
            FontBBox=Array([0, DESCENT, WIDTHS[-1], ASCENT]),
            ItalicAngle=0,
            Ascent=ASCENT,
            Descent=DESCENT,
            CapHeight=ASCENT,
            StemV=80,
            FontFile2=_stream(pdf, _FONT_FILE, Length1=len(_FONT_FILE)),
        )
    )


def add(pdf: pikepdf.Pdf, codes: Codes, descriptor: pikepdf.Object) -> pikepdf.Object:
    """Put a font with these codes into ``pdf``: composite TrueType."""
    descendant = Dictionary(
        Type=Name.Font,
        Subtype=Name.CIDFontType2,
        BaseFont=_NAME,
        CIDSystemInfo=Dictionary(Registry=b"Adobe", Ordering=b"Identity", Supplement=0),
        FontDescriptor=descriptor,
        DW=ADVANCE,
        W=codes.widths(),
        CIDToGIDMap=_stream(pdf, codes.glyphs()),
    )
    return pdf.make_indirect(
        Dictionary(
            Type=Name.Font,
            Subtype=Name.Type0,
            BaseFont=_NAME,
            Encoding=Name("/Identity-H"),
            DescendantFonts=Array([pdf.make_indirect(descendant)]),
            ToUnicode=_stream(pdf, codes.to_unicode()),
        )
    )


def _stream(pdf: pikepdf.Pdf, content: bytes, **entries: int) -> pikepdf.Object:
    return pdf.make_indirect(Stream(pdf, zlib.compress(content, 9), Filter=Name.FlateDecode, **entries))


def _blocks(operator: str, entries: list[str]) -> list[str]:
    """The entries between begin and end operators, a hundred at most in each, as the format asks."""
    lines: list[str] = []
    for start in range(0, len(entries), _ENTRIES_A_BLOCK):
        block = entries[start : start + _ENTRIES_A_BLOCK]
        lines += [f"{len(block)} begin{operator}", *block, f"end{operator}"]
    return lines
