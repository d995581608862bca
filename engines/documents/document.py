"""A document of any format: its pages one by one, and the PDF that is made of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from engines.api import Line, Page, PageText, Point, Quad
from engines.documents import decode
from engines.documents.decode import ALL, Limits, Share
from engines.documents.formats import is_pdf
from engines.documents.pdf import images, reading, writing
from engines.documents.pdf.matrix import Matrix
from engines.documents.pdf.pdfium import Box


class Existing(Enum):
    """What becomes of pages of a PDF that hold text already."""

    SKIP = "skip"
    REDO = "redo"
    ADD = "add"


@dataclass(frozen=True, slots=True)
class PdfOptions:
    """Whether a PDF is to be made of the document, and what may be done with one that was sent."""

    write: bool = False
    existing: Existing = Existing.SKIP
    break_signatures: bool = False


@dataclass(frozen=True, slots=True)
class Leaf:
    """One page of a document. ``page`` is to be read; it is None where the page keeps the ``text`` that it holds."""

    number: int
    width: int
    height: int
    dpi: float | None
    exif_orientation: int
    page: Page | None
    text: str = ""


class Document(Protocol):
    """A document that is being read."""

    def count(self) -> int:
        """How many pages there are. Raises a `engines.documents.errors.DocumentError`."""

    def leaves(self, share: Share = ALL) -> Iterator[Leaf]:
        """The pages in order, those of ``share``. Raises a `DocumentError` at one that can't be read."""

    def survey(self) -> None:
        """Find out where the text of each page goes, in place of going through all `leaves`, if others read them."""

    def pdf(self, texts: Mapping[int, PageText]) -> bytes:
        """The PDF with what was read, by page number; to be called after the last leaf, or after `survey`."""


def open_document(body: bytes, limits: Limits, options: PdfOptions) -> Document:
    """Take up a document. Raises a `engines.documents.errors.DocumentError` where its format is not known."""
    return _Pdf(body, limits, options) if is_pdf(body) else _Images(body, limits, options)


class _Images:
    def __init__(self, body: bytes, limits: Limits, options: PdfOptions) -> None:
        self._body = body
        self._limits = limits
        self._pdf = images.ImagePdf(body) if options.write else None
        self._maps: dict[int, Matrix] = {}

    def count(self) -> int:
        return decode.count(self._body, self._limits)

    def leaves(self, share: Share = ALL) -> Iterator[Leaf]:
        for decoded in decode.pages(self._body, self._limits, share):
            page = decoded.page
            if self._pdf is not None:
                self._maps[page.number] = self._pdf.add(decoded)
            height, width = page.pixels.shape[:2]
            yield Leaf(page.number, width, height, page.dpi, decoded.exif_orientation, page)

    def survey(self) -> None:
        for _ in self.leaves():
            pass

    def pdf(self, texts: Mapping[int, PageText]) -> bytes:
        assert self._pdf is not None, "a PDF was asked for"
        layers = [writing.Layer(number, text.lines, self._maps[number]) for number, text in texts.items()]
        return self._pdf.finish(layers)


class _Pdf:
    def __init__(self, body: bytes, limits: Limits, options: PdfOptions) -> None:
        self._body = body
        self._limits = limits
        self._options = options
        self._maps: dict[int, Matrix] = {}
        self._seen: dict[int, tuple[Box, ...]] = {}

    def count(self) -> int:
        if self._options.write:
            # Before all the work, not after it.
            writing.check(self._body, break_signatures=self._options.break_signatures)
        return reading.count(self._body, self._limits)

    def leaves(self, share: Share = ALL) -> Iterator[Leaf]:
        for sheet in reading.sheets(self._body, self._limits, share):
            keeps = self._note(sheet)
            page = None if keeps else sheet.page()
            yield Leaf(sheet.number, sheet.width, sheet.height, sheet.dpi, 1, page, sheet.text if keeps else "")

    def survey(self) -> None:
        for sheet in reading.sheets(self._body, self._limits):
            self._note(sheet)

    def _note(self, sheet: reading.Sheet) -> bool:
        """Keep what writing will need of a sheet; whether it keeps the text that it has."""
        keeps = self._options.existing is Existing.SKIP and bool(sheet.text)
        if not keeps:
            self._maps[sheet.number] = sheet.to_user
            if self._options.existing is Existing.REDO:
                self._seen[sheet.number] = sheet.seen_text()
        return keeps

    def pdf(self, texts: Mapping[int, PageText]) -> bytes:
        redo = self._options.existing is Existing.REDO
        layers = [
            writing.Layer(
                number,
                tuple(_without(line, self._maps[number], self._seen.get(number, ())) for line in text.lines),
                self._maps[number],
                replaces=redo,
            )
            for number, text in texts.items()
        ]
        return writing.with_layers(self._body, layers, break_signatures=self._options.break_signatures)


def _without(line: Line, to_user: Matrix, seen: tuple[Box, ...]) -> Line:
    """The line without words that stand on the page as text already."""
    words = tuple(word for word in line.words if not _covered(to_user.map(_middle(word.quad)), seen))
    return line if len(words) == len(line.words) else Line(words, line.quad)


def _middle(quad: Quad) -> Point:
    corners = (quad.top_left, quad.top_right, quad.bottom_right, quad.bottom_left)
    return sum(x for x, _ in corners) / 4, sum(y for _, y in corners) / 4


def _covered(point: Point, boxes: tuple[Box, ...]) -> bool:
    return any(box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3] for box in boxes)
