"""The way of a document through a cell, with an engine that reads nothing: decoding, and what is written of it."""

from __future__ import annotations

from engines.api import Engine, Page, PageText
from engines.job import OcrJob


class Blank(Engine):
    """Finds every page empty."""

    name = "blank"
    version = "1"

    def load(self) -> None:
        """Nothing to load."""

    def recognize(self, page: Page) -> PageText:
        return PageText(lines=())


class Decoding(OcrJob):
    def __init__(self) -> None:
        self._engine = Blank()
        self._rehearsal = b""

    def rehearse(self) -> None:
        """A mutant takes less memory than a page: not worth the time."""
