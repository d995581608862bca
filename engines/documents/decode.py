"""Files to pages of pixels, by Pillow, one page at a time.

Runs in a cell on hostile bytes: sizes are checked from the header before a page is decoded, and nothing is imported,
opened or printed.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from engines.api import Page, Pixels
from engines.documents.errors import (
    DamagedError,
    NotAnImageError,
    TooManyPagesError,
    TooManyPixelsError,
    UnsupportedError,
)
from engines.documents.formats import Format, describe_other, detect, webp_size

PLUGINS = (BmpImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin)
"""Imported here, because a cell can't import what Pillow would otherwise load on first use."""

# What Pillow's parsers, written for honest files, raise on hostile ones.
_PARSER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    ArithmeticError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    RuntimeError,
    struct.error,
    Image.DecompressionBombError,
)
_ORIENTATION = 0x0112
_MAX_DPI = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """``pixels`` a page and ``pages`` a document that are read at most."""

    pixels: int
    pages: int


@dataclass(frozen=True, slots=True)
class Share:
    """Every ``of_so_many``-th page, the first of them the page ``number`` + 1."""

    number: int = 0
    of_so_many: int = 1

    def of(self, count: int) -> range:
        """Page numbers, from 1, of a document of ``count`` pages."""
        return range(self.number + 1, count + 1, self.of_so_many)


ALL = Share()


@dataclass(frozen=True, slots=True)
class Decoded:
    """A page and the EXIF orientation (1 to 8) that was honoured in it.

    ``image`` is the page as the file has it, loaded; Pillow reuses it for the next page.
    """

    page: Page
    exif_orientation: int
    image: Image.Image


def count(body: bytes, limits: Limits) -> int:
    """How many pages the file has. Raises what `pages` does before its first page."""
    return _count(_open(body, limits), limits)


def pages(body: bytes, limits: Limits, share: Share = ALL) -> Iterator[Decoded]:
    """Decode the pages of a PNG, JPEG, TIFF, WebP or BMP file in order, those of ``share``.

    Raises a `engines.documents.errors.DocumentError` at the first page that can't be read. That a document has too
    many pages is found before its first page is decoded.
    """
    image = _open(body, limits)
    for number in share.of(_count(image, limits)):
        try:
            image.seek(number - 1)
        except _PARSER_ERRORS as error:
            raise _damaged(image.format, number) from error
        _check_pixels(image.size, limits, number)
        yield _decode(image, number)


def _open(body: bytes, limits: Limits) -> Image.Image:
    format_ = detect(body)
    if format_ is None:
        other = describe_other(body)
        if other is not None:
            raise UnsupportedError(f"the document is {other}; send PNG, JPEG, TIFF, WebP, BMP or PDF", seems=other)
        raise NotAnImageError("the document is not an image; send PNG, JPEG, TIFF, WebP, BMP or PDF")
    if format_ is Format.WEBP:
        size = webp_size(body)
        if size is None:
            raise _damaged(format_, 1)
        _check_pixels(size, limits, 1)
    # Our own limit holds; Pillow's would be a second one, and would warn.
    Image.MAX_IMAGE_PIXELS = None
    try:
        return Image.open(io.BytesIO(body), formats=(format_,))
    except _PARSER_ERRORS as error:
        raise _damaged(format_, 1) from error


def _count(image: Image.Image, limits: Limits) -> int:
    """Count pages by walking a TIFF's directories, never past the limit; other formats' first frame is their page."""
    if image.format != Format.TIFF:
        return 1
    count = 1
    while count <= limits.pages:
        try:
            image.seek(count)
        except EOFError:
            return count
        except _PARSER_ERRORS as error:
            raise _damaged(image.format, count + 1) from error
        count += 1
    raise TooManyPagesError(
        f"the document has more than {limits.pages} pages; send it in parts", limit=limits.pages, format=image.format
    )


def _check_pixels(size: tuple[int, int], limits: Limits, number: int) -> None:
    width, height = size
    if width <= 0 or height <= 0:
        raise DamagedError(f"page {number} states a size of {width} x {height} px", page=number)
    if width * height > limits.pixels:
        raise TooManyPixelsError(
            f"page {number} has {width} x {height} px, more than the {limits.pixels} px that are read; send it smaller",
            page=number,
            width=width,
            height=height,
            limit=limits.pixels,
        )


def _decode(image: Image.Image, number: int) -> Decoded:
    try:
        # Asked before loading: Pillow turns a TIFF by its tag while it loads, and forgets the tag.
        orientation = _orientation(image)
        image.load()
        pixels = _to_rgb(image)
        if image.format != Format.TIFF:
            pixels = _turned(pixels, orientation)
        dpi = _dpi(image)
    except _PARSER_ERRORS as error:
        raise _damaged(image.format, number) from error
    return Decoded(Page(pixels=pixels, number=number, dpi=dpi), orientation, image)


def _orientation(image: Image.Image) -> int:
    value = image.getexif().get(_ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _turned(pixels: Pixels, orientation: int) -> Pixels:
    """Undo an EXIF orientation (CIPA DC-008, 4.6.5): ``orientation`` says where the stored row 0 and column 0 lie."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels if pixels.strides[2] == 0 else np.ascontiguousarray(pixels)


def _to_rgb(image: Image.Image) -> Pixels:
    """Uint8 (height, width, 3). A grey image becomes a view whose three channels are the same memory."""
    image = flat(image)
    return _grey(np.asarray(image)) if image.mode == "L" else np.asarray(image)


def flat(image: Image.Image) -> Image.Image:
    """The image in grey or RGB, eight bits a sample, as it looks on white paper."""
    mode = image.mode
    if mode in ("1", "L") and "transparency" not in image.info:
        return image.convert("L")
    if mode in ("I", "F") or mode.startswith("I;16"):
        return Image.fromarray(_stretched(np.asarray(image)))
    if mode in ("P", "PA", "LA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode == "RGBA":
        # What is transparent is paper.
        paper = Image.new("RGB", image.size, (255, 255, 255))
        paper.paste(image, mask=image.getchannel("A"))
        return paper
    return image if image.mode == "RGB" else image.convert("RGB")


def _grey(values: Pixels) -> Pixels:
    return np.broadcast_to(values[:, :, None], (*values.shape, 3))


def _stretched(values: NDArray[np.generic]) -> Pixels:
    """Sixteen bits and more to eight, over the range that the page uses."""
    numbers = np.nan_to_num(values.astype(np.float64))
    low, high = float(numbers.min()), float(numbers.max())
    if high <= low:
        return np.full(numbers.shape, 255, np.uint8)
    return np.asarray((numbers - low) * (255.0 / (high - low)), np.uint8)


def _dpi(image: Image.Image) -> float | None:
    stated = image.info.get("dpi")
    if not isinstance(stated, tuple) or not stated:
        return None
    dpi = float(stated[0])
    return dpi if 1 < dpi < _MAX_DPI else None


def _damaged(format_: str | None, number: int) -> DamagedError:
    return DamagedError(
        f"page {number} of the {format_} is damaged or cut short; open it in a viewer and save it anew",
        page=number,
        format=format_,
    )
