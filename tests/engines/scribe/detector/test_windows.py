"""The detector on pages drawn for it, and on any array at all."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from engines.api import Page
from engines.scribe.detector import windows
from engines.scribe.windows import HEIGHT, STEP, WIDTH, Windows

Box = tuple[int, int, int, int]
PAPER, INK = 245, 20


class Sheet:
    """A page to write on; remembers the ink box of each piece of text."""

    def __init__(self, width: int, height: int, ground: int = PAPER) -> None:
        self.image = Image.new("L", (width, height), ground)
        self.draw = ImageDraw.Draw(self.image)
        self.boxes: list[Box] = []

    def write(self, x: int, y: int, text: str, size: int = 24, ink: int = INK) -> Box:
        """Write with the ink's top left corner about at (x, y)."""
        font = ImageFont.load_default(size)
        left, top, right, bottom = (round(v) for v in self.draw.textbbox((x, y), text, font=font))
        self.draw.text((x, y), text, font=font, fill=ink)
        self.boxes.append((left, top, right, bottom))
        return self.boxes[-1]

    @property
    def pixels(self) -> NDArray[np.uint8]:
        return np.asarray(self.image)


def page(grey: NDArray[np.uint8]) -> Page:
    return Page(np.ascontiguousarray(np.repeat(grey[:, :, None], 3, axis=2)))


def strips_over(found: Windows, box: Box) -> list[int]:
    """Strips that hold the whole of a box of ink, and are not much higher than it."""
    x0, y0, x1, y1 = box
    columns = np.linspace(x0, x1, 9)
    out = []
    for index, rail in enumerate(found.rails):
        top = np.interp(columns, rail.top[:, 0], rail.top[:, 1], left=np.inf, right=np.inf)
        bottom = np.interp(columns, rail.bottom[:, 0], rail.bottom[:, 1], left=-np.inf, right=-np.inf)
        if (top <= y0 + 2).all() and (bottom >= y1 - 2).all() and (bottom - top <= 2.2 * (y1 - y0) + 4).all():
            out.append(index)
    return out


def assert_all_found(found: Windows, boxes: list[Box]) -> None:
    missed = [box for box in boxes if not strips_over(found, box)]
    assert not missed


def test_every_line_of_a_plain_page_has_one_strip() -> None:
    sheet = Sheet(800, 400)
    for row, text in enumerate(["Invoice number 12345", "Total amount due", "Thank you for coming"]):
        sheet.write(60, 60 + 60 * row, text)
    found = windows(page(sheet.pixels))
    assert_all_found(found, sheet.boxes)
    assert len(found.rails) == 3


def test_ink_is_dark_in_every_window_whatever_the_page() -> None:
    sheet = Sheet(700, 300)
    sheet.draw.rectangle((20, 120, 680, 200), fill=10)
    sheet.write(60, 40, "Dark on light")
    sheet.write(60, 145, "Light on dark", ink=240)
    found = windows(page(sheet.pixels))
    assert_all_found(found, sheet.boxes)
    assert [rail.inverted for rail in found.rails] == [False, True]
    for window, width in zip(found.pixels, found.width, strict=True):
        assert np.median(window[:, :width]) > 200
        assert window[:, :width].min() < 60


@pytest.mark.parametrize("degrees", [-10, -4, 3, 10])
def test_skewed_lines_come_out_level(degrees: float) -> None:
    sheet = Sheet(1000, 700)
    for row in range(4):
        sheet.write(150, 200 + 70 * row, "HELLO NUMBER SIXTEEN", size=30)
    turn = cv2.getRotationMatrix2D((500, 350), degrees, 1)
    turned = cv2.warpAffine(sheet.pixels, turn, (1000, 700), borderValue=PAPER)
    found = windows(page(turned))
    assert len(found.rails) == 4
    for rail in found.rails:
        dx, dy = rail.top[-1] - rail.top[0]
        assert np.degrees(np.arctan2(-dy, dx)) == pytest.approx(degrees, abs=1.0)


def test_a_curled_line_is_followed() -> None:
    sheet = Sheet(1200, 300)
    x0, y0, x1, y1 = sheet.write(100, 120, "A receipt that curls over the edge of the table", size=36)
    columns, rows = np.meshgrid(np.arange(1200, dtype=np.float32), np.arange(300, dtype=np.float32))
    bow = 40 * ((columns - 600) / 500) ** 2
    curled = cv2.remap(sheet.pixels, columns, rows - bow.astype(np.float32), cv2.INTER_LINEAR, borderValue=PAPER)
    found = windows(page(curled))
    assert len(found.rails) == 1
    rail = found.rails[0]
    at = np.array([x0, (x0 + x1) / 2, x1], np.float32)
    middle = np.interp(at, rail.top[:, 0], (rail.top[:, 1] + rail.bottom[:, 1]) / 2)
    assert middle - 40 * ((at - 600) / 500) ** 2 == pytest.approx(np.full(3, (y0 + y1) / 2), abs=8)


def test_columns_are_read_one_after_the_other() -> None:
    sheet = Sheet(1200, 700)
    words = "the quick brown fox jumps over it"
    for row in range(8):
        sheet.write(60, 100 + 50 * row, words, size=24)
        sheet.write(640, 100 + 50 * row, words, size=24)
    heading = sheet.write(150, 30, "A HEADING OVER BOTH OF THE COLUMNS BELOW", size=30)
    found = windows(page(sheet.pixels))
    assert_all_found(found, sheet.boxes)
    order = [strips_over(found, box)[0] for box in [heading, *sheet.boxes[0:16:2], *sheet.boxes[1:16:2]]]
    assert order == sorted(order)


def table() -> Sheet:
    sheet = Sheet(900, 420)
    for row in range(5):
        y = 40 + 70 * row
        sheet.draw.line((30, y, 870, y), fill=0, width=2)
        if row < 4:
            for column, text in enumerate(["Apples", "12", "3.50"]):
                sheet.write(60 + 280 * column, y + 18, text, size=28)
    for column in range(4):
        sheet.draw.line((30 + 280 * column, 40, 30 + 280 * column, 320), fill=0, width=2)
    return sheet


def test_a_table_is_read_row_by_row_and_its_rules_are_no_text() -> None:
    sheet = table()
    found = windows(page(sheet.pixels))
    assert_all_found(found, sheet.boxes)
    assert len(found.rails) == 12
    order = [strips_over(found, box)[0] for box in sheet.boxes]
    assert order == sorted(order)


@pytest.mark.parametrize("noise", [0, 6])
def test_on_a_dark_page_light_text_is_found_with_and_without_a_table(noise: int) -> None:
    plain = Sheet(900, 420)
    for row, text in enumerate(["Departures from hall two", "08:15 Lyon, platform 4", "08:40 Basel, late"]):
        plain.write(60, 60 + 90 * row, text)
    for sheet in (plain, table()):
        grain = np.random.default_rng(1).normal(0, noise, sheet.pixels.shape)
        dark = (255 - 0.8 * sheet.pixels - 30 + grain).clip(0, 255).astype(np.uint8)
        found = windows(page(dark))
        assert_all_found(found, sheet.boxes)
        assert all(found.rails[strips_over(found, box)[0]].inverted for box in sheet.boxes)


def test_letters_of_7_and_of_200_px_are_found_on_one_page() -> None:
    sheet = Sheet(1400, 700)
    sheet.write(60, 40, "HUGE", size=270)
    for row in range(6):
        sheet.write(100, 420 + 30 * row, "the small print says nothing of the kind at all", size=12)
    found = windows(page(sheet.pixels))
    assert_all_found(found, sheet.boxes)


def test_letters_slit_by_dead_dots_of_a_thermal_head_stay_one_line() -> None:
    sheet = Sheet(900, 300)
    sheet.write(60, 100, "THERMAL", size=60)
    grey = sheet.pixels.copy()
    grey[:, ::20] = PAPER
    found = windows(page(grey))
    assert_all_found(found, sheet.boxes)
    assert len(found.rails) == 1


def test_a_colon_standing_alone_is_found() -> None:
    sheet = Sheet(900, 300)
    for row in range(3):
        sheet.write(60, 60 + 60 * row, "Cashier", size=30)
        sheet.write(400, 60 + 60 * row, ":", size=30)
        sheet.write(640, 60 + 60 * row, "0.00", size=30)
    found = windows(page(sheet.pixels))
    colons = [box for box in sheet.boxes if box[2] - box[0] < 20]
    assert len(colons) == 3
    for x0, y0, x1, y1 in colons:
        assert any(
            rail.top[0, 0] <= x0 and rail.top[-1, 0] >= x1 and rail.top[0, 1] <= y0 and rail.bottom[0, 1] >= y1
            for rail in found.rails
        )


def test_heavy_letters_with_holes_are_no_panels_for_light_text() -> None:
    sheet = Sheet(900, 900)
    for row in range(10):
        sheet.write(60, 60 + 50 * row, "what most of the page looks like", size=20)
    font = ImageFont.load_default(60)
    for place, letter in enumerate("RM 65.20"):
        sheet.draw.text((60 + 48 * place, 700), letter, font=font, fill=INK, stroke_width=4, stroke_fill=INK)
    found = windows(page(sheet.pixels))
    y, x = np.nonzero(sheet.pixels[650:] < 128)
    assert_all_found(found, [*sheet.boxes, (int(x.min()), int(y.min()) + 650, int(x.max()) + 1, int(y.max()) + 651)])
    assert len(found.rails) == 11


def test_the_colon_of_a_row_twice_as_high_as_the_rest_is_found_and_as_high_as_its_row() -> None:
    sheet = Sheet(900, 900)
    for row in range(10):
        sheet.write(60, 60 + 50 * row, "what most of the page looks like", size=22)
    word = sheet.write(60, 700, "CASHIER", size=50)
    x0, y0, x1, y1 = sheet.write(560, 700, ":", size=50)
    found = windows(page(sheet.pixels))
    around = [rail for rail in found.rails if rail.top[0, 0] <= x0 and rail.top[-1, 0] >= x1 and rail.top[0, 1] <= y0]
    assert len(around) == 1
    height = around[0].bottom[0, 1] - around[0].top[0, 1]
    assert height >= word[3] - word[1]
    assert around[0].bottom[0, 1] >= y1


def test_the_colons_of_a_column_are_each_found() -> None:
    sheet = Sheet(900, 900)
    for row in range(10):
        sheet.write(60, 60 + 50 * row, "what most of the page looks like", size=22)
    feet = [sheet.write(60, 660 + 36 * row, "CASHIER", size=40)[3] for row in range(3)]
    for foot in feet:
        for bottom in (foot, foot - 14):
            sheet.draw.rectangle((340, bottom - 4, 343, bottom - 1), fill=INK)
    found = windows(page(sheet.pixels))
    for foot in feet:
        around = [rail for rail in found.rails if rail.top[0, 0] <= 340 and rail.top[-1, 0] >= 344]
        assert any(rail.top[0, 1] <= foot - 18 and foot <= rail.bottom[0, 1] <= foot + 18 for rail in around)


def test_a_shadow_hides_nothing() -> None:
    sheet = Sheet(900, 400)
    for row in range(4):
        sheet.write(60, 60 + 70 * row, "Shadows fall on every receipt", size=32)
    light = np.linspace(1.0, 0.25, 900)[None, :]
    found = windows(page((sheet.pixels * light).astype(np.uint8)))
    assert_all_found(found, sheet.boxes)


def test_long_lines_are_cut_between_words_and_nothing_is_skipped() -> None:
    sheet = Sheet(2400, 200)
    sheet.write(60, 80, "a line of many words that goes on and on ".replace(" ", "  ") * 4, size=28)
    found = windows(page(sheet.pixels))
    assert len(found.rails) == 1
    assert len(found.line) >= 5
    ends = found.offset + found.width
    assert (found.offset[1:] == ends[:-1]).all()
    for window, width in zip(found.pixels[:-1], found.width[:-1], strict=True):
        assert window[4:-4, width - 2 : width].min() > 150, "cut through ink"


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (2, 2), (7, 9)])
@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_page_of_nothing_has_no_windows(shape: tuple[int, int], grey: int) -> None:
    found = windows(page(np.full(shape, grey, np.uint8)))
    assert len(found.line) == 0
    assert found.pixels.shape == (0, HEIGHT, WIDTH)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    grey=arrays.arrays(np.uint8, st.tuples(st.integers(1, 70), st.integers(1, 70)), elements=st.integers(0, 255)),
    grow=st.sampled_from([1, 3, 8]),
)
def test_any_array_has_an_answer_that_keeps_to_the_contract(grey: NDArray[np.uint8], grow: int) -> None:
    grey = np.repeat(np.repeat(grey, grow, axis=0), grow, axis=1)
    found = windows(page(grey))
    height, width = grey.shape
    assert found.pixels.shape == (len(found.line), HEIGHT, WIDTH)
    assert (np.diff(found.line) >= 0).all()
    assert (found.width > 0).all()
    assert (found.width <= WIDTH).all()
    for line, rail in enumerate(found.rails):
        mine = found.line == line
        assert (np.diff(found.offset[mine]) > 0).all()
        assert (found.offset[mine] + found.width[mine]).max() == rail.columns
        assert len(rail.top) == len(rail.bottom) == -(-rail.columns // STEP) + 1
        for side in (rail.top, rail.bottom):
            assert (side >= 0).all()
            assert (side <= [width, height]).all()


def test_a_stop_in_a_wide_cell_belongs_to_the_one_figure_before_it() -> None:
    sheet = Sheet(900, 500)
    for row in range(4):
        sheet.write(60, 60 + 90 * row, str(row + 1), size=36)
        sheet.write(140, 60 + 90 * row, "what the list says of it", size=36)
    boxes = list(sheet.boxes)
    for row in range(4):
        x0, _, x1, bottom = boxes[2 * row]
        sheet.draw.rectangle((x1 + 12, bottom - 5, x1 + 17, bottom), fill=INK)  # as typewriters set it
        boxes.append((x0, bottom - 20, x1 + 17, bottom))
    found = windows(page(sheet.pixels))
    assert all(any(rail.top[-1, 0] >= box[2] for rail in found.rails if rail.top[0, 0] < box[0]) for box in boxes[8:])
    assert len(found.rails) == 8
