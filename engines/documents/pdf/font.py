"""The font of the hidden layer as PDF objects: one code for each character of the document, two glyphs for all.

Codes are UTF-16 code units, so that the font means the same in any document. Characters beyond the Basic Multilingual
Plane take codes of the surrogate range, which no character of the plane has, in the order they come.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream

UNITS = 1000
"""Units of an em, in the font file and, as it happens, in PDF."""
ASCENT = 800
DESCENT = -200
ADVANCE = 500
SPACE_ADVANCE = 250
"""Narrow: the gap between two words is often narrower than a letter."""
FILE = Path(__file__).with_name("hidden.ttf")

_NAME = Name("/CloisterHidden")
_SPACE = 0x20
_ASTRAL = range(0xD800, 0xE000)
_ENTRIES_A_BLOCK = 100
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# Read when the module is loaded, in the zygote: a cell can open nothing.
_FONT_FILE = FILE.read_bytes()
_CID_TO_GID = zlib.compress(b"".join((2 if cid == _SPACE else 1).to_bytes(2, "big") for cid in range(0x10000)), 9)


class Codes:
    """Gives characters their codes, and keeps count of those used."""

    def __init__(self) -> None:
        self._used: set[int] = set()
        self._astral: dict[str, int] = {}

    def encode(self, text: str) -> bytes:
        """Two bytes for each character, for a Tj in the font that `add` makes of these codes."""
        return b"".join(self._code(character).to_bytes(2, "big") for character in text)

    def to_unicode(self) -> bytes:
        """The ToUnicode CMap (Adobe Technical Note 5411): a range a high byte, as ranges must not cross one."""
        rows = sorted({code >> 8 for code in self._used})
        ranges = [f"<{row:02X}00> <{row:02X}FF> <{row:02X}00>" for row in rows]
        singles = [f"<{code:04X}> <{text.encode('utf-16-be').hex().upper()}>" for text, code in self._astral.items()]
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

    def _code(self, character: str) -> int:
        code = ord(character)
        if code > 0xFFFF:
            known = self._astral.get(character)
            if known is not None:
                return known
            if len(self._astral) < len(_ASTRAL):
                code = self._astral[character] = _ASTRAL[len(self._astral)]
                return code
            code = ord(_REPLACEMENT)
        elif code in _ASTRAL:
            code = ord(_REPLACEMENT)
        self._used.add(code)
        return code


def add(pdf: pikepdf.Pdf, codes: Codes) -> pikepdf.Object:
    """Put the font into ``pdf`` as an indirect object: a composite TrueType font, embedded whole."""
    descriptor = Dictionary(
        Type=Name.FontDescriptor,
        FontName=_NAME,
        Flags=1 << 2,  # symbolic: glyphs are not those of a standard Latin set
        FontBBox=Array([0, DESCENT, ADVANCE, ASCENT]),
        ItalicAngle=0,
        Ascent=ASCENT,
        Descent=DESCENT,
        CapHeight=ASCENT,
        StemV=80,
        FontFile2=pdf.make_indirect(_stream(pdf, zlib.compress(_FONT_FILE, 9), Length1=len(_FONT_FILE))),
    )
    descendant = Dictionary(
        Type=Name.Font,
        Subtype=Name.CIDFontType2,
        BaseFont=_NAME,
        CIDSystemInfo=Dictionary(Registry=b"Adobe", Ordering=b"Identity", Supplement=0),
        FontDescriptor=pdf.make_indirect(descriptor),
        DW=ADVANCE,
        W=Array([_SPACE, Array([SPACE_ADVANCE])]),
        CIDToGIDMap=pdf.make_indirect(_stream(pdf, _CID_TO_GID)),
    )
    return pdf.make_indirect(
        Dictionary(
            Type=Name.Font,
            Subtype=Name.Type0,
            BaseFont=_NAME,
            Encoding=Name("/Identity-H"),
            DescendantFonts=Array([pdf.make_indirect(descendant)]),
            ToUnicode=pdf.make_indirect(_stream(pdf, zlib.compress(codes.to_unicode(), 9))),
        )
    )


def _stream(pdf: pikepdf.Pdf, compressed: bytes, **entries: int) -> Stream:
    return Stream(pdf, compressed, Filter=Name.FlateDecode, **entries)


def _blocks(operator: str, entries: list[str]) -> list[str]:
    """The entries between begin and end operators, a hundred at most in each, as the format asks."""
    lines: list[str] = []
    for start in range(0, len(entries), _ENTRIES_A_BLOCK):
        block = entries[start : start + _ENTRIES_A_BLOCK]
        lines += [f"{len(block)} begin{operator}", *block, f"end{operator}"]
    return lines
