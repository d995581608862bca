from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines import registry
from engines.api import Engine, Limits, Page
from engines.conformance import EngineConformance, words
from engines.documents import specimen
from engines.errors import MissingError, OptionsError
from engines.registry import UnknownEngineError
from tests.packages import EXAMPLE, VANDALS, install


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Two packages that are not ours are installed."""
    folder = tmp_path_factory.mktemp("site-packages")
    for package in (VANDALS, EXAMPLE):
        install(package, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield
    for name in ("cloister_vandal", "cloister_glyphs"):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()


@pytest.fixture(scope="module")
def engine(others: None) -> Engine:
    glyphs = registry.create("glyphs")
    glyphs.load()
    return glyphs


class TestTheExampleConforms(EngineConformance): ...


def test_the_example_is_under_80_lines() -> None:
    (module,) = EXAMPLE.glob("*.py")
    assert len(module.read_text().splitlines()) < 80


def test_our_own_engines_are_found() -> None:
    assert {"scribe", "tesseract", "vendor"} <= set(registry.names())


@pytest.mark.usefixtures("others")
def test_an_engine_in_a_package_of_someone_elses_is_found_and_reads() -> None:
    assert {"glyphs", "vandal"} <= set(registry.names())
    vandal = registry.create("vandal")
    assert vandal.limits == Limits()
    assert vandal.program is None
    assert words(vandal.recognize(Page(specimen.receipt())))[0] == "light"


@pytest.mark.usefixtures("others")
def test_one_adapter_serves_several_engines_by_their_options() -> None:
    first = registry.create("left", {"adapter": "vandal"})
    second = registry.create("right", {"adapter": "vandal", "deed": "err"})
    assert (first.name, second.name) == ("left", "right")
    page = Page(specimen.receipt())
    assert words(first.recognize(page)) != words(second.recognize(page))


@pytest.mark.usefixtures("others")
def test_options_that_an_engine_does_not_take_are_named() -> None:
    with pytest.raises(OptionsError, match=r"left.*colour"):
        registry.create("left", {"adapter": "vandal", "colour": "red"})


def test_an_unknown_engine_is_told_from_those_that_are_installed() -> None:
    with pytest.raises(UnknownEngineError, match=r"'tesserakt'.*scribe.*tesseract"):
        registry.create("tesserakt")
    with pytest.raises(UnknownEngineError, match="'acme-sdk'"):
        registry.create("acme", {"adapter": "acme-sdk"})


def test_an_engine_whose_module_cannot_be_imported_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "broken-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[cloister.engines]\nbroken = not_there:Engine\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "broken" in registry.names()
    with pytest.raises(MissingError, match=r"'broken'.*not_there"):
        registry.create("broken")
