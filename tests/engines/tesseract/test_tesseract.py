from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines import registry
from engines.api import Engine, Page
from engines.conformance import EngineConformance, words
from engines.documents import specimen
from engines.errors import MissingError, OptionsError
from engines.tesseract import TESSDATA, Tesseract

pytest.importorskip("tesserocr", reason="tesserocr is missing: pip install 'cloister[tesseract]'")
ENGLISH = next((Path(folder) for folder in TESSDATA if (Path(folder) / "eng.traineddata").is_file()), None)
if ENGLISH is None:
    pytest.skip("eng.traineddata is missing: apt-get install tesseract-ocr-eng", allow_module_level=True)


@pytest.fixture(scope="module")
def engine() -> Engine:
    tesseract = registry.create("tesseract")
    tesseract.load()
    return tesseract


class TestConformance(EngineConformance): ...


def test_words_carry_their_own_boxes(engine: Engine) -> None:
    corner, grocery = engine.recognize(Page(specimen.receipt())).lines[0].words
    assert (corner.text, grocery.text) == ("Corner", "Grocery")
    # Where the specimen is drawn: a tenth of its width in, a twentieth of its height down, letters some 20 px high.
    assert corner.quad.top_left == pytest.approx((64, 58), abs=3)
    assert corner.quad.bottom_right[0] < grocery.quad.top_left[0]
    assert 15 <= corner.quad.bottom_left[1] - corner.quad.top_left[1] <= 25
    assert corner.confidence > 0.9


def test_a_line_that_stands_on_end_has_its_corners_in_reading_order(engine: Engine) -> None:
    clockwise = np.ascontiguousarray(np.rot90(specimen.receipt(), -1))
    corner = engine.recognize(Page(clockwise)).lines[0].words[0]
    assert corner.text == "Corner"
    assert corner.quad.top_left[0] == corner.quad.top_right[0]
    assert corner.quad.top_left[1] < corner.quad.top_right[1]
    assert corner.quad.bottom_left[0] < corner.quad.top_left[0]


def test_a_page_longer_than_tesseract_takes_is_read_smaller(engine: Engine) -> None:
    receipt = specimen.receipt(400, 640)
    page = Page(np.pad(receipt, ((33_000, 0), (0, 0), (0, 0)), constant_values=250))
    read = engine.recognize(page)
    assert "Corner" in words(read)
    assert all(word.quad.top_left[1] > 33_000 for line in read.lines for word in line.words)


def test_missing_language_data_are_named_with_the_package_that_brings_them() -> None:
    with pytest.raises(MissingError, match=r"xyz.*tesseract-ocr-xyz"):
        Tesseract(languages=["eng", "xyz"])


def test_data_are_looked_for_where_the_settings_say_and_nowhere_else(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=str(tmp_path)):
        Tesseract(tessdata=str(tmp_path))
    assert ENGLISH is not None
    (tmp_path / "eng.traineddata").write_bytes((ENGLISH / "eng.traineddata").read_bytes())
    assert Tesseract(tessdata=str(tmp_path)).model_version.startswith("eng-")


def test_damaged_language_data_are_refused_on_loading(tmp_path: Path) -> None:
    (tmp_path / "eng.traineddata").write_bytes(b"not language data")
    with pytest.raises(MissingError, match="can't be loaded"):
        Tesseract(tessdata=str(tmp_path)).load()


def test_a_mistaken_option_is_named() -> None:
    with pytest.raises(OptionsError, match="langs"):
        registry.create("tesseract", {"langs": ["eng"]})
    with pytest.raises(OptionsError, match="languages is a list"):
        registry.create("tesseract", {"languages": "eng"})
