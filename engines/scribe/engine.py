"""Scribe: the stages in their order."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engines.api import Limits, Page, PageText, Stage, Turn

if TYPE_CHECKING:
    from engines.scribe.recogniser.reader import Recogniser

WEIGHTS = Path(__file__).parent / "weights"


class Scribe:
    """Cloister's own engine. Fulfils `engines.api.Engine`.

    Making one reads the name of the weights and nothing else: OpenCV and TensorFlow are imported by `load`.
    """

    name = "scribe"
    version = "0.1"
    languages = ("en", "de", "fr", "es", "it", "nl", "pt", "da", "nb", "sv")
    policy = "scribe"
    limits = Limits(memory_bytes=1 << 30)
    program = None

    def __init__(self) -> None:
        self.model_version = str(json.loads((WEIGHTS / "word.json").read_text(encoding="utf-8"))["version"])
        self._recogniser: Recogniser | None = None

    def load(self) -> None:
        """Read the weights and warm the net for every shape. Raises `WeightsError` where they can't be used."""
        import cv2

        # A pool of threads does not survive the fork.
        cv2.setNumThreads(0)
        from engines.scribe.recogniser.reader import Recogniser

        with _native_messages_dropped():
            self._recogniser = Recogniser.load(WEIGHTS)

    def recognize(self, page: Page) -> PageText:
        """Read a page. Raises RuntimeError before `load`."""
        if self._recogniser is None:
            raise RuntimeError("the engine is not loaded: call load() first")
        from engines.scribe import detector, wordinator

        started = time.perf_counter()
        windows = detector.windows(page)
        detected = time.perf_counter()
        readings = self._recogniser.read(windows.pixels)
        recognised = time.perf_counter()
        lines, _ = wordinator.words(windows, readings)
        seconds = {
            Stage.DETECT: detected - started,
            Stage.RECOGNISE: recognised - detected,
            Stage.WORDINATE: time.perf_counter() - recognised,
        }
        return PageText(lines=lines, turn=Turn(), seconds=seconds)


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
