"""Pages and quads turned and turned back."""

from __future__ import annotations

import numpy as np

from engines.api import Line, Page, Quad, Word
from engines.scribe.grey import channel, greyed
from engines.scribe.orientation import returned, turned
from tests.engines.scribe.orientation.pages import TURNS, centre


def test_grey_pages_are_shown_by_the_same_memory_and_colour_is_greyed_as_the_eye_does() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    page = Page(np.broadcast_to(grey[:, :, None], (3, 4, 3)), number=7, dpi=200.0)
    assert np.shares_memory(greyed(page).pixels, grey)
    assert (greyed(page).number, greyed(page).dpi) == (7, 200.0)
    coloured = np.zeros((1, 3, 3), np.uint8)
    coloured[0, [0, 1, 2], [0, 1, 2]] = 255
    assert channel(Page(coloured)).tolist() == [[76, 150, 29]]  # ITU-R BT.601


def test_a_grey_page_stays_one_memory_when_it_is_turned() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    page = Page(np.broadcast_to(grey[:, :, None], (3, 4, 3)), number=7, dpi=200.0)
    around = turned(turned(page, 90), 270)
    assert around.pixels.strides[2] == 0
    np.testing.assert_array_equal(around.pixels, page.pixels)
    assert (around.number, around.dpi) == (7, 200.0)


def test_quads_return_from_where_a_turn_took_them() -> None:
    # The pixel at (1, 2) of a page of 5 x 9 px.
    quad = Quad((1, 2), (2, 2), (2, 3), (1, 3))
    line = Line((Word("x", 1.0, quad),), quad)
    pixels = np.zeros((9, 5, 3), np.uint8)
    pixels[2, 1] = 255
    for degrees in TURNS:
        away = turned(Page(pixels), degrees)
        ((y, x),) = np.argwhere(away.pixels[:, :, 0])
        there = Quad((x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1))
        (back,) = returned([Line((Word("x", 1.0, there),), there)], degrees, 5, 9)
        np.testing.assert_array_equal(centre(back.quad), centre(line.quad))
        assert centre(back.words[0].quad).tolist() == [1.5, 2.5]
