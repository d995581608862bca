"""Scribe: the stages in their order."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engines.api import Limits, Page, PageText, Stage, Turn
from engines.errors import OptionsError

if TYPE_CHECKING:
    from engines.scribe.orientation import Upright, Voters
    from engines.scribe.recogniser.reader import Recogniser
    from engines.scribe.windows import Reading, Windows
    from engines.scribe.wordinator import Decision
    from engines.scribe.wordinator.buckets import Buckets
    from engines.trace import Trace

WEIGHTS = Path(__file__).parent / "weights"
TURN_WEIGHTS = Path(__file__).parent / "orientation" / "weights"


class Scribe:
    """Cloister's own engine. Fulfils `engines.api.Engine`.

    ``upright`` tells whether pages that lie on their side or upside down are turned before they are read. ``weights``
    is a folder, by its absolute path, with a `word.npz`, a `word.json` and, where that tells of one, a `small.npz`, to
    read with instead of those that came along. Making one reads the names of the weights and nothing else: OpenCV and
    TensorFlow are imported by `load`.
    """

    name = "scribe"
    version = "0.1"
    languages = ("en", "de", "fr", "es", "it", "nl", "pt", "da", "nb", "sv")
    policy = "scribe"
    limits = Limits(memory_bytes=1 << 30)
    program = None

    def __init__(self, upright: bool = True, weights: str = "") -> None:
        if not isinstance(upright, bool):
            raise OptionsError("engine scribe: upright is true or false")
        if not isinstance(weights, str) or (weights and not os.path.isabs(weights)):
            raise OptionsError("engine scribe: weights is the absolute path of a folder")
        self._weights = Path(weights) if weights else WEIGHTS
        try:
            self.model_version = _version(self._weights / "word.json")
        except (OSError, ValueError, KeyError) as error:
            raise OptionsError(f"engine scribe: weights: no word.json in {weights}: {error}; mend the path") from error
        if upright:
            self.model_version += f"+turn-{_version(TURN_WEIGHTS / 'turn.json')}"
        self._upright = upright
        self._recogniser: Recogniser | None = None
        self._voters: Voters | None = None
        self._buckets: Buckets | None = None

    def load(self) -> None:
        """Read the weights and warm the net for every shape.

        Raises `WeightsError` and `BucketsError` where they can't be used.
        """
        import cv2

        # A pool of threads does not survive the fork.
        cv2.setNumThreads(0)
        from engines.documents import specimen
        from engines.scribe import detector, orientation, session
        from engines.scribe.recogniser.reader import Recogniser
        from engines.scribe.wordinator.buckets import Buckets

        self._buckets = Buckets.load(WEIGHTS)
        with _native_messages_dropped():
            session.import_tensorflow()
            self._recogniser = Recogniser.load(self._weights)
            if self._upright:
                self._voters = orientation.Voters.load(TURN_WEIGHTS)
        if self._upright:
            # Turned and doubtful pages go ways that others don't; a cell must meet nothing for the first time.
            page = orientation.turned(Page(specimen.receipt(320, 240, text_px=12)), 90)
            self.recognize(page)
            orientation.judged(page, np.full(4, 0.25), detector.windows, self._recogniser.read)

    def recognize(self, page: Page) -> PageText:
        """Read a page. Raises RuntimeError before `load`."""
        return self._read(page)[0]

    def traced(self, page: Page) -> tuple[PageText, Trace]:
        """Read a page and say how. Fulfils `engines.trace.Tracing`. Raises RuntimeError before `load`."""
        from engines.scribe import orientation, wordinator
        from engines.trace import Trace

        text, windows, readings, decisions = self._read(page)
        trace = wordinator.placed(windows, readings, decisions)
        height, width = page.pixels.shape[:2]
        quad = orientation.back(text.turn.degrees, width, height)
        return text, Trace(
            tuple(replace(window, quad=quad(window.quad)) for window in trace.windows),
            tuple(replace(decision, quad=quad(decision.quad)) for decision in trace.decisions),
        )

    def _read(self, page: Page) -> tuple[PageText, Windows, Sequence[Reading], tuple[Decision, ...]]:
        if self._recogniser is None or self._buckets is None:
            raise RuntimeError("the engine is not loaded: call load() first")
        from engines.scribe import detector, orientation, wordinator
        from engines.scribe.grey import greyed

        seconds: dict[Stage, float] = {}
        read = self._recogniser.read
        with _timed(seconds, Stage.ORIENT if self._upright else Stage.DETECT):
            page = greyed(page)
            first = self._turned(page)
        seen = first
        with _timed(seconds, Stage.DETECT):
            windows = seen.windows or detector.windows(seen.page)
        with _timed(seconds, Stage.RECOGNISE):
            readings = read(windows.pixels)
        if self._upright:
            with _timed(seconds, Stage.ORIENT):
                seen = orientation.reconsidered(page, first, windows, readings, detector.windows, read)
        if seen is not first:
            with _timed(seconds, Stage.DETECT):
                windows = seen.windows or detector.windows(seen.page)
            with _timed(seconds, Stage.RECOGNISE):
                readings = read(windows.pixels)
        with _timed(seconds, Stage.WORDINATE):
            lines, decisions = wordinator.words(windows, readings, self._buckets)
            height, width = page.pixels.shape[:2]
            lines = orientation.returned(lines, seen.turn.degrees, width, height)
        return PageText(lines=lines, turn=seen.turn, seconds=seconds), windows, readings, decisions

    def _turned(self, page: Page) -> Upright:
        """The page as it is to be read."""
        from engines.scribe import detector, orientation

        if self._voters is None or self._recogniser is None:
            return orientation.Upright(page, Turn())
        return orientation.upright(page, self._voters, detector.windows, self._recogniser.read)


@contextmanager
def _timed(seconds: dict[Stage, float], stage: Stage) -> Iterator[None]:
    """Add what the block takes to the stage's ``seconds``."""
    started = time.perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - started


def _version(card: Path) -> str:
    return str(json.loads(card.read_text(encoding="utf-8"))["version"])


@contextmanager
def _native_messages_dropped() -> Iterator[None]:
    """Send what native code writes to standard error nowhere.

    TensorFlow tells there of missing GPUs, at levels that no setting holds back. Its errors arrive as exceptions.
    """
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
