"""Files of every format, honest and hostile, to pages of pixels."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from engines.documents import decode
from engines.documents.errors import (
    DamagedError,
    DocumentError,
    NotAnImageError,
    TooManyPagesError,
    TooManyPixelsError,
    UnsupportedError,
)

LIMITS = decode.Limits(pixels=1_000_000, pages=3)


def scene() -> Image.Image:
    """A small picture no two corners of which are alike."""
    pixels = np.full((40, 60, 3), 255, np.uint8)
    pixels[:10, :10] = (255, 0, 0)
    pixels[:10, -10:] = (0, 255, 0)
    pixels[-10:, :10] = (0, 0, 255)
    return Image.fromarray(pixels)


def encode(image: Image.Image, format_: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def only_page(document: bytes) -> decode.Decoded:
    (decoded,) = decode.pages(document, LIMITS)
    return decoded


@pytest.mark.parametrize("format_", ["PNG", "TIFF", "BMP"])
def test_lossless_formats_come_back_pixel_for_pixel(format_: str) -> None:
    page = only_page(encode(scene(), format_)).page
    assert page.pixels.dtype == np.uint8
    assert np.array_equal(page.pixels, np.asarray(scene()))


@pytest.mark.parametrize("format_", ["JPEG", "WEBP"])
def test_lossy_formats_come_back_nearly_the_same(format_: str) -> None:
    page = only_page(encode(scene(), format_, quality=95)).page
    assert np.abs(page.pixels.astype(int) - np.asarray(scene()).astype(int)).mean() < 6


def test_a_bitonal_fax_page_comes_back_black_and_white() -> None:
    page = only_page(encode(scene().convert("1"), "TIFF", compression="group4")).page
    assert set(np.unique(page.pixels)) == {0, 255}
    assert page.pixels.shape == (40, 60, 3)


def test_sixteen_bits_are_stretched_to_eight() -> None:
    ramp = np.linspace(1000, 3000, 60, dtype=np.uint16)[None].repeat(40, 0)
    pixels = only_page(encode(Image.fromarray(ramp), "PNG")).page.pixels
    assert (pixels[0, 0, 0], pixels[0, -1, 0]) == (0, 255)


def test_what_is_transparent_is_paper() -> None:
    picture = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    assert (only_page(encode(picture, "PNG")).page.pixels == 255).all()


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(format_: str, orientation: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = scene().transpose(undo[orientation]) if orientation in undo else scene()
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format_ == "WEBP" else {}
    decoded = only_page(encode(stored, format_, exif=exif, **options))
    assert decoded.exif_orientation == orientation
    assert decoded.page.pixels.shape == (40, 60, 3)
    assert np.abs(decoded.page.pixels.astype(int) - np.asarray(scene()).astype(int)).mean() < 12


def test_a_tiff_of_several_pages_gives_them_in_order() -> None:
    pages = [Image.new("L", (10 + n, 20), 80 * n) for n in range(3)]
    document = encode(pages[0], "TIFF", save_all=True, append_images=pages[1:], dpi=(300, 300))
    decoded = list(decode.pages(document, LIMITS))
    assert [d.page.number for d in decoded] == [1, 2, 3]
    assert [d.page.pixels.shape[1] for d in decoded] == [10, 11, 12]
    assert [int(d.page.pixels[0, 0, 0]) for d in decoded] == [0, 80, 160]
    assert decoded[0].page.dpi == pytest.approx(300)


def test_too_many_pages_are_refused_before_the_first_is_decoded() -> None:
    pages = [Image.new("1", (10, 10)) for _ in range(4)]
    document = encode(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    with pytest.raises(TooManyPagesError) as refusal:
        next(decode.pages(document, LIMITS))
    assert refusal.value.metadata["limit"] == "3"


def png_bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def test_a_bomb_is_refused_by_its_header() -> None:
    with pytest.raises(TooManyPixelsError) as refusal:
        next(decode.pages(png_bomb(60_000, 60_000), LIMITS))
    assert refusal.value.metadata == {"page": "1", "width": "60000", "height": "60000", "limit": "1000000"}


def test_a_webp_bomb_is_refused_before_libwebp_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    body = bytearray(encode(Image.new("RGBA", (16, 16), (9, 9, 9, 99)), "WEBP"))
    assert body[12:16] == b"VP8X"
    body[24:30] = (16_000).to_bytes(3, "little") * 2
    monkeypatch.setattr(Image, "open", lambda *_args, **_kwargs: pytest.fail("the file was opened"))
    with pytest.raises(TooManyPixelsError):
        next(decode.pages(bytes(body), LIMITS))


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "TIFF", "WEBP", "BMP"])
def test_a_file_cut_short_is_damaged(format_: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (100, 100, 3), np.uint8)
    document = encode(Image.fromarray(noise), format_)
    with pytest.raises(DamagedError, match=f"page 1 of the {format_} is damaged"):
        next(decode.pages(document[: len(document) // 2], LIMITS))


@pytest.mark.parametrize(
    ("document", "error"),
    [
        (b"", NotAnImageError),
        (b"hello there", NotAnImageError),
        (b"GIF89a", UnsupportedError),
    ],
)
def test_what_is_no_image_is_named(document: bytes, error: type[DocumentError]) -> None:
    with pytest.raises(error, match="send PNG, JPEG, TIFF, WebP, BMP or PDF"):
        next(decode.pages(document, LIMITS))


SEEDS = [encode(scene(), format_) for format_ in ("PNG", "JPEG", "TIFF", "WEBP", "BMP")]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=12),
    st.integers(0, 10_000),
)
@pytest.mark.filterwarnings("ignore")
def test_mutated_files_decode_or_are_refused_with_a_document_error(
    seed: bytes, changes: list[tuple[int, int]], length: int
) -> None:
    body = bytearray(seed)
    for position, value in changes:
        body[position % len(body)] = value
    try:
        for decoded in decode.pages(bytes(body[: max(8, length)]), LIMITS):
            height, width, channels = decoded.page.pixels.shape
            assert height * width <= LIMITS.pixels
            assert channels == 3
    except DocumentError:
        pass
