"""The pages of a PDF as pixels, at the resolution of the scan they hold."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pikepdf

from engines.api import Page, Pixels
from engines.documents.decode import ALL, Limits, Share
from engines.documents.errors import DamagedError, EncryptedError, TooManyPagesError, TooManyPixelsError
from engines.documents.pdf.matrix import Matrix
from engines.documents.pdf.pdfium import Box, Document, OpenPage, PlacedImage

DRAWN_DPI = 300
"""Resolution for pages that are not scans: print this size is read best."""
_LEAST_DPI = 72
"""Drawn pages too large for the limit are rendered smaller, down to this."""
_POINTS = 72
_SCAN_SHARE = 0.5
"""A page is a scan from this share of its area under images."""
_IMAGE_SHARE = 0.02
"""Images smaller than this share of the page say nothing about its resolution."""
_SQUARE = 1.1
"""Pixels further from square than this (old faxes) are made square, or letters would be squeezed."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page that may be read.

    ``width`` and ``height`` are the px of the page as it is shown, ``to_user`` takes these to the page's user space,
    ``dpi`` is their density. ``text`` is what the page holds already, hidden or not.
    """

    number: int
    width: int
    height: int
    dpi: float
    to_user: Matrix
    text: str
    _page: OpenPage

    def seen_text(self) -> tuple[Box, ...]:
        """Boxes in user space of the page's text that is not hidden."""
        return tuple(self._page.seen_text())

    def page(self) -> Page:
        """Render it."""
        pixels: Pixels = self._page.render(self.width, self.height)
        return Page(pixels=pixels, number=self.number, dpi=self.dpi)


def count(body: bytes, limits: Limits) -> int:
    """How many pages the PDF has. Raises what `sheets` does before its first page, but for what only pikepdf sees."""
    document = Document(body)
    try:
        return _count(document, limits)
    finally:
        document.close()


def sheets(body: bytes, limits: Limits, share: Share = ALL) -> Iterator[Sheet]:
    """The pages of a PDF in order, those of ``share``; each may be used until the next is asked for.

    Raises `EncryptedError` where it wants a password, `DamagedError`, `TooManyPagesError` before the first page, and
    `TooManyPixelsError` at a page, before it or an image of it is decoded.
    """
    document = Document(body)
    try:
        pages = _count(document, limits)
        units = _user_units(body, pages)
        for number in share.of(pages):
            page = document.page(number)
            try:
                yield _sheet(page, number, units[number - 1], limits)
            finally:
                page.close()
    finally:
        document.close()


def _count(document: Document, limits: Limits) -> int:
    pages = document.page_count
    if pages > limits.pages:
        raise TooManyPagesError(
            f"the document has more than {limits.pages} pages; send it in parts", limit=limits.pages, format="PDF"
        )
    if not pages:
        raise _damaged()
    return pages


def _user_units(body: bytes, count: int) -> list[float]:
    """Each page's UserUnit, 1/72 inch, which PDFium does not know of."""
    try:
        with pikepdf.open(io.BytesIO(body)) as pdf:
            units = [_positive(page.obj.get("/UserUnit", 1)) for page in pdf.pages]
    except pikepdf.PasswordError as error:
        raise EncryptedError("the PDF wants a password; take the password off and send it again") from error
    except (pikepdf.PdfError, ValueError, TypeError) as error:
        raise _damaged() from error
    if len(units) != count or not units:
        raise _damaged()
    return units


def _positive(value: object) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 1.0
    return number if math.isfinite(number) and number > 0 else 1.0


def _sheet(page: OpenPage, number: int, unit: float, limits: Limits) -> Sheet:
    width, height = page.size
    if not (width > 0 and height > 0 and math.isfinite(width * height)):
        raise DamagedError(f"page {number} states a size of {width} x {height} points", page=number)
    images = list(page.images())
    for image in images:
        _check(image.width, image.height, number, limits)
    scale = _scan_scale(images, (width, height), page.turn)
    if scale is None:
        drawn = DRAWN_DPI / _POINTS * unit
        fitting = math.sqrt(limits.pixels / (width * height)) * 0.999
        drawn = max(min(drawn, fitting), _LEAST_DPI / _POINTS * unit)
        scale = (drawn, drawn)
    across, down = max(1, round(width * scale[0])), max(1, round(height * scale[1]))
    _check(across, down, number, limits)
    return Sheet(
        number=number,
        width=across,
        height=down,
        dpi=across / width * _POINTS / unit,
        to_user=page.to_user(across, down),
        text=_clean(page.text()),
        _page=page,
    )


def _scan_scale(images: Sequence[PlacedImage], size: tuple[float, float], turn: int) -> tuple[float, float] | None:
    """Px a unit across and down the shown page in its finest image of note; None where the page is not a scan."""
    area = size[0] * size[1]
    covered = 0.0
    finest: tuple[float, float] | None = None
    for image in images:
        place = image.place
        share = min(abs(place.a * place.d - place.b * place.c) / area, 1.0)
        covered += share
        if share < _IMAGE_SHARE:
            continue
        along = image.width / math.hypot(place.a, place.b)
        against = image.height / math.hypot(place.c, place.d)
        lies = abs(place.b) > abs(place.a)
        if lies != (turn % 180 == 90):
            along, against = against, along
        if max(along, against) > _SQUARE * min(along, against):
            along = against = max(along, against)
        if finest is None or along > finest[0]:
            finest = along, against
    return finest if covered >= _SCAN_SHARE else None


def _clean(text: str) -> str:
    """Text of a page, a line a line, without control characters; empty where it is blank."""
    lines = ("".join(c if c.isprintable() else " " for c in line).strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _check(width: int, height: int, number: int, limits: Limits) -> None:
    if width * height > limits.pixels:
        raise TooManyPixelsError(
            f"page {number} has {width} x {height} px, more than the {limits.pixels} px that are read; send it smaller",
            page=number,
            width=width,
            height=height,
            limit=limits.pixels,
        )


def _damaged() -> DamagedError:
    return DamagedError("the PDF is damaged or cut short; open it in a viewer and save it anew", format="PDF")
