"""Pages of PDFs become the pixels of the scans they hold."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pikepdf
import pytest

from engines.documents.decode import Limits
from engines.documents.errors import DamagedError, EncryptedError, TooManyPagesError, TooManyPixelsError
from engines.documents.pdf import reading
from tests.pdf.make import noise, saved, scan

LIMITS = Limits(pixels=1_000_000, pages=3)


def only(body: bytes, limits: Limits = LIMITS) -> tuple[reading.Sheet, np.ndarray]:
    for sheet in reading.sheets(body, limits):
        return sheet, np.asarray(sheet.page().pixels)
    raise AssertionError("no page")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize(
    "odd",
    [{}, {"box": (-50, 70, 250, 270)}, {"unit": 2.5}, {"box": (0, 0, 299.7, 200.2)}],
    ids=["plain", "shifted", "user unit", "odd size"],
)
def test_a_page_that_is_one_image_is_that_image_pixel_for_pixel(
    channels: int, turn: int, odd: dict[str, float]
) -> None:
    pixels = noise(400, 600, channels)
    _, seen = only(scan(pixels, turn=turn, **odd))
    wanted = np.rot90(pixels, -turn // 90)
    assert seen.shape == (*wanted.shape[:2], 3)
    assert np.array_equal(seen, np.broadcast_to(wanted, seen.shape))


def test_a_page_without_colour_takes_a_third_of_the_memory() -> None:
    _, seen = only(scan(noise(400, 600)))
    assert seen.strides[2] == 0


def test_a_cropped_page_is_the_part_that_is_shown() -> None:
    pixels = noise(400, 600)
    sheet, seen = only(scan(pixels, crop=(30, 50, 270, 200)))
    assert np.array_equal(seen[:, :, 0], pixels[0:300, 60:540, 0])
    assert sheet.to_user.map((0, 0)) == pytest.approx((30, 200), abs=1e-3)
    assert sheet.to_user.map((480, 300)) == pytest.approx((270, 50), abs=1e-3)


def test_the_resolution_is_that_of_the_scan_in_true_inches() -> None:
    assert only(scan(noise(400, 600)))[0].dpi == pytest.approx(144, abs=0.1)
    assert only(scan(noise(400, 600), unit=2.0))[0].dpi == pytest.approx(72, abs=0.1)


def test_pixels_that_are_not_square_are_made_so() -> None:
    sheet, _ = only(scan(noise(200, 600)))  # a fax: 144 x 72 dpi
    assert (sheet.width, sheet.height) == (600, 400)


def test_a_drawn_page_is_rendered_to_be_read_and_a_large_one_smaller() -> None:
    pdf = pikepdf.new()
    pdf.add_blank_page(page_size=(72, 144))
    pdf.add_blank_page(page_size=(720, 720))
    pdf.add_blank_page().obj.MediaBox = pikepdf.Array([0, 0, 100_000, 100_000])
    pages = reading.sheets(saved(pdf), LIMITS)
    first, second = next(pages), next(pages)
    assert (first.width, first.height) == (300, 600)
    assert 72 <= second.dpi < 300
    assert second.width * second.height <= LIMITS.pixels
    with pytest.raises(TooManyPixelsError, match="page 3"):
        next(pages)


def test_an_image_too_large_is_refused_by_its_header_however_small_it_is_drawn() -> None:
    body = scan(noise(8, 8)).replace(b"/Width 8", b"/Width 8000000")
    with pytest.raises(TooManyPixelsError):
        only(body)


def test_text_that_a_page_holds_is_found_hidden_or_not() -> None:
    shown = b"BT /F1 12 Tf 20 20 Td (Seen words) Tj 0 20 Td 3 Tr (hidden ones) Tj ET"
    sheet, _ = only(scan(noise(400, 600), content=shown))
    assert sorted(sheet.text.split()) == ["Seen", "hidden", "ones", "words"]
    (box,) = [(round(x) for x in box) for box in _seen_text(scan(noise(400, 600), content=shown))]
    left, bottom, right, top = box
    assert (left, bottom) == pytest.approx((20, 20), abs=4)
    assert right > left + 40
    assert top > bottom + 5


def _seen_text(body: bytes) -> list[tuple[float, float, float, float]]:
    return [box for sheet in reading.sheets(body, LIMITS) for box in sheet.seen_text()]


def test_too_many_pages_are_refused_before_the_first_is_read() -> None:
    pdf = pikepdf.new()
    for _ in range(4):
        pdf.add_blank_page()
    with pytest.raises(TooManyPagesError, match="more than 3"):
        only(saved(pdf))


def test_a_password_is_asked_for_only_where_one_is_needed() -> None:
    with pikepdf.open(io.BytesIO(scan(noise(400, 600)))) as pdf:
        locked = saved(pdf, encryption=pikepdf.Encryption(owner="o", user="u"))
        restricted = saved(pdf, encryption=pikepdf.Encryption(owner="o", user=""))
    with pytest.raises(EncryptedError, match="wants a password"):
        only(locked)
    assert only(restricted)[0].width == 600


@pytest.mark.parametrize("body", [b"%PDF-", b"%PDF-1.7\n%%EOF", b"%PDF-1.7" + bytes(1000)])
def test_what_is_no_more_than_a_header_is_damaged(body: bytes) -> None:
    with pytest.raises(DamagedError):
        only(body)


def test_a_file_cut_short_is_read_as_far_as_it_goes_or_named_damaged() -> None:
    body = scan(noise(400, 600))
    for share in (0.2, 0.5, 0.9, 0.99):
        with contextlib.suppress(DamagedError):
            assert only(body[: int(len(body) * share)])[0].number == 1
