"""A candidate's share, changed in a file that is otherwise left as it is."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from cloister.v1 import ocr_pb2
from server import telemetry
from server.experiments import Experiments
from server.flagfile import STEPS, FlagFile, FlagFileError, Share

EXAMPLE = Path(__file__).parents[2] / "deploy" / "examples" / "flags.json"

PLAIN = """{
    "metadata": { "version": "7" },
    "flags": {
      "shadow":  {"state": "ENABLED", "variants": {"none": "", "try": "tesseract"},   "defaultVariant": "try"},
      "engine": {
          "state": "ENABLED",  "variants": {"old": "scribe",   "new": "tesseract"},
          "defaultVariant": "old"
      }
    }
}
"""


def written(folder: Path, text: str = PLAIN) -> Path:
    path = folder / "flags.json"
    path.write_text(text)
    return path


def experiments(path: Path) -> Experiments:
    return Experiments(
        path,
        default="scribe",
        engines=["scribe", "tesseract"],
        candidates=["tesseract"],
        log=telemetry.logger(quiet=True),
    )


def shares(path: Path, **context: str) -> Counter[str]:
    made = experiments(path)
    keys = [f"k{number}" for number in range(2000)]
    return Counter(made.assign("", ocr_pb2.RequestContext(key=key, **context), "r").engine for key in keys)


def test_each_step_is_written_and_takes_effect_and_nobody_who_had_it_loses_it(tmp_path: Path) -> None:
    path = written(tmp_path)
    keys = [f"k{number}" for number in range(2000)]
    before: set[str] = set()
    for step in STEPS:
        file = FlagFile(path)
        assert file.share("tesseract").next_step == step
        file.write("tesseract", step)
        made = experiments(path)
        now = {key for key in keys if made.assign("", ocr_pb2.RequestContext(key=key), "r").engine == "tesseract"}
        assert len(now) / len(keys) == pytest.approx(step / 100, abs=0.025)
        assert before <= now
        before = now
        assert made.version == f"7; tesseract {step} %"
    assert FlagFile(path).share("tesseract") == Share("scribe", "tesseract", 100.0)
    assert FlagFile(path).share("tesseract").next_step is None
    FlagFile(path).write("tesseract", 0)
    assert shares(path) == {"scribe": 2000}


def test_all_else_in_the_file_stays_as_it_was(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.chmod(0o640)
    FlagFile(path).write("tesseract", 1)
    added = '"old",\n          "targeting": {"fractional": [["new", 1], ["old", 99]]}'
    first = PLAIN.replace('"old"\n', f"{added}\n").replace('"7"', '"7; tesseract 1 %"')
    assert path.read_text() == first
    FlagFile(path).write("tesseract", 5)
    assert path.read_text() == first.replace('["new", 1], ["old", 99]', '["new", 5], ["old", 95]').replace(
        " 1 %", " 5 %"
    )
    assert path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["flags.json"]


def test_a_share_inside_a_rule_stays_inside_it(tmp_path: Path) -> None:
    path = written(tmp_path, EXAMPLE.read_text())
    assert FlagFile(path).share("tesseract") == Share("scribe", "tesseract", 25.0)
    FlagFile(path).write("tesseract", 50)
    assert shares(path, tenant="staging")["tesseract"] == pytest.approx(1000, abs=60)
    assert shares(path, tenant="acme") == {"scribe": 2000}
    assert json.loads(path.read_text())["flags"]["shadow"] == json.loads(EXAMPLE.read_text())["flags"]["shadow"]


def test_a_link_goes_on_leading_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    path = written(tmp_path / "real")
    link = tmp_path / "flags.json"
    link.symlink_to(path)
    FlagFile(link).write("tesseract", 5)
    assert link.is_symlink()
    assert FlagFile(path).share("tesseract").percent == 5


def test_a_file_that_was_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = written(tmp_path)
    file = FlagFile(path)
    path.write_text(PLAIN.replace("7", "8"))
    with pytest.raises(FlagFileError, match="has changed"):
        file.write("tesseract", 1)
    assert '"8"' in path.read_text()


@pytest.mark.parametrize(
    ("text", "candidate", "said"),
    [
        ("{", "tesseract", "no flag"),
        ('{"flags": {}}', "tesseract", "no flag"),
        (PLAIN, "abbyy", "0 variants for abbyy"),
        (PLAIN, "scribe", "by default"),
        (
            PLAIN.replace('"old"\n', '"old", "targeting": {"fractional": [["new", 1], ["old", 98], ["third", 1]]}\n'),
            "tesseract",
            "by hand",
        ),
        (PLAIN.replace('"old"\n', '"old", "targeting": {"if": [true, "new", "old"]}\n'), "tesseract", "by hand"),
    ],
)
def test_what_it_can_not_change_it_says(tmp_path: Path, text: str, candidate: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(FlagFileError, match=said):
        FlagFile(path).share(candidate)
    assert path.read_text() == text
