"""The real tesseract program as the vendor."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from engines import registry
from engines.api import Engine, Page
from engines.conformance import EngineConformance, words
from engines.documents import specimen
from engines.errors import MissingError, OptionsError, ProgramError

TESSERACT = shutil.which("tesseract")
needs_tesseract = pytest.mark.skipif(TESSERACT is None, reason="the program is missing: apt-get install tesseract-ocr")
SUFFIXES = {"alto": ".xml", "hocr": ".hocr", "tsv": ".tsv"}


def table(format_: str = "tsv", **changes: object) -> dict[str, object]:
    return {
        "adapter": "vendor",
        "program": TESSERACT,
        "arguments": ["{image}", "{output}", "--dpi", "{dpi}", format_],
        "format": format_,
        "output": "{output}" + SUFFIXES.get(format_, ""),
        "environment": {"OMP_THREAD_LIMIT": "1"},
        "version": "5",
        "languages": ["en"],
        **changes,
    }


def made(options: Mapping[str, object]) -> Engine:
    engine = registry.create("acme", options)
    engine.load()
    return engine


@pytest.fixture(scope="module")
def engine() -> Engine:
    return made(table())


@needs_tesseract
class TestConformance(EngineConformance):
    huge = (2500, 2000)


@needs_tesseract
def test_every_format_and_way_in_say_the_same(engine: Engine) -> None:
    page = Page(specimen.receipt(250, 400))
    expected = engine.recognize(page)
    assert "Grocery" in words(expected)
    by_file = registry.create("acme", table("hocr", image_format="tiff"))
    by_stdin = registry.create(
        "acme",
        table(
            "alto",
            arguments=["stdin", "stdout", "--dpi", "{dpi}", "alto"],
            image="stdin",
            image_format="ppm",
            output="stdout",
        ),
    )
    for other in (by_file, by_stdin):
        found = other.recognize(page)
        assert words(found) == words(expected)
        for line, same in zip(found.lines, expected.lines, strict=True):
            assert [word.quad for word in line.words] == [word.quad for word in same.words]
            # ALTO and hOCR state whole hundredths.
            assert [word.confidence for word in line.words] == pytest.approx(
                [word.confidence for word in same.words], abs=0.011
            )


@needs_tesseract
def test_nothing_is_left_in_the_folder_for_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    registry.create("acme", table()).recognize(Page(specimen.receipt(50, 50)))
    assert not list(tmp_path.iterdir())


def script(folder: Path, text: str, **changes: object) -> dict[str, object]:
    """The table of a program that is a shell script."""
    path = folder / "ocr"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return {**table(), "program": str(path), **changes}


def test_a_program_that_fails_on_our_page_is_not_served_and_says_why(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"acme.*status 3.*no licence"):
        made(script(tmp_path, "echo no licence >&2; exit 3"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo secret >&2; exit 3", "status 3"),
        ("kill -SEGV $$", "status -11"),
        ("exit 0", "can't be opened"),
        ('ln -s /etc/passwd "$2.tsv"', "can't be opened"),
        ('echo secret > "$2.tsv"', "header"),
        ('head -c 70000000 /dev/zero > "$2.tsv"', "more than"),
    ],
    ids=["failure", "crash", "no output", "link", "nonsense", "flood"],
)
def test_a_program_that_misbehaves_ends_in_an_error_without_what_it_said(tmp_path: Path, text: str, said: str) -> None:
    engine = registry.create("acme", script(tmp_path, text))
    with pytest.raises(ProgramError, match=said) as caught:
        engine.recognize(Page(specimen.receipt(50, 50)))
    assert "secret" not in str(caught.value)


def test_a_program_gets_a_clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "token")
    seen = tmp_path / "seen"
    options = script(tmp_path, f"env > {seen}; exit 1", environment={"LICENCE_SERVER": "here"})
    with pytest.raises(ProgramError):
        registry.create("acme", options).recognize(Page(specimen.receipt(50, 50)))
    names = {line.partition("=")[0] for line in seen.read_text().splitlines()}
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == {"PATH", "HOME", "TMPDIR", "LANG", "LICENCE_SERVER"}


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"program": "ocr"}, OptionsError, "program.*absolute"),
        ({"program": "/opt/none"}, MissingError, "program.*no /opt/none"),
        ({"program": "/etc"}, MissingError, "can't be executed"),
        ({"licences": ["/etc/none.key"]}, MissingError, "licences.*none.key"),
        ({"format": "pdf"}, OptionsError, "format.*alto, hocr, abbyy-xml, tsv"),
        ({"arguments": "x"}, OptionsError, "arguments.*list"),
        ({"arguments": ["{output}"]}, OptionsError, "none holds {image}"),
        ({"arguments": ["{image}", "{page}"]}, OptionsError, "placeholder"),
        ({"arguments": ["{image.__class__}"]}, OptionsError, "placeholder"),
        ({"output": "out.tsv"}, OptionsError, "stdout"),
        ({"network": "yes"}, OptionsError, "network.*bool"),
        ({"processes": 0}, OptionsError, "processes.*above 0"),
        ({"colour": 1}, OptionsError, "colour: no such key"),
    ],
)
def test_a_mistake_in_the_table_is_named(changes: dict[str, object], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        registry.create("acme", {**table(), "program": "/bin/sh", **changes})


def test_it_states_what_its_cells_may_reach() -> None:
    engine = registry.create("acme", table(program="/bin/sh", reads=["/usr/share"], licences=["/etc/passwd"]))
    assert engine.name == "acme"
    assert engine.policy == "program"
    assert engine.program is not None
    assert engine.program.path == "/bin/sh"
    assert engine.program.reads == ("/usr/share", "/etc/passwd")
    assert engine.program.network is False
