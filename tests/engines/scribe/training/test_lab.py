"""The lab's records: from folders and from MLflow, the notebook made of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from engines.scribe.training.lab import notebook, recipe
from engines.scribe.training.lab.problems import LabError
from engines.scribe.training.lab.record import Net, Record, folder_of, from_folder, note, thinned
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
