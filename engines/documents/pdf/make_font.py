"""Makes ``hidden.ttf``, the font of the hidden text layer: ``python -m engines.documents.pdf.make_font``.

Every glyph is the outline of a box as wide as its advance and as high as the line: one for every character, a narrower
one for the space, and one for each width that whole words come in. PDFium drops objects without an outline, so an
empty glyph would lose words of one character; a filled box would hide the page where a viewer ignores the render mode.
The file is the same, byte for byte, every time.
"""

from __future__ import annotations

import io
from pathlib import Path

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib.tables._g_l_y_f import Glyph

from engines.documents.pdf.font import ADVANCE, ASCENT, DESCENT, FILE, SPACE_ADVANCE, UNITS, WIDTHS

FAMILY = "Cloister Hidden"
POSTSCRIPT_NAME = "CloisterHidden"
_STROKE = 20
# Seconds from 1904 to 1 January 2026: a date of making that does not change.
_MADE = 3_850_070_400


def make() -> bytes:
    """The font file."""
    builder = FontBuilder(UNITS, isTTF=True)
    builder.font["head"].created = builder.font["head"].modified = _MADE
    builder.font.recalcTimestamp = False
    # In the order of font.BOX_GLYPH, SPACE_GLYPH, FIRST_WIDTH_GLYPH.
    advances = {".notdef": ADVANCE, "box": ADVANCE, "space": SPACE_ADVANCE}
    advances |= {f"word{width}": width for width in WIDTHS}
    builder.setupGlyphOrder(list(advances))
    builder.setupCharacterMap({0x20: "space", 0x25A1: "box"})
    builder.setupGlyf({glyph: _box(advance) for glyph, advance in advances.items()})
    builder.setupHorizontalMetrics({glyph: (advance, 0) for glyph, advance in advances.items()})
    builder.setupHorizontalHeader(ascent=ASCENT, descent=DESCENT)
    builder.setupNameTable(
        {
            "copyright": "Copyright 2026 the Cloister authors; Apache-2.0",
            "familyName": FAMILY,
            "styleName": "Regular",
            "uniqueFontIdentifier": f"{POSTSCRIPT_NAME} 1.000",
            "fullName": f"{FAMILY} Regular",
            "version": "Version 1.000",
            "psName": POSTSCRIPT_NAME,
            "licenseDescription": "Apache License, Version 2.0",
        }
    )
    builder.setupOS2(
        sTypoAscender=ASCENT,
        sTypoDescender=DESCENT,
        sTypoLineGap=0,
        usWinAscent=ASCENT,
        usWinDescent=-DESCENT,
        xAvgCharWidth=ADVANCE,
        sxHeight=UNITS // 2,
        sCapHeight=ASCENT,
        fsType=0,
    )
    builder.setupPost(isFixedPitch=0)
    buffer = io.BytesIO()
    builder.save(buffer)
    return buffer.getvalue()


def _box(advance: int) -> Glyph:
    """A frame of `_STROKE` units: the outer contour clockwise, the inner one against it."""
    pen = TTGlyphPen(None)
    left, bottom, right, top = 0, DESCENT, advance, ASCENT
    inner = (left + _STROKE, bottom + _STROKE, right - _STROKE, top - _STROKE)
    for corners in (
        ((left, bottom), (left, top), (right, top), (right, bottom)),
        ((inner[0], inner[1]), (inner[2], inner[1]), (inner[2], inner[3]), (inner[0], inner[3])),
    ):
        pen.moveTo(corners[0])
        for corner in corners[1:]:
            pen.lineTo(corner)
        pen.closePath()
    return pen.glyph()


def main() -> None:
    """Write the font beside this module."""
    Path(FILE).write_bytes(make())


if __name__ == "__main__":
    main()
