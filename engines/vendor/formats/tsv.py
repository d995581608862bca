"""Tesseract's TSV: a row for each page, block, paragraph, line and word, told apart by ``level``."""

from __future__ import annotations

from itertools import groupby

from engines.boxes import Box, BoxedWord
from engines.errors import ProgramError
from engines.vendor.formats.recognised import Recognised, number, size

_COLUMNS = (
    "level", "page_num", "block_num", "par_num", "line_num", "word_num", "left", "top", "width", "height", "conf",
    "text",
)  # fmt: skip
_PAGE, _WORD = "1", "5"
_SURE = 100


def read(data: bytes) -> Recognised:
    """The first page of a file. Raises `ProgramError`."""
    try:
        header, *rows = data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise ProgramError("the program's TSV is not UTF-8") from None
    if tuple(header.rstrip("\r").split("\t")) != _COLUMNS:
        raise ProgramError("the program's TSV does not begin with Tesseract's header")
    cells = [_row(row) for row in rows if row.strip()]
    page = next((row for row in cells if row["level"] == _PAGE), None)
    words = [row for row in cells if row["level"] == _WORD and (page is None or row["page_num"] == page["page_num"])]
    return Recognised(
        lines=tuple(
            tuple(map(_word, line))
            for _, line in groupby(words, key=lambda row: (row["block_num"], row["par_num"], row["line_num"]))
        ),
        width=None if page is None else size(page["width"], "page width"),
        height=None if page is None else size(page["height"], "page height"),
    )


def _row(text: str) -> dict[str, str]:
    values = text.rstrip("\r").split("\t")
    # The text of rows above words is empty, and some writers leave its tab out.
    values += [""] * (len(_COLUMNS) - 1 == len(values))
    if len(values) != len(_COLUMNS):
        raise ProgramError(f"the program's TSV has a row of {len(values)} cells, not {len(_COLUMNS)}")
    return dict(zip(_COLUMNS, values, strict=True))


def _word(row: dict[str, str]) -> BoxedWord:
    left, top, width, height = (number(row[side], side) for side in ("left", "top", "width", "height"))
    confidence = number(row["conf"], "conf")
    box = Box(left, top, left + width, top + height)
    return BoxedWord(row["text"], confidence / _SURE if confidence >= 0 else None, box)
