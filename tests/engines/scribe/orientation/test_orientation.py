"""Pages in four turns: the same words come back, at the same places, and upright pages stay as they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from engines.api import Line, Page, PageText, Quad, Stage, Turn, Word
from engines.documents import specimen
from engines.errors import OptionsError
from engines.scribe import detector
from engines.scribe.engine import TURN_WEIGHTS, WEIGHTS, Scribe
from engines.scribe.grey import channel, greyed
from engines.scribe.orientation import (
    TurnWeightsError,
    Upright,
    Voters,
    judged,
    reconsidered,
    returned,
    turned,
    upright,
)
from engines.scribe.orientation.crops import MOST, SIDE, crops
from engines.scribe.orientation.judge import FEW, legibility, overturned, sample
from engines.scribe.orientation.upright import DOUBT, MARGIN
from engines.scribe.orientation.votes import CLEARLY_TURNED, Votes, pooled
from engines.scribe.recogniser.reader import Recogniser
from engines.scribe.windows import HEIGHT, WIDTH, Reading, Windows

GOLDEN = Path(__file__).with_name("golden.npz")
TURNS = (0, 90, 180, 270)


def rotated(pixels: NDArray[np.uint8], degrees: int) -> Page:
    """The page as somebody fed it: turned clockwise."""
    return Page(np.ascontiguousarray(np.rot90(pixels, -degrees // 90)))


def letter(width: int = 700, height: int = 520) -> NDArray[np.uint8]:
    """Running text, black on white, with descenders and a heading."""
    image = Image.new("L", (width, height), 255)
    draw = ImageDraw.Draw(image)
    draw.text((60, 40), "Minutes of the spring meeting", font=ImageFont.load_default(36), fill=0)
    words = "The quarterly report should be ready by early July, although several figures are still missing.".split()
    for number in range(8):
        line = " ".join(words[(number * 3 + i) % len(words)] for i in range(6))
        draw.text((60, 120 + 42 * number), line, font=ImageFont.load_default(24), fill=0)
    return np.repeat(np.asarray(image)[:, :, None], 3, axis=2)


@pytest.fixture(scope="module")
def scribe() -> Scribe:
    engine = Scribe()
    engine.load()
    return engine


@pytest.fixture(scope="module")
def voters() -> Voters:
    return Voters.load(TURN_WEIGHTS)


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return Recogniser.load(WEIGHTS)


def words_of(text: PageText) -> list[str]:
    return [word.text for line in text.lines for word in line.words]


def centre(quad: Quad) -> NDArray[np.float64]:
    return np.mean([quad.top_left, quad.top_right, quad.bottom_right, quad.bottom_left], axis=0)


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


def test_light_text_on_dark_is_turned_too(voters: Voters) -> None:
    grey = 255 - letter()[:, :, 0]
    for quarters in range(4):
        assert voters.votes(np.ascontiguousarray(np.rot90(grey, -quarters))).quarters == quarters


def test_tensorflow_gives_the_logits_that_pytorch_gave(voters: Voters) -> None:
    with np.load(GOLDEN) as golden:
        np.testing.assert_allclose(voters.logits(golden["crops"]), golden["logits"], atol=2e-3)


CANARY = """
import json, os, sys
from pathlib import Path
import numpy as np
from engines.scribe.orientation.votes import Voters
from engines.scribe.recogniser.reader import Recogniser

recogniser, voters = Recogniser.load(Path(sys.argv[1])), Voters.load(Path(sys.argv[2]))
crops = np.load(sys.argv[3])["crops"]
windows = np.random.default_rng(0).integers(0, 255, (3, 32, 256), np.uint8)
def both():
    return [voters.logits(crops).round(3).tolist(), recogniser.logits(windows).round(2).sum().item()]
here = both()
source, sink = os.pipe()
if os.fork() == 0:
    os.write(sink, json.dumps(both()).encode())
    os._exit(0)
os.close(sink)
print(json.dumps([here, json.loads(os.fdopen(source, "rb").read())]))
"""


def test_both_nets_run_in_a_forked_child() -> None:
    command = [sys.executable, "-c", CANARY, str(WEIGHTS), str(TURN_WEIGHTS), str(GOLDEN)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=True, cwd=WEIGHTS.parents[2])
    here, there = json.loads(done.stdout.splitlines()[-1])
    assert there == here


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    (tmp_path / "turn.npz").write_bytes(b"PK but no archive")
    with pytest.raises(TurnWeightsError, match=str(tmp_path)):
        Voters.load(tmp_path)


def test_a_turned_page_gives_the_same_crops_turned() -> None:
    grey = np.ascontiguousarray(letter()[:, :, 0])
    assert len(crops(grey)) == MOST
    # Where crops lie is not exactly the same, but what they show is as large.
    dark = [float((crops(np.ascontiguousarray(np.rot90(grey, q))) < 128).mean()) for q in range(4)]
    assert max(dark) < 1.15 * min(dark)
    assert crops(grey, 5).shape == (5, SIDE, SIDE)


def test_a_far_finer_scan_gives_crops_of_letters_as_large() -> None:
    grey = np.ascontiguousarray(letter()[:, :, 0])
    fine = np.asarray(cv2.resize(grey, None, fx=6, fy=6, interpolation=cv2.INTER_CUBIC), np.uint8)
    coarse, finer = (float((crops(page) < 128).mean()) for page in (grey, fine))
    assert finer == pytest.approx(coarse, rel=0.15)


def test_nothing_seen_means_upright_and_more_evidence_means_more_certainty() -> None:
    nothing = pooled(np.zeros(4), 3.0)
    assert nothing.argmax() == 0
    some, more = (pooled(np.log([0.1, 0.7, 0.1, 0.1]) * count, 3.0)[1] for count in (8, 16))
    assert nothing[1] < some < more


def _word(confidence: float) -> Reading:
    return Reading("word", np.zeros(4, np.float32), np.full(4, confidence, np.float32), confidence)


class Fixed(Voters):
    """Says what it is told to."""

    def __init__(self, *probabilities: float) -> None:
        self._votes = Votes(np.array(probabilities), 1)

    def votes(self, grey: NDArray[np.uint8]) -> Votes:
        return self._votes


def test_a_doubtful_net_turns_no_page_that_reads_well(recogniser: Recogniser) -> None:
    page = Page(letter())
    for wrong in ((0.1, 0.8, 0.05, 0.05), (0.1, 0.05, 0.8, 0.05), (0.1, 0.05, 0.05, 0.8)):
        answer = upright(page, Fixed(*wrong), detector.windows, recogniser.read)
        assert answer.turn.degrees == 0
        assert answer.page is page
        assert answer.turn.confidence > 0.5


def test_a_doubtful_net_is_heard_where_the_words_agree(recogniser: Recogniser) -> None:
    for degrees in (90, 180, 270):
        doubtful = [0.15, 0.05, 0.05, 0.05]
        doubtful[degrees // 90] = 0.75
        answer = upright(rotated(letter(), degrees), Fixed(*doubtful), detector.windows, recogniser.read)
        assert answer.turn.degrees == -degrees % 360


def test_a_net_that_is_sure_and_wrong_is_found_out_by_how_the_page_reads(scribe: Scribe) -> None:
    engine = Scribe()
    engine.load()
    engine._voters = Fixed(1 - 3e-7, 1e-7, 1e-7, 1e-7)
    read = engine.recognize(rotated(letter(), 180))
    assert read.turn.degrees == 180
    assert read.turn.confidence > 0.9
    assert words_of(read) == words_of(scribe.recognize(Page(letter())))
    engine._voters = Fixed(1e-7, 1e-7, 1e-7, 1 - 3e-7)
    assert engine.recognize(rotated(letter(), 90)).turn.degrees == 270
    # One that came upright and was laid on its side is taken as it came.
    read = engine.recognize(Page(letter()))
    assert read.turn.degrees == 0
    assert read.turn.confidence > 0.9
    assert words_of(read) == words_of(scribe.recognize(Page(letter())))
    # What reads well is left as it is, and so is what reads badly both ways.
    assert engine.recognize(rotated(letter(), 270)).turn.degrees == 90
    blurred = cv2.GaussianBlur(letter(), (0, 0), 9)
    engine._voters = Fixed(1 - 3e-7, 1e-7, 1e-7, 1e-7)
    assert engine.recognize(Page(np.asarray(blurred, np.uint8))).turn.degrees == 0


def test_words_are_judged_where_most_windows_show_grain(recogniser: Recogniser) -> None:
    text = detector.windows(Page(letter()))
    grain = np.random.default_rng(3).normal(200, 12, (1200, HEIGHT, WIDTH)).clip(0, 255).astype(np.uint8)
    cut = sample(
        Windows(
            np.concatenate([grain, text.pixels]),
            np.concatenate([np.zeros(1200, np.int32), text.line]),
            np.zeros(1200 + len(text.width), np.int32),
            np.concatenate([np.full(1200, WIDTH, np.int32), text.width]),
            text.rails,
        )
    )
    assert len(cut) == FEW
    upright, over = (legibility(recogniser.read(shown)) for shown in (cut, overturned(cut)))
    assert upright > over + MARGIN


def test_a_page_on_its_side_is_looked_at_anew_only_where_its_starkest_words_read_badly_too() -> None:
    page = rotated(letter(), 90)
    seen = Upright(turned(page, 270), Turn(270, 0.999))
    windows = detector.windows(seen.page)
    looked: list[Page] = []

    def detect(shown: Page) -> Windows:
        looked.append(shown)
        return windows

    def answer(confidence: float) -> Upright:
        def read(pixels: NDArray[np.uint8]) -> list[Reading]:
            return [_word(confidence)] * len(pixels)

        return reconsidered(page, seen, windows, [_word(0.2)] * len(windows.pixels), detect, read)

    assert answer(0.8) is seen
    assert not looked
    assert answer(0.2) is seen
    assert looked == [page]


def test_where_nothing_reads_a_page_is_left_as_it_is_unless_the_net_has_no_doubt(recogniser: Recogniser) -> None:
    page = Page(np.asarray(cv2.GaussianBlur(letter(), (0, 0), 9), np.uint8))
    for doubt, wanted in ((2 * (1 - CLEARLY_TURNED), 0), (0.5 * (1 - CLEARLY_TURNED), 180)):
        sure = Fixed(doubt, 1e-12, 1 - doubt, 1e-12)
        assert upright(page, sure, detector.windows, recogniser.read).turn.degrees == wanted


def test_of_what_reads_alike_the_net_must_rule_out_that_it_is_upright() -> None:
    page = Page(letter())

    def read(pixels: NDArray[np.uint8]) -> list[Reading]:
        return [_word(0.9)] * len(pixels)

    for upright_by, wanted in ((2 * DOUBT, 0), (DOUBT / 2, 180)):
        doubtful = np.array([upright_by, 1e-9, 1 - upright_by, 1e-9])
        assert judged(page, doubtful, detector.windows, read).turn.degrees == wanted


def test_grey_pages_are_shown_by_the_same_memory_and_colour_is_greyed_as_the_eye_does() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    page = Page(np.broadcast_to(grey[:, :, None], (3, 4, 3)), number=7, dpi=200.0)
    assert np.shares_memory(greyed(page).pixels, grey)
    assert (greyed(page).number, greyed(page).dpi) == (7, 200.0)
    coloured = np.zeros((1, 3, 3), np.uint8)
    coloured[0, [0, 1, 2], [0, 1, 2]] = 255
    assert channel(Page(coloured)).tolist() == [[76, 150, 29]]  # ITU-R BT.601


def test_a_net_that_is_sure_asks_nobody() -> None:
    def detect(page: Page) -> None:
        raise AssertionError("it was asked")

    def read(pixels: NDArray[np.uint8]) -> list[Reading]:
        raise AssertionError("it was asked")

    sure = Fixed(1e-9, 1e-9, 1 - 3e-9, 1e-9)
    assert upright(Page(letter()), sure, detect, read).turn.degrees == 180  # type: ignore[arg-type]


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
