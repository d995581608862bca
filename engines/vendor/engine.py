"""The adapter: a page out to the program, its output back."""

from __future__ import annotations

import time

import numpy as np

from engines.api import Limits, Page, PageText, Pixels, Program, Stage
from engines.documents import specimen
from engines.errors import MissingError, ProgramError
from engines.shrink import shrunk
from engines.vendor import program, table
from engines.vendor.formats import READERS


class Vendor:
    """An OCR program with a command line. Fulfils `engines.api.Engine`; `engines.vendor.table` has its options.

    Raises `OptionsError` where its table is wrong, `MissingError` where a file it names is not there.
    """

    name = "vendor"
    model_version = ""

    def __init__(self, **options: object) -> None:
        self._table = table.read(options)
        self.version = self._table.version
        self.languages = self._table.languages
        self.policy = "program-network" if self._table.network else "program"
        self.limits = Limits(self._table.memory_bytes, 1 + self._table.processes)
        self.program: Program | None = Program(
            self._table.program,
            (*self._table.reads, *self._table.licences),
            self._table.network,
            self._table.scratch_bytes,
        )

    def load(self) -> None:
        """Have the program read a page of ours, to know that it works. Raises `MissingError` with what it said."""
        page = Page(specimen.receipt(400, 400, text_px=20), dpi=150)
        finished = program.run(self._table, page.pixels, page.dpi)
        if finished.status != 0:
            said = finished.complaints.decode(errors="replace").strip()
            raise MissingError(
                f"engine {self.name}: {self._table.program} ended with status {finished.status} on a page of ours;"
                f" it said: {said or 'nothing'}"
            )
        READERS[self._table.format](finished.output)

    def recognize(self, page: Page) -> PageText:
        """Have the program read a page. Raises `ProgramError` where it fails or writes what can't be read."""
        started = time.perf_counter()
        pixels = _padded(shrunk(page.pixels, self._table.longest_side), self._table.shortest_side)
        finished = program.run(self._table, pixels, page.dpi)
        if finished.status != 0:
            # What it said may be text of the document.
            raise ProgramError(f"{self._table.program} ended with status {finished.status}")
        recognised = READERS[self._table.format](finished.output)
        height, width = page.pixels.shape[:2]
        # The program saw the page smaller by this, and with padding at its right and lower edge.
        scale = max(1.0, max(height, width) / self._table.longest_side)
        text = recognised.on_page(width, height, seen=(pixels.shape[1] * scale, pixels.shape[0] * scale))
        return PageText(text.lines, text.turn, {Stage.RECOGNISE: time.perf_counter() - started})


def _padded(pixels: Pixels, shortest_side: int) -> Pixels:
    """The page with white at its right and lower edge where it is smaller than ``shortest_side`` px."""
    height, width = pixels.shape[:2]
    below, beside = max(0, shortest_side - height), max(0, shortest_side - width)
    if not below and not beside:
        return pixels
    return np.pad(pixels, ((0, below), (0, beside), (0, 0)), constant_values=255)
