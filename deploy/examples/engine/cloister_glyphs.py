"""An engine in a package of its own: reads print in one font, by comparing each glyph's pixels with that font's."""

import string

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from engines.api import Engine, Limits, Page, PageText
from engines.boxes import Box, BoxedWord, lines

SIZE = 16
INK = 128
SPACE = 0.55  # a gap of so many usual widths of a glyph parts words
LARGEST = 200  # px; rows of ink higher than this are no text
ALPHABET = string.ascii_letters + string.digits + ".,:;-%&/()"


class Glyphs(Engine):
    name = "glyphs"
    version = "1.0"
    languages = ("en",)
    policy = "base"
    limits = Limits(memory_bytes=512 << 20)

    def __init__(self, text_px: int = 40) -> None:
        self._text_px = text_px
        self._shapes = np.empty((0, 0), np.float32)

    def load(self) -> None:
        font = ImageFont.load_default(self._text_px)
        glyphs = []
        for letter in "T" + ALPHABET:
            image = Image.new("L", (3 * self._text_px, 3 * self._text_px), 255)
            ImageDraw.Draw(image).text((self._text_px, self._text_px), letter, font=font, fill=0)
            glyphs.append(cropped(np.asarray(image) < INK))
        self._shapes = np.stack([shape(glyph, len(glyphs[0])) for glyph in glyphs[1:]])

    def recognize(self, page: Page) -> PageText:
        ink = page.pixels.min(axis=2) < INK
        rows = [(top, bottom) for top, bottom in runs(ink.any(axis=1)) if bottom - top <= LARGEST]
        found = [self._line(ink[top:bottom], top) for top, bottom in rows]
        return PageText(lines=lines(found, ink.shape[1], ink.shape[0]))

    def _line(self, ink: np.ndarray, top: int) -> list[BoxedWord]:
        columns = runs(ink.any(axis=0))
        usual = np.median([right - left for left, right in columns])
        glyphs = [cropped(ink[:, left:right]) for left, right in columns]
        tallest = max(map(len, glyphs))
        words: list[BoxedWord] = []
        end = -np.inf
        for (left, right), glyph in zip(columns, glyphs, strict=True):
            distances = np.abs(self._shapes - shape(glyph, tallest)).mean(axis=1)
            text, confidence = ALPHABET[distances.argmin()], 1 - float(distances.min())
            box = Box(left, top, right, top + len(ink))
            if left - end < SPACE * usual:
                last = words.pop()
                text, box = last.text + text, Box.around([last.box, box])
                confidence = min(last.confidence or 0.0, confidence)
            words.append(BoxedWord(text, confidence, box))
            end = right
        return words


def cropped(ink: np.ndarray) -> np.ndarray:
    return ink[np.ix_(ink.any(axis=1), ink.any(axis=0))]


def shape(glyph: np.ndarray, tallest: int) -> np.ndarray:
    """Shares of ink in SIZE x SIZE fields, and what tells l from . and C from c: proportions, height in its line."""
    height, width = glyph.shape
    small = Image.fromarray(glyph.astype(np.uint8) * 255).resize((SIZE, SIZE), Image.Resampling.BOX)
    sizes = np.repeat(np.float32([width / (width + height), min(1, height / tallest)]), SIZE * 4)
    return np.append(np.asarray(small, np.float32).ravel() / 255, sizes)


def runs(filled: np.ndarray) -> list[tuple[int, int]]:
    """Where stretches of True start and end."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], filled, [False])).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
