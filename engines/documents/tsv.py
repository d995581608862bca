"""What was read, as Tesseract's TSV: twelve columns, a row for each page, block, paragraph, line and word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cloister.v1 import ocr_pb2
from engines.documents.upright import Box

_COLUMNS = (
    "level",
    "page_num",
    "block_num",
    "par_num",
    "line_num",
    "word_num",
    "left",
    "top",
    "width",
    "height",
    "conf",
    "text",
)
# Tesseract gives this confidence to everything that is not a word.
_NO_CONFIDENCE = "-1"


def render(pages: Iterable[ocr_pb2.Page]) -> str:
    """The whole file. Words must hold no tab and no line break, as the API promises of them."""
    return "".join("\t".join(row) + "\n" for row in _rows(pages))


def _rows(pages: Iterable[ocr_pb2.Page]) -> Iterator[tuple[str, ...]]:
    """Header and rows as ``tesseract ... tsv`` writes them. A page's lines are one paragraph of one block."""
    yield _COLUMNS
    for page in pages:
        yield _row(1, page.number, (0, 0, 0, 0), Box(0, 0, page.width, page.height))
        if not page.lines:
            continue
        text = Box.around((line.quad for line in page.lines), page)
        yield _row(2, page.number, (1, 0, 0, 0), text)
        yield _row(3, page.number, (1, 1, 0, 0), text)
        for i, line in enumerate(page.lines, 1):
            yield _row(4, page.number, (1, 1, i, 0), Box.around([line.quad], page))
            for j, word in enumerate(line.words, 1):
                yield _row(
                    5,
                    page.number,
                    (1, 1, i, j),
                    Box.around([word.quad], page),
                    (f"{100 * word.confidence:.2f}", word.text),
                )


def _row(
    level: int,
    page: int,
    place: tuple[int, int, int, int],
    box: Box,
    word: tuple[str, str] = (_NO_CONFIDENCE, ""),
) -> tuple[str, ...]:
    return (*map(str, (level, page, *place, box.left, box.top, box.width, box.height)), *word)
