"""What made windows say and show: the corpus, the fonts, and windows that show their text."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("wordfreq", reason="the training extra (wordfreq) is not installed")
pytest.importorskip("faker", reason="the training extra (faker) is not installed")

from PIL import ImageFont

from engines.scribe.recogniser.alphabet import CHARACTERS, knows
from engines.scribe.training import distort, fonts, placing, render, windows
from engines.scribe.training.corpus import KINDS, Corpus
from engines.scribe.training.lab import symbols
from engines.scribe.training.settings import DataSettings
from engines.scribe.windows import HEIGHT, WIDTH
from tests.engines.scribe.training.conftest import LIBERATION


def test_small_capitals_are_drawn_smaller_than_the_letter_that_begins_the_word(some_fonts: fonts.Fonts) -> None:
    font = next(font for font in some_fonts.fonts if font.draws("EEEE"))
    line = render.line(np.random.default_rng(5), font, "EEEE", height=60, neighbours=("", ""), columns=2000, small=0.7)
    tops = [np.flatnonzero(line.ink[:, int(a) : int(b)].max(1) > 0.5)[0] for a, b in line.edges]
    assert min(tops[1:]) > tops[0] + 5


@pytest.mark.parametrize(("drawn", "joined"), [("so... it", True), ("so..... it", False)])
def test_three_close_stops_are_one_sign(
    drawn: str, joined: bool, corpus: Corpus, some_fonts: fonts.Fonts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "line", lambda *_: drawn)
    maker = windows.Maker(corpus, some_fonts, DataSettings())
    truths = {maker.make(np.random.default_rng(seed), "sentence", "clean")[1] for seed in range(60)}
    assert drawn in truths
    assert ("so… it" in truths) == joined == any("…" in truth for truth in truths)


def test_no_edge_of_a_window_leaves_a_character_in_doubt() -> None:
    edges = np.array([[0, 10], [10, 20], [20, 24], [24, 34]], np.float32)
    assert [placing.clear(edges, "ab c", x) for x in (1, 4, 7, 11.5, 12, 19, 22, 24.5)] == [
        1,
        0,
        10,
        11.5,
        10,
        19,
        22,
        24.5,
    ]
    assert placing.inside(edges, 1, 24.5).tolist() == [True, True, True, False]


@pytest.mark.parametrize(("lost", "shown"), [(None, True), ("second", False), ("all", False), ("ruled", True)])
def test_a_window_must_show_what_its_truth_says(lost: str | None, shown: bool) -> None:
    meant = np.full((HEIGHT, 60), 255, np.uint8)
    for x in (8, 28, 48):
        meant[8:24, x : x + 3] = 0
    rng = np.random.default_rng(3)
    window = np.clip(meant * 0.3 + 120 + rng.normal(0, 4, meant.shape), 0, 255).astype(np.uint8)
    if lost == "second":
        window[:, 24:36] = window[:, 16:17]
    elif lost == "all":
        window[:] = rng.normal(180, 4, meant.shape).clip(0, 255)
    elif lost == "ruled":
        window[28:31] = 20
    columns = np.array([[4, 16], [24, 36], [44, 56]], np.float32)
    assert placing.legible(window, meant, columns) == shown


def test_a_capitals_accent_is_in_the_lines_box(some_fonts: fonts.Fonts) -> None:
    font = replace(some_fonts.fonts[0], characters=CHARACTERS)
    inside = 0
    for seed in range(40):
        line = render.line(np.random.default_rng(seed), font, "É", height=60, neighbours=("", ""), columns=2000)
        top = np.flatnonzero(line.ink[:, int(line.edges[0, 0]) : int(line.edges[0, 1])].max(1) > 0.5)[0]
        inside += bool(top >= line.top - 2)
    assert inside > 30


def test_a_copys_copy_gains_ink_and_loses_detail() -> None:
    page = np.full((120, 400), 255, np.uint8)
    cv2.ellipse(page, (200, 60), (24, 30), 0, 0, 360, 0, 12)
    for seed in range(8):
        copy = distort.copied(np.random.default_rng(seed), page, 90)
        assert copy.shape == page.shape
        assert copy.dtype == np.uint8
        assert (copy < 128).sum() > 0.95 * (page < 128).sum()
    np.testing.assert_array_equal(distort.copied(np.random.default_rng(0), page, 5), page)


def test_boosting_brings_every_character_into_the_text(corpus: Corpus) -> None:
    found = symbols.histogram(corpus, DataSettings().kinds, 4000)
    assert found.before.sum() == pytest.approx(1)
    assert found.after.sum() == pytest.approx(1)
    before, after = found.scarce(1e-5)
    assert len(before) > 40
    assert len(after) < len(before) / 2
    assert sorted(found.characters) == sorted(CHARACTERS.replace(" ", ""))


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_line_of_the_corpus_is_in_the_alphabet(corpus: Corpus, kind: str) -> None:
    rng = np.random.default_rng(1)
    lines = [corpus.line(rng, kind, 5) for _ in range(60)]
    assert all(line and knows(line) and "  " not in line for line in lines)
    assert len(set(lines)) > 30


def test_the_same_seed_makes_the_same_window(corpus: Corpus, some_fonts: fonts.Fonts) -> None:
    maker = windows.Maker(corpus, some_fonts, DataSettings())
    first, second = (maker.make(np.random.default_rng([9, 4])) for _ in range(2))
    assert first[1:] == second[1:]
    np.testing.assert_array_equal(first[0], second[0])
    assert first[0].shape == (HEIGHT, WIDTH)
    assert first[0].dtype == np.uint8


def test_windows_never_hold_more_characters_than_the_net_has_steps(corpus: Corpus, some_fonts: fonts.Fonts) -> None:
    maker = windows.Maker(corpus, some_fonts, DataSettings())
    for i in range(60):
        _, text, kind, _ = maker.make(np.random.default_rng([2, i]))
        repeats = sum(a == b for a, b in itertools.pairwise(text))
        assert len(text) + repeats <= WIDTH // 4
        assert text or kind == "negative"


def test_small_capitals_and_missing_glyphs_are_struck_out() -> None:
    path = LIBERATION / "LiberationSans-Regular.ttf"
    if not path.exists():
        pytest.skip("Debian's fonts-liberation is not installed")
    font = ImageFont.truetype(str(path), 40, layout_engine=ImageFont.Layout.BASIC)
    references = fonts._reference_glyphs([path, LIBERATION / "LiberationSerif-Regular.ttf"])
    usable = fonts.usable(font, references)
    assert {"a", "Z", "0", "é", "€"} <= set(usable)
    assert "№" not in usable or font.getmask("№").getbbox()
    swapped = {c: references[c.upper()] if c.isalpha() else references[c] for c in references}
    assert len(fonts.usable(font, swapped)) <= len(usable)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put an npm on the path whose registry has one package, of the licence given."""

    def publish(licence: str) -> None:
        package = tmp_path / "package"
        (package / "files").mkdir(parents=True, exist_ok=True)
        (package / "package.json").write_text(json.dumps({"license": licence}))
        for name in ("jost-latin-400-normal.woff2", "jost-latin-400-normal.woff", "jost-cyrillic-400-normal.woff2"):
            (package / "files" / name).write_bytes(name.encode())
        npm = tmp_path / "bin" / "npm"
        npm.parent.mkdir(exist_ok=True)
        npm.write_text(f"#!/bin/sh\n[ $1 = pack ] && tar czf fontsource-jost.tgz -C {tmp_path} package\n")
        npm.chmod(0o755)
        monkeypatch.setenv("PATH", f"{npm.parent}:{os.environ['PATH']}")

    return publish


def test_latin_files_alone_are_taken_from_npm(registry: Callable[[str], None], tmp_path: Path) -> None:
    registry("OFL-1.1")
    fonts.fetch(["jost"], tmp_path / "fonts")
    assert [path.name for path in (tmp_path / "fonts").iterdir()] == ["jost-latin-400-normal.woff2"]
    assert (tmp_path / "fonts" / "jost-latin-400-normal.woff2").read_text() == "jost-latin-400-normal.woff2"


def test_a_font_that_is_not_free_is_refused(registry: Callable[[str], None], tmp_path: Path) -> None:
    registry("UNLICENSED")
    with pytest.raises(fonts.FontError, match=r"UNLICENSED; take it out of fonts\.toml"):
        fonts.fetch(["jost"], tmp_path / "fonts")
    assert not list((tmp_path / "fonts").iterdir())


def test_without_npm_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(fonts.FontError, match="apt install npm"):
        fonts.fetch(["jost"], tmp_path / "fonts")
