"""The part of PDFium's C interface that is used here, with Python's types and errors.

The raw bindings, not their Python helpers: importing those starts PDFium with the system's font folders, which it
opens when a page wants a font that it does not bring; a cell can open nothing. Started as below it takes its own.

https://pdfium.googlesource.com/pdfium/+/refs/heads/main/public/
"""

from __future__ import annotations

import codecs
import ctypes
import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pypdfium2_raw as raw

from engines.api import Pixels
from engines.documents.errors import DamagedError, EncryptedError
from engines.documents.pdf.matrix import Matrix

Box: TypeAlias = tuple[float, float, float, float]
"""Left, bottom, right, top in user space."""

# Looked up when the module is loaded, in the zygote: a cell can't open the codec's module.
_UTF_16 = codecs.lookup("utf-16-le")
_MAX_DEPTH = 8
_MAX_OBJECTS = 50_000
"""Of the objects of a page, so many are looked at to find its images and its text."""


@dataclass(frozen=True, slots=True)
class PlacedImage:
    """An image of a page: its size in px, and the map from the unit square to user space that places it."""

    width: int
    height: int
    place: Matrix


class Document:
    """An open PDF. ``body`` is read where it lies."""

    def __init__(self, body: bytes) -> None:
        """Open a file. Raises `EncryptedError` where it wants a password, `DamagedError` where it can't be read."""
        _start()
        self._body = body
        self._handle = raw.FPDF_LoadMemDocument64(body, len(body), None)
        if not self._handle:
            if raw.FPDF_GetLastError() in (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY):
                raise EncryptedError("the PDF wants a password; take the password off and send it again")
            raise DamagedError("the PDF is damaged or cut short; open it in a viewer and save it anew", format="PDF")

    def close(self) -> None:
        """Give its memory back. No page may be used after this."""
        raw.FPDF_CloseDocument(self._handle)

    @property
    def page_count(self) -> int:
        """As the file states it."""
        return int(raw.FPDF_GetPageCount(self._handle))

    def page(self, number: int) -> OpenPage:
        """Read the contents of a page, which counts from 1. Raises `DamagedError`."""
        handle = raw.FPDF_LoadPage(self._handle, number - 1)
        if not handle:
            raise DamagedError(f"page {number} of the PDF is damaged", page=number, format="PDF")
        return OpenPage(handle)


class OpenPage:
    """A page of a `Document`."""

    def __init__(self, handle: object) -> None:
        self._handle = handle

    def close(self) -> None:
        """Give its memory back."""
        raw.FPDF_ClosePage(self._handle)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height as shown (cropped and turned), in units of user space."""
        return float(raw.FPDF_GetPageWidthF(self._handle)), float(raw.FPDF_GetPageHeightF(self._handle))

    @property
    def turn(self) -> int:
        """Degrees clockwise that the page is turned by to be shown: 0, 90, 180 or 270."""
        return int(raw.FPDFPage_GetRotation(self._handle)) % 4 * 90

    def to_user(self, width: int, height: int) -> Matrix:
        """From px of the shown page, ``width`` x ``height`` of them with y down, to user space."""

        def at(x: int, y: int) -> tuple[float, float]:
            user_x, user_y = ctypes.c_double(), ctypes.c_double()
            raw.FPDF_DeviceToPage(self._handle, 0, 0, width, height, 0, x, y, user_x, user_y)
            return user_x.value, user_y.value

        origin, right, down = at(0, 0), at(width, 0), at(0, height)
        return Matrix(
            (right[0] - origin[0]) / width,
            (right[1] - origin[1]) / width,
            (down[0] - origin[0]) / height,
            (down[1] - origin[1]) / height,
            *origin,
        )

    def render(self, width: int, height: int) -> Pixels:
        """Draw the page on white as ``width`` x ``height`` px: uint8 (height, width, 3), RGB, without annotations.

        A page without colour becomes a view whose three channels are the same memory. An image that fills the page and
        has just this size comes out as it is, pixel for pixel.
        """
        pixels = np.full((height, width, 4), 255, np.uint8)
        bitmap = raw.FPDFBitmap_CreateEx(
            width, height, raw.FPDFBitmap_BGRx, pixels.ctypes.data_as(ctypes.c_void_p), width * 4
        )
        if not bitmap:
            raise MemoryError(f"no bitmap of {width} x {height} px")
        try:
            raw.FPDF_RenderPageBitmap(bitmap, self._handle, 0, 0, width, height, 0, raw.FPDF_REVERSE_BYTE_ORDER)
        finally:
            raw.FPDFBitmap_Destroy(bitmap)
        # A few rows first: most coloured pages show it there.
        if _grey(pixels[:: max(1, height // 16)]) and _grey(pixels):
            return np.broadcast_to(np.ascontiguousarray(pixels[:, :, :1]), (height, width, 3))
        return np.ascontiguousarray(pixels[:, :, :3])

    def images(self) -> Iterator[PlacedImage]:
        """The page's images, those in form XObjects too."""
        for handle, outer in self._objects():
            width, height = ctypes.c_uint(), ctypes.c_uint()
            if raw.FPDFPageObj_GetType(handle) == raw.FPDF_PAGEOBJ_IMAGE and raw.FPDFImageObj_GetImagePixelSize(
                handle, width, height
            ):
                yield PlacedImage(width.value, height.value, outer @ _matrix(handle))

    def seen_text(self) -> Iterator[Box]:
        """Boxes in user space of the page's text objects, but for those of the render mode that hides them."""
        for handle, outer in self._objects():
            if raw.FPDFPageObj_GetType(handle) != raw.FPDF_PAGEOBJ_TEXT:
                continue
            if raw.FPDFTextObj_GetTextRenderMode(handle) == raw.FPDF_TEXTRENDERMODE_INVISIBLE:
                continue
            left, bottom, right, top = (ctypes.c_float() for _ in range(4))
            if raw.FPDFPageObj_GetBounds(handle, left, bottom, right, top):
                corners = [outer.map((x.value, y.value)) for x in (left, right) for y in (bottom, top)]
                xs, ys = [x for x, _ in corners], [y for _, y in corners]
                yield min(xs), min(ys), max(xs), max(ys)

    def _objects(self) -> Iterator[tuple[object, Matrix]]:
        count = raw.FPDFPage_CountObjects(self._handle)
        objects = (raw.FPDFPage_GetObject(self._handle, index) for index in range(count))
        return itertools.islice(_flattened(objects, Matrix(), 0), _MAX_OBJECTS)

    def text(self) -> str:
        """All text of the page, hidden or not, in the order PDFium reads it."""
        text_page = raw.FPDFText_LoadPage(self._handle)
        if not text_page:
            return ""
        try:
            count = raw.FPDFText_CountChars(text_page)
            if count <= 0:
                return ""
            buffer = (ctypes.c_ushort * (count + 1))()
            written = raw.FPDFText_GetText(text_page, 0, count, buffer)
            return _UTF_16.decode(bytes(buffer)[: 2 * max(written - 1, 0)], "replace")[0]
        finally:
            raw.FPDFText_ClosePage(text_page)


def _flattened(objects: Iterator[object], outer: Matrix, depth: int) -> Iterator[tuple[object, Matrix]]:
    """Objects and, after each form, those in it; with the map from the space they lie in to that of the page."""
    for handle in objects:
        yield handle, outer
        if depth < _MAX_DEPTH and raw.FPDFPageObj_GetType(handle) == raw.FPDF_PAGEOBJ_FORM:
            inner = functools.partial(raw.FPDFFormObj_GetObject, handle)
            count = raw.FPDFFormObj_CountObjects(handle)
            yield from _flattened(map(inner, range(count)), outer @ _matrix(handle), depth + 1)


def _matrix(handle: object) -> Matrix:
    matrix = raw.FS_MATRIX()
    if not raw.FPDFPageObj_GetMatrix(handle, matrix):
        return Matrix(0, 0, 0, 0, 0, 0)
    return Matrix(matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f)


def _grey(pixels: Pixels) -> bool:
    red = pixels[:, :, 0]
    return bool((red == pixels[:, :, 1]).all() and (red == pixels[:, :, 2]).all())


def _start() -> None:
    """Start PDFium without the system's fonts; a second start does nothing."""
    no_fonts = (ctypes.POINTER(ctypes.c_char) * 1)()
    config = raw.FPDF_LIBRARY_CONFIG(version=2, m_pUserFontPaths=no_fonts)
    raw.FPDF_InitLibraryWithConfig(config)
