"""The whole training in four commands: what has ended is not done again, what failed is."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the training extra (torch) is not installed")
pytest.importorskip("wordfreq", reason="the training extra (wordfreq) is not installed")
pytest.importorskip("faker", reason="the training extra (faker) is not installed")

from engines.scribe.training import pipeline
from engines.scribe.training.pipeline import Step


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_pipeline_that_failed_goes_on_where_it_was() -> None:
    did: list[str] = []
    broken = [True]

    def second() -> None:
        if broken[0]:
            raise subprocess.CalledProcessError(1, ["second"])
        did.append("second")

    def steps() -> list[Step]:
        return [Step("first one", lambda: did.append("first")), Step("second", second)]

    with pytest.raises(subprocess.CalledProcessError):
        pipeline.run(iter(steps()))
    broken[0] = False
    pipeline.run(iter(steps()))
    assert did == ["first", "second"]
    pipeline.run(iter(steps()), again=True)
    assert did == ["first", "second", "first", "second"]


@pytest.mark.parametrize("part", list(pipeline.PARTS))
def test_every_step_is_a_command_that_there_is(part: str) -> None:
    names = []
    for step in pipeline.PARTS[part](0.001):
        names.append(step.name)
        if isinstance(step.run, str):
            module, *arguments = shlex.split(step.run)
            source = Path(pipeline.__file__).with_name(f"{module}.py").read_text()
            assert all(f'"{flag}"' in source for flag in arguments if flag.startswith("--"))
    assert len(set(names)) == len(names) > 1


def test_training_without_real_lines_says_where_they_should_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOISTER_DATA", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["pipeline", "train"])
    with pytest.raises(SystemExit, match=r"sroie-lines.zip is missing: CLOISTER_DATA"):
        pipeline.main()
