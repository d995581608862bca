"""The recogniser on its shipped weights: the same logits as where it was trained, also in a forked child."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.scribe.recogniser.batches import ROOM, WIDTHS, columns
from engines.scribe.recogniser.card import CARD_FILE, LARGE_FILE, SMALL_FILE, Enough, WeightsError, weights
from engines.scribe.recogniser.port import SMALL
from engines.scribe.recogniser.precision import Precision, fastest
from engines.scribe.recogniser.reader import Net, Recogniser, callable_graph
from engines.scribe.windows import HEIGHT, WIDTH, Reading

WEIGHTS = Path(__file__).parents[4] / "engines" / "scribe" / "weights"


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return Recogniser.load(WEIGHTS)


@pytest.fixture(scope="module")
def golden() -> dict[str, NDArray[np.float32]]:
    with np.load(Path(__file__).with_name("golden.npz")) as file:
        return {name: file[name] for name in file.files}


def test_tensorflow_gives_the_logits_that_pytorch_gave(golden: dict[str, NDArray]) -> None:
    recogniser = Recogniser.load(WEIGHTS, Precision.FLOAT32)
    windows = golden["windows"]
    np.testing.assert_allclose(recogniser.logits(windows), golden["logits"], atol=1e-4)
    np.testing.assert_allclose(recogniser.logits(windows[:, :, : WIDTH // 2].copy()), golden["narrow"], atol=1e-4)


def test_so_does_the_small_net(golden: dict[str, NDArray]) -> None:
    windows = np.ascontiguousarray(golden["windows"][:, :, : WIDTH // 2])
    run = callable_graph(weights(WEIGHTS, SMALL_FILE), Precision.FLOAT32, SMALL)
    with np.load(Path(__file__).with_name(SMALL_FILE)) as file:
        np.testing.assert_allclose(run(windows), file["logits"], atol=1e-4)


class Spied(Net):
    """A net that counts the windows it reads."""

    def __init__(self, of: Net) -> None:
        self._of = of
        self.seen = 0

    def read(self, *given: Any) -> Iterator[tuple[int, Reading]]:
        for place, reading in self._of.read(*given):
            self.seen += 1
            yield place, reading


@pytest.mark.parametrize(("enough", "twice"), [(Enough(0, 0, 0), 0), (Enough(1.01, 0, 0), 3)], ids=["all", "none"])
def test_windows_are_read_twice_where_once_is_not_enough(
    recogniser: Recogniser, golden: dict[str, NDArray], enough: Enough, twice: int
) -> None:
    assert recogniser._small is not None
    large, small = Spied(recogniser._large), Spied(recogniser._small)
    windows = golden["windows"][:3]
    read = Recogniser(large, replace(recogniser.card, enough=enough), small).read(windows)
    assert (small.seen, large.seen) == (3, twice)
    alone = Recogniser(recogniser._large if twice else recogniser._small, recogniser.card).read(windows)
    assert [(reading.text, reading.confidence) for reading in read] == [
        (reading.text, reading.confidence) for reading in alone
    ]


@pytest.mark.parametrize(
    ("probabilities", "confidence", "says"),
    [
        ([0.91, 1.0], 0.5, "ab"),
        ([0.89, 1.0], 1.0, None),
        ([0.91, 1.0], 0.49, None),
        ([0.1, 0.41], 0.01, None),
        ([0.1, 0.39], 0.01, ""),
        ([], 0.1, ""),
    ],
)
def test_what_is_enough(probabilities: list[float], confidence: float, says: str | None) -> None:
    given = np.array(probabilities, np.float32)
    settled = Enough(0.9, 0.5, 0.4).settled(Reading("ab"[: len(given)], given, given, confidence))
    assert (settled and (settled.text, len(settled.columns), len(settled.probabilities))) == (
        None if says is None else (says, len(says), len(says))
    )


def test_bfloat16_reads_the_same_text(golden: dict[str, NDArray]) -> None:
    exact, quick = (Recogniser.load(WEIGHTS, precision).read(golden["windows"]) for precision in Precision)
    assert [reading.text for reading in quick] == [reading.text for reading in exact]
    for one, other in zip(quick, exact, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=0.1)


def test_windows_are_read_in_as_many_columns_as_their_text_needs(
    recogniser: Recogniser, golden: dict[str, NDArray], monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = [0, 1, WIDTHS[0] - ROOM, WIDTHS[0] - ROOM + 1, WIDTH - ROOM, WIDTH]
    windows = np.full((len(ends), HEIGHT, WIDTH), 250, np.uint8)
    for window, end in zip(windows, ends, strict=True):
        window[4:20, max(0, end - 9) : end] = 30
    assert columns(windows).tolist() == [*WIDTHS[:1] * 3, WIDTHS[1], WIDTH, WIDTH]
    fitting = recogniser.read(golden["windows"])
    monkeypatch.setattr("engines.scribe.recogniser.batches.WIDTHS", (WIDTH,))
    assert [reading.text for reading in fitting] == [reading.text for reading in recogniser.read(golden["windows"])]


@pytest.mark.parametrize(
    ("flags", "precision"), [("fpu avx512f avx512_bf16", Precision.BFLOAT16), ("fpu avx2", Precision.FLOAT32)]
)
def test_the_precision_is_what_the_cpu_can_do(tmp_path: Path, flags: str, precision: Precision) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n\n")
    assert fastest(tmp_path / "cpuinfo") == precision
    assert fastest(tmp_path / "nowhere") == Precision.FLOAT32


CANARY = """
import json, os, sys
from pathlib import Path
import numpy as np
from engines.scribe.recogniser.reader import Recogniser

recogniser = Recogniser.load(Path(sys.argv[1]))
windows = np.concatenate([np.load(sys.argv[2])["windows"]] * 7)[:19]
here = [reading.text for reading in recogniser.read(windows)]
source, sink = os.pipe()
child = os.fork()
if child == 0:
    os.write(sink, json.dumps([reading.text for reading in recogniser.read(windows)]).encode())
    os._exit(0)
os.close(sink)
there = os.fdopen(source, "rb").read()
os.waitpid(child, 0)
print(json.dumps([here, json.loads(there)]))
"""


def test_a_forked_child_reads_what_its_parent_reads() -> None:
    # In a process of its own, as in the zygote: another test's Session would bring thread pools that a child has not.
    golden = Path(__file__).with_name("golden.npz")
    command = [sys.executable, "-c", CANARY, str(WEIGHTS), str(golden)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True, cwd=WEIGHTS.parents[2])
    here, there = json.loads(done.stdout.splitlines()[-1])
    assert there == here
    assert any(here)


def test_readings_come_in_the_order_of_the_windows_whatever_their_width(
    recogniser: Recogniser, golden: dict[str, NDArray]
) -> None:
    windows = golden["windows"]
    one_by_one = [recogniser.read(window[None])[0].text for window in windows]
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(len(windows)), 6))
    assert [reading.text for reading in recogniser.read(windows[order])] == [one_by_one[i] for i in order]


def test_a_reading_has_a_column_and_a_probability_for_each_character(
    recogniser: Recogniser, golden: dict[str, NDArray]
) -> None:
    for reading in recogniser.read(golden["windows"]):
        assert len(reading.columns) == len(reading.probabilities) == len(reading.text)
        assert (np.diff(reading.columns) > 0).all()
        assert ((reading.columns >= 0) & (reading.columns <= WIDTH)).all()
        assert 0 <= reading.confidence <= 1


def test_an_empty_page_gives_no_readings(recogniser: Recogniser) -> None:
    assert recogniser.read(np.zeros((0, HEIGHT, WIDTH), np.uint8)) == []


def test_a_window_of_bare_paper_is_read_as_no_text(recogniser: Recogniser) -> None:
    paper = np.random.default_rng(0).normal(230, 2, (3, HEIGHT, WIDTH)).astype(np.uint8)
    assert [reading.text for reading in recogniser.read(paper)] == ["", "", ""]


def test_damaged_weights_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=str(tmp_path)):
        Recogniser.load(tmp_path)
    (tmp_path / "word.npz").write_bytes(b"PK\x03\x04 not an archive")
    (tmp_path / "word.json").write_text((WEIGHTS / "word.json").read_text())
    with pytest.raises(WeightsError, match=str(tmp_path)):
        Recogniser.load(tmp_path)


def test_a_small_net_that_is_promised_and_missing_is_named(tmp_path: Path) -> None:
    for name in (LARGE_FILE, CARD_FILE):
        (tmp_path / name).write_bytes((WEIGHTS / name).read_bytes())
    with pytest.raises(WeightsError, match=SMALL_FILE):
        Recogniser.load(tmp_path)
    assert Recogniser.load(tmp_path, cascade=False).read(np.zeros((0, HEIGHT, WIDTH), np.uint8)) == []


def test_weights_for_another_alphabet_are_refused(tmp_path: Path) -> None:
    (tmp_path / "word.npz").write_bytes((WEIGHTS / "word.npz").read_bytes())
    card = json.loads((WEIGHTS / "word.json").read_text()) | {"alphabet": "abc"}
    (tmp_path / "word.json").write_text(json.dumps(card))
    with pytest.raises(WeightsError, match="alphabet"):
        Recogniser.load(tmp_path)


@pytest.mark.parametrize("card", ['{"alphabet": ""}', "{}", "[]", '{"small": {"sure": 1}}'])
def test_a_card_that_is_none_is_refused_by_name(tmp_path: Path, card: str) -> None:
    whole = json.loads((WEIGHTS / CARD_FILE).read_text())
    given = json.loads(card)
    (tmp_path / CARD_FILE).write_text(json.dumps(whole | given if "small" in given else given))
    with pytest.raises(WeightsError, match=str(tmp_path / CARD_FILE)):
        Recogniser.load(tmp_path)
