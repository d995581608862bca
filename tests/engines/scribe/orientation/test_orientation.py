"""Pages in four turns: the same words come back, at the same places, and upright pages stay as they are."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from engines.api import Page, Stage, Turn
from engines.documents import specimen
from engines.errors import OptionsError
from engines.scribe.engine import Scribe
from tests.engines.scribe.orientation.pages import TURNS, centre, letter, rotated, words_of


def test_a_page_in_four_turns_gives_the_same_words_at_the_same_places(scribe: Scribe) -> None:
    pixels = letter()
    height, width = pixels.shape[:2]
    upright = scribe.recognize(rotated(pixels, 0))
    assert len(words_of(upright)) > 40
    places = [centre(word.quad) for line in upright.lines for word in line.words]
    on_page = {
        0: lambda x, y: (x, y),
        90: lambda x, y: (height - y, x),
        180: lambda x, y: (width - x, height - y),
        270: lambda x, y: (y, width - x),
    }
    for degrees in TURNS:
        text = scribe.recognize(rotated(pixels, degrees))
        assert text.turn.degrees == -degrees % 360
        assert text.turn.confidence > 0.9
        assert words_of(text) == words_of(upright)
        # And each lies where it stands on the page as it was sent.
        found = [centre(word.quad) for line in text.lines for word in line.words]
        np.testing.assert_allclose(found, [on_page[degrees](*place) for place in places], atol=1.5)


def test_time_is_told(scribe: Scribe) -> None:
    assert 0 < scribe.recognize(Page(specimen.receipt(320, 240, text_px=12))).seconds[Stage.ORIENT] < 30


def test_it_can_be_switched_off() -> None:
    engine = Scribe(upright=False)
    engine.load()
    text = engine.recognize(rotated(letter(), 180))
    assert text.turn == Turn()
    assert Stage.ORIENT not in text.seconds
    with pytest.raises(OptionsError, match="upright"):
        Scribe(upright="no")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((300, 200, 3), 255, np.uint8),
        np.zeros((1, 1, 3), np.uint8),
        np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8),
        np.full((3, 4000, 3), 80, np.uint8),
    ],
    ids=["blank", "one pixel", "noise", "a sliver"],
)
def test_a_page_without_text_is_left_as_it_is(scribe: Scribe, pixels: NDArray[np.uint8]) -> None:
    assert scribe.recognize(Page(pixels)).turn.degrees == 0


@pytest.mark.parametrize("slope", [-3.0, 1.0])
def test_slanted_pages_are_read_line_by_line_and_not_turned(scribe: Scribe, slope: float) -> None:
    straight = letter()
    image = Image.fromarray(straight).rotate(slope, resample=Image.Resampling.BICUBIC, fillcolor=(255, 255, 255))
    text = scribe.recognize(Page(np.asarray(image)))
    assert text.turn.degrees == 0
    expected = set(words_of(scribe.recognize(Page(straight))))
    assert len(expected & set(words_of(text))) >= 0.9 * len(expected)
    quads = [line.quad for line in text.lines if line.quad.bottom_right[0] - line.quad.bottom_left[0] > 400]
    slants = [
        np.degrees(np.arctan2(q.bottom_left[1] - q.bottom_right[1], q.bottom_right[0] - q.bottom_left[0]))
        for q in quads
    ]
    assert np.median(slants) == pytest.approx(slope, abs=0.3)
