"""The kit must find what it looks for: engines that each break one promise."""

from __future__ import annotations

import dataclasses
import mmap
from collections.abc import Callable

import numpy as np
import pytest

from engines.api import Engine, Limits, Line, Page, PageText, Quad, Word
from engines.conformance import EngineConformance, checked
from engines.documents import specimen

KIT = EngineConformance()
KEPT: list[mmap.mmap] = []


def word(text: str = "word", confidence: float = 0.5, left: float = 0.0) -> Word:
    return Word(text, confidence, Quad((left, 0), (left + 1, 0), (left + 1, 1), (left, 1)))


def page_text(*words: Word) -> PageText:
    return PageText((Line(words, word().quad),))


class Made(Engine):
    """An engine that is one function."""

    name = "made"
    version = "1"
    languages = ("en",)

    def __init__(self, recognize: Callable[[Page], PageText]) -> None:
        self._recognize = recognize

    def load(self) -> None:
        """Nothing to load."""

    def recognize(self, page: Page) -> PageText:
        return self._recognize(page)


@pytest.mark.parametrize(
    "text",
    [
        page_text(word(left=-1)),
        page_text(word(left=50)),
        page_text(word(left=float("nan"))),
        page_text(word(confidence=1.01)),
        page_text(word(confidence=float("nan"))),
        page_text(word(text="two words")),
        page_text(word(text="")),
        page_text(word(text="\ud800")),
        page_text(),
        dataclasses.replace(page_text(word()), turn=dataclasses.replace(PageText(()).turn, degrees=45)),
    ],
)
def test_a_broken_answer_is_found(text: PageText) -> None:
    with pytest.raises((AssertionError, UnicodeEncodeError)):
        checked(Made(lambda page: text), Page(np.zeros((10, 10, 3), np.uint8)))


def leak(page: Page) -> PageText:
    KEPT.append(mmap.mmap(-1, 4 << 20))
    KEPT[-1].write(b"x" * (4 << 20))
    return PageText(())


def scribble(page: Page) -> PageText:
    page.pixels[:] = 0
    return PageText(())


def by_strides(page: Page) -> PageText:
    return page_text(word()) if page.pixels.strides[2] == 0 else PageText(())


def by_count() -> Callable[[Page], PageText]:
    calls: list[Page] = []

    def recognize(page: Page) -> PageText:
        calls.append(page)
        return page_text(word(text=str(len(calls))))

    return recognize


def opens(page: Page) -> PageText:
    with open("/etc/hostname", encoding="ascii"):
        return PageText(())


def test_each_broken_promise_is_found() -> None:
    receipt = specimen.receipt()
    with pytest.raises(AssertionError):
        KIT.test_it_reads_a_clean_page(Made(lambda page: PageText(())), receipt)
    with pytest.raises(AssertionError):
        KIT.test_the_same_page_gives_the_same_answer(Made(by_count()), receipt)
    with pytest.raises(AssertionError):
        KIT.test_how_pixels_lie_in_memory_does_not_matter(Made(by_strides))
    with pytest.raises(AssertionError):
        KIT.test_it_leaves_the_page_as_it_was(Made(scribble), receipt)
    with pytest.raises(AssertionError):
        KIT.test_an_empty_page_has_no_words(Made(lambda page: page_text(word())), 255)
    with pytest.raises(AssertionError, match="MiB more"):
        KIT.test_memory_does_not_grow_with_the_pages_read(Made(leak))
    KEPT.clear()


def test_an_engine_that_opens_files_at_work_is_found(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AssertionError, match="without an answer"):
        KIT.test_it_works_in_a_fork_that_can_open_nothing(Made(opens), specimen.receipt())


def test_limits_below_what_a_program_needs_are_found() -> None:
    engine = Made(lambda page: PageText(()))
    engine.limits = Limits(memory_bytes=0)
    with pytest.raises(AssertionError):
        KIT.test_it_states_limits_and_what_it_executes(engine)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_a_page_of_other_pixels_cannot_be_made(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        Page(pixels)
