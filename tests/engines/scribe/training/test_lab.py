"""The lab: records from folders, the notebook made of them, true confidence, thresholds, misreadings, sheets."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from typer.testing import CliRunner

from engines.scribe.recogniser.alphabet import CHARACTERS
from engines.scribe.recogniser.reader import Recogniser
from engines.scribe.training.fonts import Font
from engines.scribe.training.lab import calibration, fontsheet, misreadings, notebook, reading, recipe, thresholds
from engines.scribe.training.lab.crops import Sample, page_samples
from engines.scribe.training.lab.problems import LabError
from engines.scribe.training.lab.record import Net, Record, folder_of, from_folder, note, thinned
from engines.scribe.windows import HEIGHT
from engines.scribe.wordinator.buckets import START, Buckets, BucketsError
from server.cli import app

ROOT = Path(__file__).parents[4]


def log_run(folder: Path, *entries: dict[str, object], goal: str = "see", at: str = "2026-01-02 03:04:05") -> Path:
    """A run's folder, as `train` leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"train": {"seed": 7, "steps": 100}, "commit": "abc", "from_step": 0, "at": at, "goal": goal}
    with (folder / "settings.jsonl").open("a") as file:
        file.write(json.dumps(settings) + "\n")
    with (folder / "log.jsonl").open("a") as file:
        file.writelines(json.dumps(entry) + "\n" for entry in entries)
    return folder


EVALUATED = {"real": {"words": 0.5, "by": {"receipt": 0.25}}}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the repository's root, as far as runs go."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def test_a_folder_is_a_record(here: Path) -> None:
    log_run(here / "runs" / "one", {"step": 50, "loss": 2.0}, {"step": 50, **EVALUATED})
    record = from_folder(folder_of("one"))
    assert (record.name, record.net, record.goal, record.commit) == ("one", Net.WORD, "see", "abc")
    assert record.settings["train.seed"] == "7"
    assert record.series == {"loss": [(50, 2.0)], "real/words": [(50, 0.5)], "real/by/receipt": [(50, 0.25)]}


def test_a_run_that_went_on_from_a_checkpoint_has_one_value_a_step(here: Path) -> None:
    folder = log_run(here / "runs" / "one", {"step": 50, "loss": 2.0}, {"step": 100, "loss": 1.0})
    log_run(folder, {"step": 100, "loss": 1.5}, goal="")
    record = from_folder(folder)
    assert record.series["loss"] == [(50, 2.0), (100, 1.5)]
    assert record.goal == "see"


def test_the_turn_nets_runs_are_told_by_their_folders(here: Path) -> None:
    log_run(here / "runs" / "orientation-first", {"step": 1, "crops": 0.9})
    record = from_folder(folder_of("first"))
    assert (record.name, record.net) == ("first", Net.TURN)
    with pytest.raises(LabError, match="no run second"):
        folder_of("second")


def test_a_thinned_record_keeps_both_ends_of_its_curves() -> None:
    record = Record("long", Net.WORD, series={"loss": [(step, 1 / step) for step in range(1, 1001)]})
    points = thinned(record, 50).series["loss"]
    assert len(points) <= 51
    assert points[0] == (1, 1.0)
    assert points[-1] == (1000, 0.001)


def test_the_committed_page_is_that_of_the_committed_entries() -> None:
    entries = notebook.entries()
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
    assert notebook.PAGE.read_text(encoding="utf-8") == notebook.text(entries) + "\n"
    for line in notebook.PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("!["):
            assert (notebook.PAGE.parent / line.partition("](")[2].rstrip(")")).exists(), line


def test_runs_enter_the_notebook_with_what_was_learnt_and_keep_their_number() -> None:
    old = [notebook.Entry(1, Record("old", Net.WORD), title="the first")]
    taught = Record("new", Net.WORD, learnt="much", started="2026-01-02", series={"real/words": [(5, 0.9)]})
    quiet = replace(taught, name="quiet", learnt="", started="2026-01-01")
    entries = notebook.taken_in(old, [taught, quiet])
    assert [(entry.number, entry.record.name) for entry in entries] == [(1, "old"), (2, "new")]
    entries = notebook.taken_in(entries, [replace(taught, learnt="more"), quiet], ["quiet"])
    assert [(entry.number, entry.record.learnt) for entry in entries] == [(1, ""), (2, "more"), (3, "")]
    page = notebook.text(entries)
    assert page.index("## 3 · quiet") < page.index("## 2 · new") < page.index("## 1 · old: the first")
    assert "Learnt: more" in page


def test_entries_come_back_from_their_files(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the training extra (matplotlib) is not installed")
    curve = {"loss": [(1, 2.0), (2, 1.0)], "real/words": [(1, 0.5), (2, 0.75)]}
    entry = notebook.Entry(7, Record("one", Net.WORD, goal="see", series=curve), results="good")
    notebook.write([entry], tmp_path / "notebook", tmp_path / "PAGE.md")
    assert notebook.entries(tmp_path / "notebook") == [entry]
    with Image.open(tmp_path / "notebook" / entry.plot) as plot:
        assert len(plot.convert("RGB").getcolors(1 << 20)) > 2
    assert (tmp_path / "notebook" / entry.plot).stat().st_size < 40_000
    assert notebook.noted("one", "a lot", tmp_path / "notebook")
    assert notebook.entries(tmp_path / "notebook")[0].record.learnt == "a lot"
    assert not notebook.noted("two", "a lot", tmp_path / "notebook")


def test_the_recipes_hash_is_of_settings_code_and_shards(here: Path) -> None:
    maker, shards = ROOT / "engines/scribe/training/data.py", here / "shards"
    names = {path.name for path in recipe.code(maker)}
    assert {"data.py", "windows.py", "distort.py", "corpus.py", "fonts.toml"} <= names
    assert "train.py" not in names
    hashes = [recipe.recipe({"seed": seed}, maker, shards)["hash"] for seed in (1, 1, 2)]
    assert hashes[0] == hashes[1] != hashes[2]
    (shards / "real").mkdir(parents=True)
    (shards / "real" / "0.jsonl").write_text("{}")
    told = recipe.recipe({"seed": 1}, maker, shards)
    assert told["hash"] != hashes[0]
    assert told["shards"]["real"]["count"] == 1


WITHOUT = """
import sys
sys.modules["mlflow"] = None  # as if it were not installed
from pathlib import Path
from engines.scribe.training.lab.recorder import Recorder
recorder = Recorder(Path("runs/one"))
recorder.update()
recorder.finish()
"""


def test_a_run_goes_on_where_mlflow_is_not_installed(here: Path) -> None:
    log_run(here / "runs" / "one", {"step": 50, "loss": 2.0})
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}", "PATH": "/usr/bin"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, cwd=here, env=environment, check=True
    )
    assert done.stdout.count("cloister lab import one") == 1
    assert not (here / "runs" / "mlflow.db").exists()


@pytest.mark.filterwarnings("ignore")  # MLflow's own
class TestMlflow:
    @pytest.fixture(scope="class")
    def tables(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A database with its tables, which take MLflow seconds to make, and no runs."""
        pytest.importorskip("mlflow", reason="the training extra (mlflow) is not installed")
        from engines.scribe.training.lab.store import Store

        folder = tmp_path_factory.mktemp("tables")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.delenv("MLFLOW_TRACKING_URI", raising=False)
            assert Store().records() == []
        return folder / "runs" / "mlflow.db"

    @pytest.fixture(autouse=True)
    def _made(self, here: Path, tables: Path) -> None:
        (here / "runs").mkdir()
        shutil.copy(tables, here / "runs" / tables.name)

    def test_a_run_is_recorded_as_it_goes(self, here: Path) -> None:
        from engines.scribe.training.lab.recorder import Recorder
        from engines.scribe.training.lab.store import Store

        folder = log_run(here / "runs" / "one", {"step": 50, "loss": 2.0})
        recorder = Recorder(folder)
        log_run(folder, {"step": 100, "loss": 1.0}, {"step": 100, **EVALUATED}, goal="")
        recorder.update()
        recorder.finish()
        Recorder(folder).finish()  # as when it goes on
        note(folder, learnt="much", figures={"sroie": {"words": 0.9}})
        Store().sync(folder, ended=True)
        assert Store().records() == [from_folder(folder)]

    def test_a_folder_that_takes_an_old_ones_name_is_another_run(self, here: Path) -> None:
        from engines.scribe.training.lab.store import Store

        folder = log_run(here / "runs" / "one", {"step": 50, "loss": 2.0})
        Store().sync(folder)
        for path in folder.iterdir():
            path.unlink()
        log_run(folder, {"step": 50, "loss": 3.0}, at="2026-02-02 03:04:05")
        Store().sync(folder)
        assert [record.series["loss"] for record in Store().records()] == [[(50, 2.0)], [(50, 3.0)]]

    def test_a_server_that_is_away_stops_no_run(
        self, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from engines.scribe.training.lab.recorder import Recorder

        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        recorder = Recorder(log_run(here / "runs" / "one", {"step": 50, "loss": 2.0}))
        recorder.update()
        assert capsys.readouterr().out.count("no longer recorded") == 1

    def test_the_command_imports_shows_and_notes(self, here: Path) -> None:
        log_run(here / "runs" / "one", {"step": 50, "loss": 2.0})
        figures = here / "figures.json"
        figures.write_text(json.dumps({"version": "1", "sroie": {"words": 0.9, "false": None}}))
        assert "one" in lab("list")
        lab("import", "one", "--figures", str(figures))
        assert "its folder and MLflow" in lab("learnt", "one", "that it works")
        shown = lab("show", "one")
        assert "that it works" in shown
        assert "words 0.9" in shown


def lab(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["lab", *arguments])
    assert done.exit_code == code, done.output
    return done.output


def test_the_command_lists_the_notebook(here: Path) -> None:
    listed = lab("list")
    for entry in notebook.entries():
        assert entry.record.name in listed
    assert "no run nothing" in lab("show", "nothing", code=1)


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


def test_words_of_a_form_have_the_label_of_their_field(tmp_path: Path) -> None:
    page = np.full((100, 300), 250, np.uint8)
    page[20:40, 10:90] = 30
    page[20:40, 110:190] = 30
    folder = tmp_path / "funsd"
    (folder / "images").mkdir(parents=True)
    cv2.imwrite(str(folder / "images" / "a.png"), page)
    boxes = {"NAME:": [10, 20, 90, 40], "Smith": [110, 20, 190, 40]}
    quads = {text: [[x, y], [r, y], [r, b], [x, b]] for text, (x, y, r, b) in boxes.items()}
    truth = {
        "image": "images/a.png",
        "words": [{"text": text, "quad": quad} for text, quad in quads.items()],
        "lines": [
            {"text": text, "quad": quad, "label": label}
            for (text, quad), label in zip(quads.items(), ("question", "answer"), strict=True)
        ],
    }
    (folder / "truth.jsonl").write_text(json.dumps(truth))
    samples = list(page_samples(folder, 9))
    assert [(sample.text, sample.kind) for sample in samples] == [("NAME:", "question"), ("Smith", "answer")]
    assert all(sample.strip.shape[0] == HEIGHT for sample in samples)
    with pytest.raises(LabError, match="no truth"):
        list(page_samples(tmp_path, 9))


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
