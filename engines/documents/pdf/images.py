"""A new PDF of the pages of an image file, around the bytes it came with, as far as PDF can hold them.

JPEG stays as it is. Bitonal pages become CCITT Group 4, all others PNG's own compression: lossless.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Sequence

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream
from PIL import Image, TiffImagePlugin

from engines.documents import decode
from engines.documents.decode import Decoded
from engines.documents.pdf.matrix import Matrix
from engines.documents.pdf.writing import Layer, add_layers, save

_POINTS = 72
_LONG_SIDE = 842.0
"""Points of the longer side of a page whose resolution nobody stated: A4's."""
_MAX_SIDE = 14_400.0
"""Points; the longest side that PDF 1.7 readers must take (ISO 32000-1, annex C)."""
_COMPONENTS = {b"GRAY": 1, b"RGB ": 3, b"CMYK": 4}
_SPACES = {1: Name.DeviceGray, 3: Name.DeviceRGB, 4: Name.DeviceCMYK}
# By EXIF orientation, 1 to 8: from the unit square that an image fills to the unit square of the upright page.
_UPRIGHT = (
    Matrix(1, 0, 0, 1, 0, 0),
    Matrix(-1, 0, 0, 1, 1, 0),
    Matrix(-1, 0, 0, -1, 1, 1),
    Matrix(1, 0, 0, -1, 0, 1),
    Matrix(0, -1, -1, 0, 1, 1),
    Matrix(0, -1, 1, 0, 0, 1),
    Matrix(0, 1, 1, 0, 0, 0),
    Matrix(0, 1, -1, 0, 1, 0),
)


class ImagePdf:
    """The PDF of one image file, made page by page as the file is decoded."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._pdf = pikepdf.new()

    def add(self, decoded: Decoded) -> Matrix:
        """Add a page; return the map from its px, upright and y down, to its user space."""
        height, width = decoded.page.pixels.shape[:2]
        scale = _POINTS / decoded.page.dpi if decoded.page.dpi else _LONG_SIDE / max(width, height)
        scale = min(scale, _MAX_SIDE / max(width, height))
        # Pillow has turned a TIFF's pixels already.
        stored = 1 if decoded.image.format == "TIFF" else decoded.exif_orientation
        place = Matrix(width * scale, 0, 0, height * scale) @ _UPRIGHT[stored - 1]
        numbers = " ".join(f"{value:.4f}" for value in (place.a, place.b, place.c, place.d, place.e, place.f))
        page = Dictionary(
            Type=Name.Page,
            MediaBox=Array([0, 0, round(width * scale, 4), round(height * scale, 4)]),
            Resources=Dictionary(XObject=Dictionary(Scan=_image(self._pdf, decoded, self._body))),
            Contents=self._pdf.make_indirect(Stream(self._pdf, f"q {numbers} cm /Scan Do Q\n".encode())),
        )
        self._pdf.pages.append(pikepdf.Page(self._pdf.make_indirect(page)))
        return Matrix(scale, 0, 0, -scale, 0, height * scale)

    def finish(self, layers: Sequence[Layer]) -> bytes:
        """The file, with its layers of text."""
        add_layers(self._pdf, layers)
        return save(self._pdf)


def _image(pdf: pikepdf.Pdf, decoded: Decoded, body: bytes) -> pikepdf.Object:
    image = decoded.image
    if image.format == "JPEG":
        return _jpeg(pdf, image, body)
    if image.mode == "1":
        return _group4(pdf, image)
    if image.mode == "CMYK":
        return _object(pdf, image, zlib.compress(image.tobytes()), Name.FlateDecode, Name.DeviceCMYK, bits=8)
    if image.format == "PNG":
        whole = _png(pdf, image, body)
        if whole is not None:
            return whole
    if image.mode not in ("L", "P", "RGB") or "transparency" in image.info:
        # Without transparency, as the page is read.
        image = decode.flat(image)
    again = _png(pdf, image, _saved(image, "PNG"))
    assert again is not None, "Pillow writes simple PNGs"
    return again


def _jpeg(pdf: pikepdf.Pdf, image: Image.Image, body: bytes) -> pikepdf.Object:
    components = len(image.getbands())
    space = _profile(pdf, image, components) or _SPACES[components]
    # Adobe's four-component JPEGs hold ink upside down, and PDF readers take them as they are.
    entries: dict[str, pikepdf.Object] = {}
    if components == 4 and "adobe" in image.info:
        entries["Decode"] = Array([1, 0] * 4)
    return _object(pdf, image, body, Name.DCTDecode, space, bits=8, **entries)


def _group4(pdf: pikepdf.Pdf, image: Image.Image) -> pikepdf.Object:
    """By way of a TIFF of one strip, as libtiff has the encoder."""
    strips = {TiffImagePlugin.ROWSPERSTRIP: image.height, TiffImagePlugin.PHOTOMETRIC_INTERPRETATION: 0}
    tiff = _saved(image, "TIFF", compression="group4", tiffinfo=strips)
    with Image.open(io.BytesIO(tiff), formats=("TIFF",)) as written:
        tags = written.tag_v2  # type: ignore[attr-defined]
        (start,), (length,) = tags[TiffImagePlugin.STRIPOFFSETS], tags[TiffImagePlugin.STRIPBYTECOUNTS]
        white_is_zero = tags[TiffImagePlugin.PHOTOMETRIC_INTERPRETATION] == 0
    parameters = Dictionary(K=-1, Columns=image.width, Rows=image.height, BlackIs1=not white_is_zero)
    content = tiff[start : start + length]
    return _object(pdf, image, content, Name.CCITTFaxDecode, Name.DeviceGray, bits=1, DecodeParms=parameters)


def _png(pdf: pikepdf.Pdf, image: Image.Image, body: bytes) -> pikepdf.Object | None:
    """The compressed data of a PNG as they are; None where it is interlaced or has transparency, unknown to PDF."""
    width, _, bits, kind, _, _, interlaced = struct.unpack(">IIBBBBB", body[16:29])
    chunks = list(_chunks(body))
    colours = {0: 1, 2: 3, 3: 1}.get(kind)
    if interlaced or colours is None or any(name == b"tRNS" for name, _ in chunks):
        return None
    content = b"".join(data for name, data in chunks if name == b"IDAT")
    if kind == 3:
        palette = next(data for name, data in chunks if name == b"PLTE")
        space: pikepdf.Object = Array([Name.Indexed, Name.DeviceRGB, len(palette) // 3 - 1, pikepdf.String(palette)])
    else:
        space = _profile(pdf, image, colours) or _SPACES[colours]
    parameters = Dictionary(Predictor=15, Colors=colours, BitsPerComponent=bits, Columns=width)
    return _object(pdf, image, content, Name.FlateDecode, space, bits=bits, DecodeParms=parameters)


def _chunks(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of a PNG's chunks (ISO/IEC 15948, 5.3); it was decoded before, so they are whole."""
    at = 8
    while at + 8 <= len(body):
        (length,) = struct.unpack_from(">I", body, at)
        yield body[at + 4 : at + 8], body[at + 8 : at + 8 + length]
        at += 12 + length


def _saved(image: Image.Image, format_: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    # Of an image that is still tied to its file, Pillow compares the files' paths, and asks where it runs for that.
    image.copy().save(buffer, format_, **options)
    return buffer.getvalue()


def _profile(pdf: pikepdf.Pdf, image: Image.Image, components: int) -> pikepdf.Object | None:
    """The image's colour profile as a colour space, where it has one that fits."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or _COMPONENTS.get(profile[16:20]) != components:
        return None
    stream = Stream(pdf, zlib.compress(profile), N=components, Filter=Name.FlateDecode)
    return Array([Name.ICCBased, pdf.make_indirect(stream)])


def _object(
    pdf: pikepdf.Pdf,
    image: Image.Image,
    content: bytes,
    filter_: pikepdf.Object,
    space: pikepdf.Object,
    *,
    bits: int,
    **entries: pikepdf.Object,
) -> pikepdf.Object:
    return pdf.make_indirect(
        Stream(
            pdf,
            content,
            Type=Name.XObject,
            Subtype=Name.Image,
            Width=image.width,
            Height=image.height,
            ColorSpace=space,
            BitsPerComponent=bits,
            Filter=filter_,
            **entries,
        )
    )
