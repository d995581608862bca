"""Made pages of every layout, upright: what the orientation net learns from, and what it is counted on.

A page is drawn as ink and pictures on paper, and then scanned, faxed, photographed or left as it is. The same
generator state gives the same page.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.scribe.orientation.training.layouts import LAYOUTS
from engines.scribe.orientation.training.scans import LOOKS, LOOKS_OF, Grey, scanned
from engines.scribe.orientation.training.sheet import Rng, Sheet, scribble
from engines.scribe.orientation.training.writing import RealLines, Writer
from engines.scribe.training.corpus import Corpus
from engines.scribe.training.fonts import Fonts


@dataclass(frozen=True, slots=True)
class MadePage:
    """``grey`` uint8 (height, width), upright; ``layout`` and ``look`` tell how it was made; ``words`` it holds."""

    grey: Grey
    layout: str
    look: str
    words: int


class PageMaker:
    """Makes one page at a time. With ``held``, of the fonts that are never trained with."""

    def __init__(self, corpus: Corpus, fonts: Fonts, lines: RealLines | None, *, held: bool = False) -> None:
        self._writer = Writer(corpus, fonts, lines, held=held)

    def make(self, rng: Rng, layout: str | None = None) -> MadePage:
        """An upright page."""
        layout = layout or _pick(rng, {name: share for name, (share, _) in LAYOUTS.items()})
        sheet = Sheet(*_size(rng, layout))
        unit = _letters(rng, sheet, layout)
        _, fill = LAYOUTS[layout]
        fill(self._writer, rng, sheet, unit)
        if rng.random() < 0.2:
            self._writer.stamp(rng, sheet, unit)
        if rng.random() < 0.06:
            self._writer.sideways(rng, sheet, unit)
        if rng.random() < 0.12:
            scribble(rng, sheet, unit)
        looks = LOOKS_OF.get(layout, LOOKS)
        look = _pick(rng, looks)
        ink = np.asarray(np.asarray(sheet.image) / 255, np.float32)
        for picture, left, top in sheet.pictures:
            ink[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
        return MadePage(scanned(rng, ink, look, unit), layout, look, sheet.words)


def _pick(rng: Rng, shares: dict[str, float]) -> str:
    weights = np.array(list(shares.values()))
    return list(shares)[int(rng.choice(len(weights), p=weights / weights.sum()))]


def _size(rng: Rng, layout: str) -> tuple[int, int]:
    """Width and height, px: about 0.2 to 1.6 million, larger pages would be shrunk all the same."""
    area = float(np.exp(rng.uniform(np.log(350_000), np.log(1_500_000))))
    aspect = {"receipt": rng.uniform(1.1, 3.2), "slide": rng.uniform(0.55, 0.8)}.get(layout, rng.uniform(1.2, 1.5))
    if layout not in ("receipt", "slide") and rng.random() < 0.2:
        aspect = 1 / aspect
    width = (area / aspect) ** 0.5
    return int(width), int(width * aspect)


def _letters(rng: Rng, sheet: Sheet, layout: str) -> float:
    """Font size, px: from what can just be read to what fills the page."""
    least = 11.0
    most = {"slide": sheet.width / 16, "receipt": sheet.width / 18, "sparse": sheet.width / 20}.get(
        layout, sheet.width / 34
    )
    return float(np.exp(rng.uniform(np.log(least), np.log(max(least + 2, most)))))
