"""What every engine must do, as tests that an adapter's author inherits.

    @pytest.fixture(scope="module")
    def engine() -> Engine:
        mine = Mine()
        mine.load()
        return mine

    class TestMine(EngineConformance): ...

pytest then runs each test below on it. ``CLOISTER_CONFORMANCE_PAGES=1000`` sets how many pages the memory test reads
instead of a few. An engine that reads other scripts than Latin sets ``reads_latin = False``.
"""

from __future__ import annotations

import os
import pickle
import re
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.api import Engine, Limits, Line, Page, PageText, Pixels, Quad
from engines.documents import specimen

_PAGES = "CLOISTER_CONFORMANCE_PAGES"
_LANGUAGE_TAG = re.compile(r"[a-zA-Z]{2,8}(-[a-zA-Z0-9]{1,8})*|[a-z_]{3,}")
_SLACK_PX = 1e-3


class EngineConformance:
    """Inherit it beside a fixture ``engine`` that is loaded."""

    reads_latin = True
    huge = (7000, 5000)
    """Height and width of the largest page tried, px: A3 at 400 dpi and a little more."""
    growth_bytes = 32 << 20
    """How much memory may grow while many pages are read, once it has settled."""

    @pytest.fixture
    def receipt(self) -> Pixels:
        return specimen.receipt()

    def test_it_says_who_it_is(self, engine: Engine) -> None:
        assert engine.name
        assert engine.version
        assert isinstance(engine.model_version, str)
        assert isinstance(engine.languages, tuple)
        assert all(_LANGUAGE_TAG.fullmatch(tag) for tag in engine.languages)
        assert engine.policy

    def test_it_states_limits_and_what_it_executes(self, engine: Engine) -> None:
        assert isinstance(engine.limits, Limits)
        assert engine.limits.memory_bytes > 0
        if engine.program is None:
            return
        assert engine.limits.pids > 1, "a program is a process beside the engine's own"
        for path in (engine.program.path, *engine.program.reads):
            assert path.startswith("/")

    def test_it_reads_a_clean_page(self, engine: Engine, receipt: Pixels) -> None:
        read = words(checked(engine, Page(receipt)))
        if self.reads_latin:
            printed = [word for line in specimen.RECEIPT_LINES for word in line.split()]
            found = sum(word in read for word in printed)
            assert found >= len(printed) / 2, f"{found} of {len(printed)} words of a clean page were read"

    def test_the_same_page_gives_the_same_answer(self, engine: Engine, receipt: Pixels) -> None:
        first = untimed(engine.recognize(Page(receipt)))
        engine.recognize(Page(_noise(200, 300)))
        assert untimed(engine.recognize(Page(receipt))) == first

    def test_how_pixels_lie_in_memory_does_not_matter(self, engine: Engine) -> None:
        grey = specimen.receipt(300, 400, text_px=20)[:, :, 0]
        view = np.broadcast_to(grey[:, :, None], (*grey.shape, 3))
        plain = np.ascontiguousarray(view)
        backwards = np.ascontiguousarray(plain[::-1])[::-1]
        fortran = np.asfortranarray(plain)
        expected = untimed(checked(engine, Page(plain)))
        for pixels in (view, backwards, fortran):
            assert untimed(engine.recognize(Page(pixels))) == expected

    def test_it_leaves_the_page_as_it_was(self, engine: Engine, receipt: Pixels) -> None:
        pixels = receipt.copy()
        engine.recognize(Page(pixels))
        assert np.array_equal(pixels, receipt)

    @pytest.mark.parametrize("value", [255, 0], ids=["white", "black"])
    def test_an_empty_page_has_no_words(self, engine: Engine, value: int) -> None:
        assert checked(engine, Page(np.full((800, 600, 3), value, np.uint8))).lines == ()

    @pytest.mark.parametrize(
        ("height", "width"),
        [(1, 1), (1, 2000), (2000, 1), (2, 40_000), (40_000, 2), (13, 7)],
        ids=str,
    )
    def test_a_page_of_odd_size_has_an_answer(self, engine: Engine, height: int, width: int) -> None:
        checked(engine, Page(np.full((height, width, 3), 255, np.uint8)))
        checked(engine, Page(_noise(height, width)))

    def test_a_huge_page_has_an_answer(self, engine: Engine, receipt: Pixels) -> None:
        height, width = self.huge
        pixels = np.full((height, width, 3), 250, np.uint8)
        pixels[: receipt.shape[0], : receipt.shape[1]] = receipt
        checked(engine, Page(pixels))

    def test_noise_has_an_answer(self, engine: Engine) -> None:
        checked(engine, Page(_noise(500, 500)))

    @pytest.mark.parametrize("dpi", [None, 1.0, 72.0, 10_000.0])
    def test_any_resolution_has_an_answer(self, engine: Engine, dpi: float | None) -> None:
        checked(engine, Page(specimen.receipt(300, 400, text_px=20), dpi=dpi))

    def test_memory_does_not_grow_with_the_pages_read(self, engine: Engine) -> None:
        pages = [Page(specimen.receipt(100, 300 + 10 * number, text_px=20)) for number in range(5)]
        for page in pages:
            engine.recognize(page)
        # A program's memory is gone with it: what could grow is little.
        count = int(os.environ.get(_PAGES, "20" if engine.program is None else "5"))
        before = _resident_bytes()
        for number in range(count):
            engine.recognize(pages[number % len(pages)])
        grown = _resident_bytes() - before
        assert grown < self.growth_bytes, f"{grown >> 20} MiB more after {count} pages"

    def test_it_works_in_a_fork_that_can_open_nothing(self, engine: Engine, receipt: Pixels) -> None:
        """A taste of the cell: no file, no thread. The jail's own tests have the rest."""
        if engine.program is not None:
            pytest.skip("it executes a program, whose cell may open that program's files")
        expected = untimed(engine.recognize(Page(receipt)))
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            _answer_and_exit(engine, Page(receipt), writing)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            raw = pipe.read()
        _, status = os.waitpid(pid, 0)
        assert status == 0, "the fork ended without an answer"
        assert pickle.loads(raw) == expected


def checked(engine: Engine, page: Page) -> PageText:
    """The engine's answer to ``page``, once it has been found to keep the contract of `engines.api`."""
    text = engine.recognize(page)
    height, width = page.pixels.shape[:2]
    assert isinstance(text, PageText)
    assert text.turn.degrees in (0, 90, 180, 270)
    assert 0 <= text.turn.confidence <= 1
    assert all(seconds >= 0 for seconds in text.seconds.values())
    for line in text.lines:
        assert isinstance(line, Line)
        assert line.words, "a line without words"
        _check_quad(line.quad, height, width)
        for word in line.words:
            assert word.text, "a word without text"
            assert word.text.split() == [word.text], "white space in a word"
            word.text.encode()
            assert 0 <= word.confidence <= 1
            _check_quad(word.quad, height, width)
    return text


def words(text: PageText) -> list[str]:
    return [word.text for line in text.lines for word in line.words]


def untimed(text: PageText) -> PageText:
    """The answer but for how long it took."""
    return replace(text, seconds={})


def _check_quad(quad: Quad, height: int, width: int) -> None:
    for x, y in (quad.top_left, quad.top_right, quad.bottom_right, quad.bottom_left):
        # False for what is not a number, too.
        assert -_SLACK_PX <= x <= width + _SLACK_PX, "a corner beside the page"
        assert -_SLACK_PX <= y <= height + _SLACK_PX, "a corner above or below the page"


def _noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def _answer_and_exit(engine: Engine, page: Page, pipe: int) -> None:
    """In the fork: no descriptor beyond those that are open, no process or thread of its own, an answer, the end."""
    status = 1
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        raw = pickle.dumps(untimed(engine.recognize(page)))
        while raw:
            raw = raw[os.write(pipe, raw) :]
        status = 0
    finally:
        os._exit(status)
