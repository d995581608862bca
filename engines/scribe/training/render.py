"""Lines of text as ink on a canvas: where each character stands, and the rows between which the detector would cut.

A line is drawn at the size that a scan would have it; `distort` and `window` make a scan and a window of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from engines.scribe.training import fonts
from engines.scribe.training.fonts import Font

Rng = np.random.Generator


_SIZES = (8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24, 27, 30, 34, 38, 43, 48, 54, 60, 68, 76, 86, 100, 120)
"""Font sizes, px: few, so that opened faces are found again."""


_LIGATURES = {"ffi": "\ufb03", "ffl": "\ufb04", "ff": "\ufb00", "fi": "\ufb01", "fl": "\ufb02"}
_JOINED = 0.6
"""Share of the lines that are set with ligatures, in fonts that have them: books are, receipts are not."""


@dataclass(frozen=True, slots=True)
class Line:
    """``ink`` float32 (h, w), 0 paper to 1 ink. ``edges`` float32 (len(text), 2): left and right of each character's
    advance, px. ``top`` and ``bottom``: rows of the line's ink box."""

    text: str
    ink: NDArray[np.float32]
    edges: NDArray[np.float32]
    top: float
    bottom: float


@lru_cache(maxsize=2048)
def _heights(path: str) -> tuple[float, float, float]:
    """Rise of the capitals and of the x, and depth of the descenders, per unit of font size."""
    face = fonts.face(path, 100)
    _, cap, _, _ = face.getbbox("HbdE", anchor="ls")
    _, x, _, _ = face.getbbox("xz", anchor="ls")
    _, _, _, depth = face.getbbox("gp", anchor="ls")
    return -cap / 100, -x / 100, depth / 100


@lru_cache(maxsize=20_000)
def _rise(path: str, letter: str) -> float:
    """Rise of ``letter`` per unit of font size, its accent too."""
    return -float(fonts.face(path, 100).getbbox(letter, anchor="ls")[1]) / 100


@lru_cache(maxsize=200_000)
def _advance(path: str, character: str) -> float:
    return fonts.face(path, 100).getlength(character)


@lru_cache(maxsize=4096)
def _ligatures(path: str) -> dict[str, str]:
    """The joined letters that the font has a sign for, longest first, each about as wide as its letters."""
    face = fonts.face(path, 100)
    found = {}
    there = fonts.inks(face, _LIGATURES.values())
    for letters, sign in _LIGATURES.items():
        apart = face.getlength(letters)
        if sign in there and 0.7 * apart < face.getlength(sign) < 1.15 * apart:
            found[letters] = sign
    return found


def line(  # noqa: PLR0912
    rng: Rng,
    font: Font,
    text: str,
    *,
    height: float,
    neighbours: tuple[str, str],
    columns: int,
    small: float | None = None,
) -> Line:
    """Draw ``text`` so that its ink box is about ``height`` px tall, with room of one height above and below.

    ``neighbours`` are the lines above and below, empty for none. ``columns``: px at most; characters beyond are not
    drawn. ``small``: the size of letters that do not begin a word, beside those that do: small capitals.
    """
    cap, x_height, depth = _heights(font.path)
    has_descender = any(c in "gjpqyQÇçþ,;()[]{}|/@$§µ¿„‚_" for c in text)
    has_ascender = any(not (c in "acegmnopqrsuvwxyz.,-:;_+=~<>·•*…" or c == " ") for c in text)
    full_line = rng.random() < 0.5  # the rest of the line, outside this window, may hold ascenders and descenders
    above = cap if has_ascender or full_line or rng.random() < 0.3 else x_height
    if all(c in ".,-_·•…'\"’‘“”–—~=*^:°`" for c in text.replace(" ", "")):
        above = cap
    accented = [c for c in text if c.isupper() and not c.isascii()]
    if accented and rng.random() < 0.9:  # the detector takes the accents that it sees
        above = max(above, *(_rise(font.path, c) for c in accented))
    below = depth if (has_descender and rng.random() < 0.9) or (full_line and rng.random() < 0.8) else 0.0
    size = int(np.clip(round(height / (above + below)), 7, 160))
    size = min(_SIZES, key=lambda s: abs(s - size))
    face = fonts.face(font.path, size)
    tracking = 0.0
    roll = rng.random()
    if roll < 0.12:
        tracking = rng.uniform(-0.03, 0.0) * size
    elif roll < 0.25:
        tracking = rng.uniform(0.0, 0.22) * size
    gap = float(rng.choice([1.0, rng.uniform(0.75, 1.6), rng.uniform(1.6, 3.5)], p=[0.5, 0.38, 0.12]))
    jitter = rng.uniform(0, 0.04) * size if rng.random() < 0.06 else 0.0

    margin = int(size * 1.3)
    baseline = margin + round(above * size)
    rows = baseline + round(below * size) + margin
    left = int(rng.uniform(0.1, 1.0) * size)
    edges = np.zeros((len(text), 2), np.float32)
    pieces: list[tuple[float, str, ImageFont.FreeTypeFont]] = []
    x = float(left)
    space = max(face.getlength(" "), 0.2 * size)
    if tracking or jitter or small:
        lesser = fonts.face(font.path, max(6, round(size * small))) if small else face
        for i, character in enumerate(text):
            its = lesser if character.isalpha() and i and text[i - 1].isalpha() else face
            advance = space * gap if character == " " else its.getlength(character)
            edges[i] = x, x + advance
            if character != " ":
                pieces.append((x, character, its))
            x += advance + tracking
    else:
        start = 0
        joined = _ligatures(font.path) if rng.random() < _JOINED else {}
        for word in text.split(" "):
            drawn = word
            for letters, sign in joined.items():
                drawn = drawn.replace(letters, sign)
            length = face.getlength(drawn)
            pieces.append((x, drawn, face))
            end = x + length
            if word:
                ends = np.cumsum([_advance(font.path, character) for character in word])
                ends *= length / max(ends[-1], 1e-3)
                edges[start : start + len(word), 1] = x + ends
                edges[start + 1 : start + len(word), 0] = x + ends[:-1]
                edges[start, 0] = x
            start += len(word)
            if start < len(text):
                edges[start] = end, end + space * gap
                start += 1
            x = end + space * gap
    width = int(min(max(edges[:, 1].max() + size, size * 2), columns))
    image = Image.new("L", (width, rows), 0)
    draw = ImageDraw.Draw(image)
    for position, piece, its in pieces:
        if position < width:
            shift = rng.uniform(-jitter, jitter) if jitter else 0.0
            draw.text((position, baseline + shift), piece, fill=255, font=its, anchor="ls")
    pitch = (cap + depth) * size * rng.uniform(0.96, 1.6)  # set so tight, letters of two lines touch
    for neighbour, step in zip(neighbours, (-pitch, pitch), strict=True):
        if neighbour:
            draw.text((left - rng.uniform(0, 3) * size, baseline + step), neighbour, fill=255, font=face, anchor="ls")
    ink = np.asarray(image, np.float32) / 255
    return Line(text, ink, edges, baseline - above * size, baseline + below * size)
