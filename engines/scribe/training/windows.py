"""Synthetic windows: text drawn, distorted, and cut to 32 x 256 as the detector cuts; and real crops brought to the
same form."""

from __future__ import annotations

import itertools
import re

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.scribe.recogniser.port import COLUMNS
from engines.scribe.training import distort, emblems, handled, negatives, render
from engines.scribe.training.corpus import KINDS, Corpus
from engines.scribe.training.fonts import Fonts
from engines.scribe.training.placing import Place, clear, inside, legible
from engines.scribe.training.settings import DataSettings
from engines.scribe.training.vocabulary import STAMPS
from engines.scribe.windows import HEIGHT, WIDTH

Rng = np.random.Generator
Grey = NDArray[np.uint8]

_LOOK_FONTS = {
    "receipt": {"sans": 0.3, "serif": 0.05, "mono": 0.35, "printer": 0.25, "rare": 0.05},
    "bitonal": {"sans": 0.30, "serif": 0.42, "mono": 0.14, "printer": 0.02, "rare": 0.12},
}
_LONGEST = 52
"""Characters of a drawn line: more never fit a window."""
_STAMPED = 0.02
"""Share of the lines that a rubber stamp lies over."""
_STOPS = re.compile(r"(?<!\.)\.{3}(?!\.)")
_CLOSE_STOPS = 24.0
"""Columns of a window that three stops and what parts them need, px: five steps and one to spare."""


class Maker:
    """Makes one synthetic window at a time; the same generator state gives the same window."""

    def __init__(self, corpus: Corpus, fonts: Fonts, settings: DataSettings) -> None:
        self._corpus = corpus
        self._fonts = fonts
        self._settings = settings

    def make(self, rng: Rng, kind: str | None = None, look: str | None = None) -> tuple[Grey, str, str, str]:
        """A window uint8 (HEIGHT, WIDTH), its text, its kind and its look."""
        kind = kind or _draw(rng, self._settings.kinds)
        look = look or _draw(rng, self._settings.looks)
        if kind == "negative":
            return self.negative(rng), "", kind, look
        for _ in range(30):
            made = self._text(rng, kind, look)
            if made is not None:
                return *made, kind, look
        raise RuntimeError(f"no {kind} window could be drawn: are there fonts?")

    def _text(self, rng: Rng, kind: str, look: str) -> tuple[Grey, str] | None:  # noqa: PLR0911, PLR0912 - one roll of the dice after another
        shares = _LOOK_FONTS.get(look)
        font = self._fonts.draw(rng, _draw(rng, shares) if shares else None)
        words = 1 if rng.random() < 0.15 else int(rng.integers(2, 10))
        text = self._corpus.line(rng, kind, words)
        if look == "receipt" and rng.random() < 0.15:
            text = text.upper()
        if len(text) > _LONGEST:
            text = text[:_LONGEST].rsplit(" ", 1)[0]
        small = rng.uniform(0.7, 0.88) if rng.random() < 0.035 else None
        if small is not None:
            text = text.upper()
        if not font.draws(text):
            return None
        # Lines of a page: most are 20 to 50 px tall at 200 to 300 dpi; screens and photos from afar go down to 9 px.
        height = float(np.exp(rng.uniform(np.log(11 if look in ("photo", "clean") else 16), np.log(56))))
        crowded = rng.random()
        neighbours = ("", "")
        if crowded < 0.45:
            neighbours = (self._neighbour(rng, kind), self._neighbour(rng, kind))
            if not font.draws("".join(neighbours)):
                neighbours = ("", "")
        aspect = float(np.clip(np.exp(rng.normal(0, 0.10)), 0.78, 1.3))
        margin_top, margin_bottom = _margin(rng), _margin(rng)
        strip = height * (1 + margin_top + margin_bottom)
        columns = int(WIDTH * strip / HEIGHT / aspect) + 4 * int(height)
        try:
            line = render.line(
                rng, font, text, height=height, neighbours=neighbours, columns=max(columns * 3, 64), small=small
            )
        except OSError:  # FreeType gives up on this glyph at this size ("raster overflow"): draw another font
            return None
        unit = line.bottom - line.top
        if unit < 5:
            return None
        ink = line.ink
        window_px = WIDTH * strip / HEIGHT / aspect  # source px that a whole window spans
        # Where the window lies: from the line's start, from a word's start, or (seldom) through a character.
        left = float(line.edges[0, 0])
        start = left - rng.uniform(-0.03, 0.35) * unit
        if line.edges[-1, 1] - left > window_px and rng.random() < 0.5:
            gaps = [i for i, c in enumerate(text) if c == " "]
            if gaps and rng.random() < 0.6:
                gap = gaps[int(rng.integers(len(gaps)))]
                start = line.edges[gap, 1] - rng.uniform(0.0, 0.25) * unit
            else:
                start = rng.uniform(left, line.edges[-1, 1] - window_px * 0.5)
        wanted = WIDTH if rng.random() < 0.7 else rng.uniform(24, WIDTH)
        end = start + window_px * wanted / WIDTH
        natural = line.edges[-1, 1] + rng.uniform(0.05, 0.4) * unit
        if end > natural:
            end = natural
        elif rng.random() < 0.65:  # cut at the last gap that fits
            gaps = [i for i, c in enumerate(text) if c == " " and start + unit < line.edges[i, 0] < end]
            if gaps:
                gap = gaps[-1]
                end = min(
                    end, float(line.edges[gap, 0] + rng.uniform(0.03, 0.9) * (line.edges[gap, 1] - line.edges[gap, 0]))
                )
        start, end = clear(line.edges, text, start), clear(line.edges, text, end)
        shown = inside(line.edges, start, end)
        truth = "".join(itertools.compress(text, shown)).strip()
        # Three stops that are too close for CTC to tell them apart are the one sign that looks the same.
        if stops := _STOPS.search(text):
            wide = line.edges[stops.end() - 1, 1] - line.edges[stops.start(), 0]
            if wide * HEIGHT / strip * aspect < _CLOSE_STOPS:
                truth = _STOPS.sub("…", truth)
        if (
            not truth
            or _steps(truth) > WIDTH // COLUMNS - 4
            or (len(truth) > 2 and (end - start) * HEIGHT / strip * aspect / _steps(truth) < 4.6)
        ):
            return None
        a, b = max(0, int(start - unit)), min(ink.shape[1], int(end + unit) + 1)
        if b - a < unit:
            return None
        ink = ink[:, a:b]
        if rng.random() < 0.5:
            ink = distort.warp(rng, ink, unit)
        image = self._scan(rng, self._stamped(rng, ink, unit), line.top, line.bottom, look)
        place = Place(start - a, end - a, line.top - margin_top * unit, line.bottom + margin_bottom * unit, aspect)
        mode = cv2.INTER_LINEAR if rng.random() < 0.8 else cv2.INTER_CUBIC
        out = place.cut(image, mode)
        letters = [i for i, c in enumerate(text) if c != " " and shown[i]]
        if not legible(out, place.cut(distort.grey(1 - ink)), place.columns(line.edges[letters] - a)):
            return None
        return pad(out), truth

    def _neighbour(self, rng: Rng, kind: str) -> str:
        if rng.random() < 0.3:
            return ""
        return self._corpus.line(rng, "receipt" if kind in ("receipt", "numbers", "date", "code") else "sentence", 7)[
            :_LONGEST
        ]

    def _stamped(self, rng: Rng, ink: NDArray[np.float32], unit: float) -> NDArray[np.float32]:
        if rng.random() > _STAMPED:
            return ink
        word, font = str(rng.choice(STAMPS)), self._fonts.draw(rng)
        return emblems.stamped(rng, ink, font, word, unit) if font.draws(word) else ink

    def _scan(self, rng: Rng, ink: NDArray[np.float32], top: float, bottom: float, look: str) -> Grey:  # noqa: PLR0912 - one roll of the dice after another
        unit = bottom - top
        if rng.random() < 0.45:
            ink = distort.weight(rng, ink, unit)
        if look == "receipt":
            roll = rng.random()
            if roll < 0.6:
                ink = distort.thermal(rng, ink, unit)
            elif roll < 0.72:
                ink = distort.dot_matrix(rng, ink, unit)
        if rng.random() < {"receipt": 0.32, "bitonal": 0.08}.get(look, 0.15):
            ink = distort.wear(rng, ink, unit)
        if rng.random() < 0.2:
            ink = distort.rules(rng, ink, top, bottom)
        if rng.random() < 0.03:
            ink = distort.scribble(rng, ink, unit)
        if rng.random() < 0.12:
            ink = distort.dust(rng, ink, unit)
        if look == "bitonal":
            image = distort.bitonal(rng, ink, unit)
            if rng.random() < 0.2:
                image = distort.copied(rng, image, unit)
            if rng.random() < 0.35:
                image = distort.shrunk(rng, image, unit)
            if rng.random() < 0.15:
                image = distort.jpeg(rng, image)
            return image
        if look == "clean":
            paper = np.full(ink.shape, rng.uniform(0.75, 1), np.float32)
            if rng.random() < 0.15:  # a screen or a form: tinted boxes
                paper *= rng.uniform(0.35, 1)
            tone = distort.print_on(rng, ink, paper, (0.45, 1.0))
            if rng.random() < 0.5:
                tone = distort.blur(rng, tone, unit, 0.04)
            if rng.random() < 0.3:
                tone = distort.noise(rng, tone, 0.03)
        elif look == "receipt":
            paper = distort.ground(rng, ink.shape, unit)
            tone = distort.print_on(rng, ink, paper, (0.3, 0.95))
            if rng.random() < 0.08:
                tone = handled.creased(rng, tone, paper, unit)
            if rng.random() < 0.03:
                tone = handled.glare(rng, tone, unit)
            if rng.random() < 0.6:
                tone = distort.blur(rng, tone, unit, 0.05)
            if rng.random() < 0.3:
                tone = distort.sharpen(rng, tone, unit)
            if rng.random() < 0.5:
                tone = distort.noise(rng, tone, 0.07)
            if rng.random() < 0.25:  # scanning software that lifts the paper to white
                tone = 1 - (np.median(tone) * rng.uniform(0.85, 1.02) - tone) * rng.uniform(1, 2.2)
        else:
            paper = distort.ground(rng, ink.shape, unit)
            tone = distort.print_on(rng, ink, paper, (0.22, 0.95))
            if rng.random() < 0.15:
                tone = handled.creased(rng, tone, paper, unit)
            if rng.random() < 0.08:
                tone = handled.glare(rng, tone, unit)
            tone = distort.blur(rng, tone, unit, 0.075)
            if rng.random() < 0.25:
                tone = distort.sharpen(rng, tone, unit)
            tone = distort.noise(rng, tone, 0.06)
        image = distort.grey(tone)
        if rng.random() < 0.5:
            image = distort.jpeg(rng, image)
        return image

    def negative(self, rng: Rng) -> Grey:
        """A window without text."""
        h = 48
        ink = negatives.drawn(rng, (h, 8 * h), self._fonts.icons)
        w = ink.shape[1]
        if rng.random() < 0.5:
            ink = distort.warp(rng, ink, 32)
        image = self._scan(rng, ink, 8, 40, _draw(rng, self._settings.looks))
        end = rng.uniform(20, w) if w == 8 * h else w
        return pad(Place(0, end, rng.uniform(0, 8), rng.uniform(38, 48), 1.0).cut(image))


def _draw(rng: Rng, shares: dict[str, float]) -> str:
    names = list(shares)
    weights = np.fromiter(shares.values(), float)
    return names[int(np.searchsorted(np.cumsum(weights / weights.sum()), rng.random()).clip(0, len(names) - 1))]


def _margin(rng: Rng) -> float:
    if rng.random() < 0.07:  # a rule, a taller neighbour on the line: the detector's box is taller than the print
        return float(rng.uniform(0.3, 0.85))
    return float(np.clip(rng.normal(0.15, 0.09), -0.03, 0.4))


def _steps(text: str) -> int:
    """Output steps that CTC needs at least for ``text``: one a character, and a blank between equal ones."""
    return len(text) + sum(a == b for a, b in itertools.pairwise(text))


def pad(window: Grey) -> Grey:
    """``window`` (HEIGHT, up to WIDTH) padded at the right with its median, its ground."""
    out = np.full((HEIGHT, WIDTH), np.uint8(np.median(window)), np.uint8)
    out[:, : window.shape[1]] = window
    return out


assert set(DataSettings().kinds) <= {*KINDS, "negative"}
