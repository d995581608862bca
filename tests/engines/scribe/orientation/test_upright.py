"""Where the net is not clear, or reading tells that it was wrong: how the words read decides."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.api import Page, Turn
from engines.scribe import detector
from engines.scribe.engine import Scribe
from engines.scribe.orientation import Upright, Voters, judged, reconsidered, turned, upright
from engines.scribe.orientation.judge import FEW, legibility, overturned, sample
from engines.scribe.orientation.upright import DOUBT, MARGIN
from engines.scribe.orientation.votes import CLEARLY_TURNED, Votes
from engines.scribe.recogniser.reader import Recogniser
from engines.scribe.windows import HEIGHT, WIDTH, Reading, Windows
from tests.engines.scribe.orientation.pages import letter, rotated, words_of


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


def test_a_net_that_is_sure_asks_nobody() -> None:
    def detect(page: Page) -> None:
        raise AssertionError("it was asked")

    def read(pixels: NDArray[np.uint8]) -> list[Reading]:
        raise AssertionError("it was asked")

    sure = Fixed(1e-9, 1e-9, 1 - 3e-9, 1e-9)
    assert upright(Page(letter()), sure, detect, read).turn.degrees == 180  # type: ignore[arg-type]
