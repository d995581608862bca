"""Images become PDFs around their own bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pikepdf
import pytest
from PIL import Image

from engines.documents import decode
from engines.documents.pdf import images, reading
from tests.pdf.make import noise

LIMITS = decode.Limits(pixels=1_000_000, pages=5)
PICTURE = Image.fromarray(noise(60, 97, 3))


def encoded(image: Image.Image, format_: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def made(body: bytes) -> tuple[bytes, list[np.ndarray]]:
    """The PDF of an image file, and its pages as they are read."""
    pdf = images.ImagePdf(body)
    pages = []
    for decoded in decode.pages(body, LIMITS):
        pdf.add(decoded)
        pages.append(np.array(decoded.page.pixels))
    return pdf.finish([]), pages


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def every_kind() -> Iterator[tuple[str, bytes]]:
    transparent = PICTURE.copy()
    transparent.putalpha(PICTURE.getchannel("R"))
    for orientation in range(1, 9):
        yield f"JPEG turned {orientation}", encoded(PICTURE, "JPEG", exif=oriented(orientation))
        yield f"PNG turned {orientation}", encoded(PICTURE, "PNG", exif=oriented(orientation))
        yield f"TIFF turned {orientation}", encoded(PICTURE, "TIFF", exif=oriented(orientation))
    yield "grey JPEG", encoded(PICTURE.convert("L"), "JPEG")
    yield "progressive JPEG", encoded(PICTURE, "JPEG", progressive=True)
    yield "bitonal PNG", encoded(PICTURE.convert("1"), "PNG")
    yield "bitonal TIFF", encoded(PICTURE.convert("1"), "TIFF", compression="group4")
    yield "PNG with a palette", encoded(PICTURE.quantize(16), "PNG")
    yield "transparent PNG", encoded(transparent, "PNG")
    yield "PNG with a transparent colour", encoded(PICTURE.quantize(16), "PNG", transparency=3)
    yield "grey PNG with transparency", encoded(transparent.convert("LA"), "PNG")
    yield "BMP with a palette", encoded(PICTURE.quantize(200), "BMP")
    yield "WebP", encoded(PICTURE, "WEBP")
    yield "JPEG in a TIFF", encoded(PICTURE, "TIFF", compression="jpeg")
    yield (
        "pages of three kinds",
        encoded(PICTURE.convert("1"), "TIFF", save_all=True, append_images=[PICTURE, PICTURE.convert("L")]),
    )


@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in every_kind()])
def test_the_pdf_shows_the_pages_that_were_read_pixel_for_pixel(body: bytes) -> None:
    pdf, pages = made(body)
    shown = [np.array(sheet.page().pixels) for sheet in reading.sheets(pdf, LIMITS)]
    assert len(shown) == len(pages)
    for page, picture in zip(pages, shown, strict=True):
        assert np.array_equal(page, picture)


def test_quads_in_px_of_the_page_land_where_a_reader_of_the_pdf_finds_them() -> None:
    body = encoded(PICTURE, "JPEG", exif=oriented(6), dpi=(200, 200))
    pdf = images.ImagePdf(body)
    (to_user,) = [pdf.add(decoded) for decoded in decode.pages(body, LIMITS)]
    (sheet,) = reading.sheets(pdf.finish([]), LIMITS)
    assert sheet.dpi == pytest.approx(200, abs=0.1)
    for point in ((0, 0), (60, 0), (13, 90)):
        assert to_user.map(point) == pytest.approx(sheet.to_user.map(point), abs=1e-3)


def test_a_jpeg_is_the_same_bytes() -> None:
    body = encoded(PICTURE, "JPEG", quality=80)
    with pikepdf.open(io.BytesIO(made(body)[0])) as pdf:
        assert pdf.pages[0].obj.Resources.XObject.Scan.read_raw_bytes() == body


def test_a_simple_png_is_not_compressed_anew() -> None:
    body = encoded(PICTURE, "PNG", compress_level=0)
    assert len(made(body)[0]) > len(body)
    assert len(made(body)[0]) < len(body) + 2000


def test_bitonal_pages_are_group_4() -> None:
    for body in (encoded(PICTURE.convert("1"), "PNG"), encoded(PICTURE.convert("1"), "TIFF")):
        with pikepdf.open(io.BytesIO(made(body)[0])) as pdf:
            assert pdf.pages[0].obj.Resources.XObject.Scan.Filter == pikepdf.Name.CCITTFaxDecode


def test_a_colour_profile_stays_with_its_image() -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    body = encoded(PICTURE, "JPEG", icc_profile=profile)
    with pikepdf.open(io.BytesIO(made(body)[0])) as pdf:
        name, stream = pdf.pages[0].obj.Resources.XObject.Scan.ColorSpace
        assert name == "/ICCBased"
        assert stream.read_bytes() == profile


def test_a_page_of_unknown_resolution_is_as_long_as_a4() -> None:
    with pikepdf.open(io.BytesIO(made(encoded(PICTURE, "PNG"))[0])) as pdf:
        assert max(map(float, pdf.pages[0].mediabox)) == 842
