"""``cloister compare``: a folder of documents, two engines, with and without truth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from server import catalogue
from server.cli import app
from server.cli.common import Exit
from tests.server.candidates import candidate
from tests.server.conftest import tiny
from tests.server.jobs import document


@pytest.fixture
def cloister(monkeypatch: pytest.MonkeyPatch) -> object:
    """The command, with two engines that read alike but for what their names are given to do."""
    monkeypatch.setattr(
        catalogue, "installed", lambda settings: (tiny("one"), candidate("two", misread="cat", crash_on="poison"))
    )

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["compare", *arguments, "--engines", "one,two"])

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two kinds; one with truth."""
    contents = {"pets/images/a.png": "a cat sat", "pets/images/b.png": "a dog", "bills/c.png": "19.78"}
    for name, text in contents.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(document(text))
    truth = [
        {"image": "images/a.png", "words": [{"text": word, "quad": None} for word in ("a", "cat", "sat")]},
        {"image": "images/b.png", "page_text": "a dog"},
    ]
    (tmp_path / "pets" / "truth.jsonl").write_text("\n".join(map(json.dumps, truth)))
    return tmp_path


def test_engines_are_held_against_each_other_and_the_truth_by_kind(cloister: object, folder: Path) -> None:
    done = cloister(str(folder), "--json")  # type: ignore[operator]
    assert done.exit_code == 0, done.stderr
    made = json.loads(done.stdout)
    assert (made["control"], made["candidate"], made["documents"]) == ("one", "two", 3)
    assert (made["total"]["same_text"], made["total"]["differ_letters"]) == (5, 1)
    kinds = {kind["name"]: kind for kind in made["kinds"]}
    assert set(kinds) == {"pets", "bills"}
    assert kinds["bills"]["truth"] is None
    assert (kinds["pets"]["truth"]["control"], kinds["pets"]["truth"]["candidate"]) == (1.0, 0.8)
    assert made["worst"][0]["id"] == "pets/images/a.png"
    assert made["verdict"] == "hold"


def test_a_report_is_written_and_a_document_that_one_can_not_read_counts(cloister: object, folder: Path) -> None:
    (folder / "bills" / "d.png").write_bytes(document("poison"))
    page = folder / "report.html"
    done = cloister(str(folder), "--html", str(page))  # type: ignore[operator]
    assert done.exit_code == Exit.FAILED
    assert "bills/d.png (two): CELL_CRASHED" in done.stderr
    assert "stop: two against one, 4 documents" in done.stdout
    assert "CELL_CRASHED" in page.read_text()


def test_a_broken_truth_and_an_empty_folder_are_named(cloister: object, folder: Path, tmp_path: Path) -> None:
    (folder / "pets" / "truth.jsonl").write_text("{")
    assert "truth.jsonl can't be read" in cloister(str(folder)).stderr  # type: ignore[operator]
    (tmp_path / "empty").mkdir()
    assert "no documents" in cloister(str(tmp_path / "empty")).stderr  # type: ignore[operator]
