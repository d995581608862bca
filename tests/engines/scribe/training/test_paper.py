"""What happens to a made sheet beside print: perspective, creases, glare, stamps; and windows without text."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("wordfreq", reason="the training extra (wordfreq) is not installed")
pytest.importorskip("faker", reason="the training extra (faker) is not installed")

from engines.scribe.recogniser.alphabet import knows
from engines.scribe.training import distort, emblems, fonts, handled, negatives, pools, windows
from engines.scribe.training.corpus import Corpus
from engines.scribe.training.settings import DataSettings
from tests.engines.scribe.training.conftest import LIBERATION

UNIT = 40


def bars(width: int = 400) -> NDArray[np.float32]:
    """Ink of equal upright bars, a letter's width apart."""
    ink = np.zeros((3 * UNIT, width), np.float32)
    for x in range(10, width - 10, 30):
        ink[UNIT : 2 * UNIT, x : x + 6] = 1
    return ink


def heights(ink: NDArray[np.float32]) -> NDArray[np.int64]:
    """Rows that each of the bars fills."""
    return np.array([(ink[:, x : x + 6].max(1) > 0.5).sum() for x in range(10, ink.shape[1] - 10, 30)])


def test_perspective_makes_one_end_of_a_line_taller_and_moves_no_letter_from_its_place() -> None:
    ink = bars()
    ends = []
    for seed in range(60):
        matrix = distort._perspective(np.random.default_rng(seed), ink.shape, UNIT)
        seen = cv2.warpPerspective(ink, matrix, ink.shape[::-1])
        tall = heights(cv2.dilate(seen, np.ones((1, 21))))
        ends.append(tall[0] - tall[-1])
        middle = ink.shape[1] / 2
        there = cv2.perspectiveTransform(np.array([[[middle, 1.5 * UNIT]]], np.float32), matrix)[0, 0]
        assert abs(there - (middle, 1.5 * UNIT)).max() < 0.25 * UNIT
    assert min(ends) < -2
    assert max(ends) > 2


def test_both_sides_of_a_crease_have_light_of_their_own() -> None:
    tone = np.full((3 * UNIT, 400), 0.7, np.float32)
    steps = []
    for seed in range(40):
        creased = handled.creased(np.random.default_rng(seed), tone, tone, UNIT)
        assert creased.shape == tone.shape
        assert np.isfinite(creased).all()
        steps.append(float(np.ptp(cv2.blur(creased, (25, 25)))))
    assert np.median(steps) > 0.03


def test_print_is_rubbed_off_along_a_crest() -> None:
    paper, tone = (np.full((3 * UNIT, 400), level, np.float32) for level in (0.9, 0.1))
    brightest = [float(handled.creased(np.random.default_rng(seed), tone, paper, UNIT).max()) for seed in range(40)]
    assert max(brightest) > 0.6
    assert max(brightest) < 1.2


def test_glare_lifts_towards_white_and_darkens_nothing() -> None:
    tone = 0.8 - 0.6 * bars()
    for seed in range(30):
        shone = handled.glare(np.random.default_rng(seed), tone, UNIT)
        assert (shone >= tone - 1e-6).all()
        assert shone.max() <= 1
        assert (shone - tone).max() > 0.03


def test_a_stamp_is_fainter_than_print_and_hides_none_of_it(some_fonts: fonts.Fonts) -> None:
    ink, font = bars(), some_fonts.fonts[0]
    marks = [emblems.stamped(np.random.default_rng(seed), ink, font, "PAID", UNIT) for seed in range(20)]
    assert all((mark >= ink).all() for mark in marks)
    assert all(mark[ink == 0].max() <= 0.5 for mark in marks)
    assert sum((mark > ink + 0.05).mean() > 0.01 for mark in marks) > 15


def test_stamped_lines_keep_their_truth(
    corpus: Corpus, some_fonts: fonts.Fonts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "_STAMPED", 1.0)
    monkeypatch.setattr(corpus, "line", lambda *_: "Total 12.30")
    maker = windows.Maker(corpus, some_fonts, DataSettings())
    texts = {maker.make(np.random.default_rng(seed), "receipt", "receipt")[1] for seed in range(20)}
    assert len(texts) > 1
    assert all(text.lower() in "total 12.30" for text in texts)


@pytest.fixture
def icon_font(tmp_path: Path) -> str:
    """A font with three icons: a disc, one that is as wide as a word, and the same disc again, to be struck out."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    def drawn(*points: tuple[int, int]) -> object:
        pen = TTGlyphPen(None)
        pen.moveTo(points[0])
        for point in points[1:]:
            pen.lineTo(point)
        pen.closePath()
        return pen.glyph()

    box = drawn((50, 0), (50, 700), (90, 700), (90, 0))
    figure = drawn((100, 0), (450, 700), (800, 0))
    wide = drawn((0, 0), (0, 300), (950, 300), (950, 0))
    names = [".notdef", "figure", "wide", "struck"]
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(names)
    font.setupCharacterMap({0xF001: "figure", 0xF002: "wide", 0xF003: "struck"})
    font.setupGlyf(dict(zip(names, (box, figure, wide, figure), strict=True)))
    font.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupOS2()
    font.setupNameTable({"familyName": "Icons", "styleName": "Regular"})
    font.setupPost()
    path = tmp_path / "icons.ttf"
    font.save(path)
    return str(path)


def test_icons_that_are_words_or_struck_out_are_no_logos(icon_font: str) -> None:
    assert emblems._glyphs(icon_font, "\uf003") == "\uf001"


def test_logos_are_drawn_with_icons_and_without(icon_font: str) -> None:
    for icons in ({icon_font: "\uf003"}, {}):
        inked = [emblems.logo(np.random.default_rng(seed), (48, 384), icons).max() for seed in range(20)]
        assert min(inked) > 0.4


def test_a_window_without_text_has_many_looks(corpus: Corpus, some_fonts: fonts.Fonts) -> None:
    shown = [negatives.drawn(np.random.default_rng(seed), (48, 384), {}) for seed in range(80)]
    assert all(ink.shape[0] == 48 and ink.dtype == np.float32 for ink in shown)
    assert 5 < sum(ink.shape[1] < 384 for ink in shown) < 20  # one piece of a texture alone
    assert max(ink.shape[1] for ink in shown) == 384
    assert 2 < sum(ink.max() == 0 for ink in shown) < 30  # the ground alone
    maker = windows.Maker(corpus, some_fonts, DataSettings())
    window, text, kind, _ = maker.make(np.random.default_rng(4), "negative")
    assert (window.shape, text, kind) == ((32, 256), "", "negative")


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="SCOWL comes as a Debian package")
def test_scowl_brings_words_that_lists_by_frequency_leave_out() -> None:
    try:
        found = pools.scowl()
    except subprocess.CalledProcessError:
        pytest.skip("no mirror of Debian's packages can be reached")
    assert len(found) > 80_000
    assert {"aardwolves", "étude", "colour", "color"} <= found
    assert all(knows(word) and not word.endswith("'s") for word in found)


def test_icons_come_with_the_fonts_that_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not LIBERATION.is_dir():
        pytest.skip("Debian's fonts-liberation is not installed")
    monkeypatch.setattr(fonts, "UNPACKED", tmp_path)
    monkeypatch.setattr(fonts, "index", lambda *_: [])
    assert fonts.load(tmp_path / "fonts.json").icons == {}
    (tmp_path / "FontAwesome5Free-Regular-400.otf").touch()
    icons = fonts.load(tmp_path / "fonts.json").icons
    assert list(icons) == [str(tmp_path / "FontAwesome5Free-Regular-400.otf")]
    assert "\uf25d" in icons[str(tmp_path / "FontAwesome5Free-Regular-400.otf")]  # the registered sign: text


def test_words_of_scowl_come_after_those_by_frequency(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "scowl", lambda: {"zzyzxling"})
    made = pools.load(tmp_path / "pools.json")
    assert made["words_en"][-1] == "zzyzxling"
    assert len(set(made["words_en"])) == len(made["words_en"])
