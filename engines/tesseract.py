"""Tesseract in the cell's own process, by tesserocr (the extra ``tesseract``).

The language data come from the system (Debian: tesseract-ocr-eng) or from wherever the option ``tessdata`` says.
tesserocr's wheels hold a Tesseract without OpenMP, and are single-threaded; others heed ``OMP_THREAD_LIMIT``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engines import boxes
from engines.api import Limits, Page, PageText, Stage
from engines.boxes import Box, BoxedWord
from engines.errors import MissingError, OptionsError
from engines.shrink import shrunk

if TYPE_CHECKING:
    from tesserocr import PyResultIterator, PyTessBaseAPI

TESSDATA = (
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
)
"""Where distributions put language data; tried in this order unless the option or TESSDATA_PREFIX names a folder."""
LONGEST_SIDE = 32_000
"""px. Tesseract refuses sides past 32,767; larger pages are read smaller."""
_TAGS = {
    "eng": "en",
    "deu": "de",
    "fra": "fr",
    "spa": "es",
    "ita": "it",
    "nld": "nl",
    "por": "pt",
    "dan": "da",
    "nor": "nb",
    "swe": "sv",
    "fin": "fi",
    "pol": "pl",
    "ces": "cs",
    "rus": "ru",
    "ukr": "uk",
    "ell": "el",
    "tur": "tr",
    "jpn": "ja",
    "kor": "ko",
    "chi_sim": "zh-Hans",
    "chi_tra": "zh-Hant",
    "ara": "ar",
    "heb": "he",
}
"""BCP 47 tags of Tesseract's commonest names; others keep Tesseract's."""


class Tesseract:
    """Fulfils `engines.api.Engine`. Confidences are Tesseract's own over 100, not calibrated by us.

    ``languages`` are Tesseract's names of language data, as ``("eng", "deu")``; ``tessdata`` is the folder that holds
    them. Raises `MissingError` where tesserocr or the data are not installed.
    """

    name = "tesseract"
    policy = "tesseract"
    limits = Limits(memory_bytes=1 << 30)
    program = None

    def __init__(self, languages: Sequence[str] = ("eng",), tessdata: str = "") -> None:
        if isinstance(languages, str) or not languages:
            raise OptionsError('engine tesseract: languages is a list of names, as ["eng"]')
        try:
            self.version = version("tesserocr")
        except PackageNotFoundError:
            raise MissingError(
                "engine tesseract: tesserocr is not installed; pip install 'cloister[tesseract]'"
            ) from None
        self._names = tuple(languages)
        self._tessdata = _find(self._names, tessdata or os.environ.get("TESSDATA_PREFIX", ""))
        self.languages = tuple(_TAGS.get(name, name) for name in self._names)
        # The data have no version of their own: their sizes tell one release (and fast from best) from another.
        self.model_version = "+".join(
            f"{name}-{(self._tessdata / f'{name}.traineddata').stat().st_size}" for name in self._names
        )
        self._api: PyTessBaseAPI | None = None

    def load(self) -> None:
        """Read the language data and one small page. Raises `MissingError` where Tesseract refuses the data."""
        os.environ["OMP_THREAD_LIMIT"] = "1"
        import tesserocr

        try:
            self._api = tesserocr.PyTessBaseAPI(
                path=f"{self._tessdata}/", lang="+".join(self._names), psm=tesserocr.PSM.AUTO
            )
        except RuntimeError as error:
            raise MissingError(f"engine tesseract: {self._tessdata} can't be loaded: {error}") from error
        self.recognize(Page(np.full((64, 256, 3), 255, np.uint8)))

    def recognize(self, page: Page) -> PageText:
        """Read a page. Raises RuntimeError before `load`."""
        if self._api is None:
            raise RuntimeError("the engine is not loaded: call load() first")
        started = time.perf_counter()
        height, width = page.pixels.shape[:2]
        scale = max(1.0, max(height, width) / LONGEST_SIDE)
        pixels = shrunk(page.pixels, LONGEST_SIDE)
        if pixels.strides[2] == 0:
            pixels = pixels[:, :, 0]
        channels = 1 if pixels.ndim == 2 else 3
        api = self._api
        api.SetImageBytes(pixels.tobytes(), pixels.shape[1], pixels.shape[0], channels, pixels.shape[1] * channels)
        if page.dpi is not None:
            api.SetSourceResolution(round(page.dpi / scale))
        try:
            found = _lines(api.GetIterator(), scale) if api.Recognize() else ()
            lines = boxes.lines(found, width, height)
        finally:
            # What it learnt on this page must not sway the next; a cell has one document, but maybe many pages.
            api.Clear()
            api.ClearAdaptiveClassifier()
        return PageText(lines=lines, seconds={Stage.RECOGNISE: time.perf_counter() - started})


def _find(names: Sequence[str], folder: str) -> Path:
    """The folder that holds the data of all ``names``."""
    tried = [Path(folder)] if folder else [Path(path) for path in TESSDATA]
    for candidate in tried:
        if all((candidate / f"{name}.traineddata").is_file() for name in names):
            return candidate
    packages = " ".join(f"tesseract-ocr-{name.replace('_', '-')}" for name in names)
    raise MissingError(
        f"engine tesseract: no folder holds the language data of {', '.join(names)} (looked in"
        f" {', '.join(map(str, tried))}); install it (Debian: {packages}), or set the option tessdata to its folder"
    )


def _lines(words: PyResultIterator | None, scale: float) -> Iterator[list[BoxedWord]]:
    from tesserocr import RIL, WritingDirection, iterate_level

    if words is None:
        return
    line: list[BoxedWord] = []
    for word in iterate_level(words, RIL.WORD):
        if line and word.IsAtBeginningOf(RIL.TEXTLINE):
            yield line
            line = []
        box = None if word.Empty(RIL.WORD) else word.BoundingBox(RIL.WORD)
        if box is not None:
            quarters, direction, _, _ = word.Orientation()
            line.append(
                BoxedWord(
                    text=word.GetUTF8Text(RIL.WORD),
                    confidence=word.Confidence(RIL.WORD) / 100,
                    box=Box(*box).scaled(scale, scale),
                    # Lines that stand on end are told by their direction, not by the block's orientation.
                    degrees=90 * ((quarters + (direction == WritingDirection.TOP_TO_BOTTOM)) % 4),
                )
            )
    yield line
