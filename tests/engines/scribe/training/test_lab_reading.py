"""What the lab says of weights: true confidence, thresholds, misreadings; and its sheet of fonts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from engines.scribe.recogniser.alphabet import CHARACTERS
from engines.scribe.recogniser.reader import Recogniser
from engines.scribe.training.fonts import Font
from engines.scribe.training.lab import calibration, fontsheet, misreadings, reading, thresholds
from engines.scribe.training.lab.crops import Sample, page_samples
from engines.scribe.training.lab.problems import LabError
from engines.scribe.windows import HEIGHT
from engines.scribe.wordinator.buckets import START, Buckets, BucketsError


def test_confidence_that_is_true_has_no_error_and_needs_no_temperature() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.2, 1, 20_000)
    right = rng.random(20_000) < confidence
    assert calibration.calibration_error(confidence, right) < 0.02
    assert calibration.temperature(confidence, right) == pytest.approx(1, abs=0.05)
    squared = rng.random(20_000) < confidence**2
    assert calibration.calibration_error(confidence, squared) > 0.1
    assert calibration.temperature(confidence, squared) == pytest.approx(0.5, abs=0.03)


def test_no_word_is_judged_by_the_temperature_it_was_fitted_on() -> None:
    rng = np.random.default_rng(1)
    samples = [Sample(np.zeros((HEIGHT, 8), np.uint8), "x") for _ in range(400)]
    confidence = rng.uniform(0.2, 1, 400)
    half = np.arange(400) % 2 == 0
    right = rng.random(400) < np.where(half, confidence, confidence**3)
    words = calibration.Judged(confidence, right, tuple(samples))
    divisor, tempered = calibration.crossed(words)
    assert 0.33 < divisor < 1
    assert (tempered[half] < confidence[half]).all()  # by the other half's, which were too sure of themselves
    other = calibration.temperature(confidence[half], right[half])
    np.testing.assert_allclose(tempered[~half], confidence[~half] ** (1 / other))


def test_each_word_of_the_truth_makes_one_word_right() -> None:
    from engines.api import Quad, Word

    nowhere = Quad((0, 0), (0, 0), (0, 0), (0, 0))
    line = [Word(text, 0.5, nowhere) for text in ("Tax", "Tax", "total")]
    sample = Sample(np.zeros((HEIGHT, 8), np.uint8), "TAX TOTAL")
    assert [hit for _, hit in calibration.hits(sample, line)] == [False, False, False]
    assert [hit for _, hit in calibration.hits(replace(sample, folded=True), line)] == [True, False, True]


@pytest.fixture(scope="module")
def net() -> Recogniser:
    return reading.recogniser()[0]


def drawn(text: str, shade: int = 20) -> np.ndarray:
    font = ImageFont.load_default(22)
    width = int(font.getlength(text)) + 20
    image = Image.new("L", (width, HEIGHT), 245)
    ImageDraw.Draw(image).text((10, 2), text, font=font, fill=shade)
    return np.asarray(image)


TEXTS = ("TOTAL 18.49", "DATE 14.03.2026 INVOICE 20417 AMOUNT 118.20 EUR PAID 205.70", "CASH 20.00")


def test_strips_are_read_as_the_engine_reads_lines(net: Recogniser) -> None:
    (part,) = reading.read(net, [drawn(text) for text in TEXTS])
    assert len(part.windows.pixels) > len(TEXTS)  # the long one is cut
    read = [" ".join(word.text for word in line) for line in part.words(START)]
    assert read == list(TEXTS)


def test_found_thresholds_are_no_worse_than_those_before(net: Recogniser) -> None:
    rng = np.random.default_rng(0)
    samples = [Sample(drawn(text), text) for text in TEXTS]
    samples += [Sample(rng.integers(120, 250, (HEIGHT, 90), dtype=np.uint8), "") for _ in range(8)]
    before = Buckets(noise=0.0, noise_known=0.0, noise_short=0.0, sure=0.9, temperature=1.0)
    found = thresholds.found(net, samples, before)
    assert found.after >= found.before
    assert thresholds.found(net, samples, found.buckets).after == found.after


def test_misreadings_are_told_by_their_edits_and_shown(net: Recogniser, tmp_path: Path) -> None:
    samples = [Sample(drawn("TOTAL 18"), truth, "s", "k") for truth in ("TOTAL 18", "T0TAL 18", "T0TAL 10")]
    found = misreadings.misreadings(net, samples, START)
    assert [one.truth for one in found] == ["T0TAL 18", "T0TAL 10"]
    assert misreadings.pairs(found) == [(("0", "O"), 2), (("0", "8"), 1)]
    page = misreadings.write(found, samples, tmp_path)
    assert "| s | 3 | 66.7% | `0` `O` 2, `0` `8` 1 |" in page.read_text()
    with Image.open(tmp_path / "s-worst.png") as sheet:
        assert len(sheet.convert("RGB").getcolors(1 << 20)) > 100  # a crop and captions in colours


def test_what_is_handwritten_on_a_form_is_apart_from_its_print(tmp_path: Path) -> None:
    page = np.full((1000, 778), 250, np.uint8)
    folder = tmp_path / "funsd"
    (folder / "images").mkdir(parents=True)
    boxes = {"Client": [60, 275, 140, 295], "6/8/83": [470, 725, 570, 750]}
    for x, y, r, b in boxes.values():
        page[y:b, x:r] = 30
    quads = {text: [[x, y], [r, y], [r, b], [x, b]] for text, (x, y, r, b) in boxes.items()}
    words = [{"text": text, "quad": quad} for text, quad in quads.items()]
    names = ("89386032.png", "other.png")  # of the first one the list of handwriting knows where it is
    for name in names:
        cv2.imwrite(str(folder / "images" / name), page)
    (folder / "truth.jsonl").write_text("\n".join(json.dumps({"image": f"images/{n}", "words": words}) for n in names))
    samples = list(page_samples(folder, 9))
    sets = [(sample.text, sample.set) for sample in samples]
    assert sets[:2] == [("Client", "funsd"), ("6/8/83", "funsd-handwriting")]
    assert sets[2:] == [("Client", "funsd"), ("6/8/83", "funsd")]
    assert all(sample.strip.shape[0] == HEIGHT for sample in samples)
    with pytest.raises(LabError, match="no truth"):
        list(page_samples(tmp_path, 9))


def test_the_crop_of_a_word_shows_nothing_of_the_word_beside_it(tmp_path: Path) -> None:
    page = np.full((100, 300), 250, np.uint8)
    boxes = {"25-": [40, 20, 90, 60], "84": [90, 20, 150, 60], "Mar": [190, 20, 250, 60]}
    for left, top, right, bottom in boxes.values():
        for x in range(left, right, 10):
            page[top:bottom, x : x + 4] = 30
    folder = tmp_path / "forms"
    (folder / "images").mkdir(parents=True)
    cv2.imwrite(str(folder / "images" / "a.png"), page)
    words = [{"text": t, "quad": [[x, y], [r, y], [r, b], [x, b]]} for t, (x, y, r, b) in boxes.items()]
    (folder / "truth.jsonl").write_text(json.dumps({"image": "images/a.png", "words": words}))
    strips = {sample.text: sample.strip[HEIGHT // 2] < 128 for sample in page_samples(folder, 9)}
    for text, (left, _, right, _) in boxes.items():
        dark = np.flatnonzero(strips[text]) * 40 * 1.3 / HEIGHT  # px of the page
        assert dark[0] == pytest.approx(6, abs=2)  # its margin is there, but empty
        assert dark[-1] - dark[0] == pytest.approx(right - left - 7, abs=3)


def test_the_font_sheet_shows_what_is_struck_out(tmp_path: Path) -> None:
    path = Path("/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf")
    if not path.exists():
        pytest.skip("Debian's fonts-liberation is not installed")
    whole = Font(str(path), "liberation sans", "Regular", "sans", CHARACTERS)
    broken = replace(whole, style="Broken", characters=CHARACTERS.replace("g", "").replace("Q", ""))
    assert fontsheet.struck_out(whole) == ""
    assert fontsheet.struck_out(broken) == "Qg"
    assert fontsheet.chosen([whole, broken], "", "") == [whole]
    assert fontsheet.chosen([whole, broken], "sans", "broken") == [broken]
    fontsheet.draw([whole, broken], tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        red = (np.asarray(sheet.convert("RGB")) == fontsheet._STRUCK).all(2).any(1)
    assert not red[: fontsheet._ROW].any()
    assert red[fontsheet._ROW :].any()


def test_buckets_are_kept_with_the_weights(tmp_path: Path) -> None:
    (tmp_path / "word.json").write_text(json.dumps({"version": "9"}))
    with pytest.raises(BucketsError, match="cloister lab buckets"):
        Buckets.load(tmp_path)
    START.save(tmp_path)
    assert Buckets.load(tmp_path) == START
    assert json.loads((tmp_path / "word.json").read_text())["version"] == "9"
    replace(START, noise=1.5).save(tmp_path)
    with pytest.raises(BucketsError, match=r"0\.\.1"):
        Buckets.load(tmp_path)
