"""A page to turn, and what is asked of what was read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from engines.api import Page, PageText, Quad

TURNS = (0, 90, 180, 270)


def rotated(pixels: NDArray[np.uint8], degrees: int) -> Page:
    """The page as somebody fed it: turned clockwise."""
    return Page(np.ascontiguousarray(np.rot90(pixels, -degrees // 90)))


def letter(width: int = 700, height: int = 520) -> NDArray[np.uint8]:
    """Running text, black on white, with descenders and a heading."""
    image = Image.new("L", (width, height), 255)
    draw = ImageDraw.Draw(image)
    draw.text((60, 40), "Minutes of the spring meeting", font=ImageFont.load_default(36), fill=0)
    words = "The quarterly report should be ready by early July, although several figures are still missing.".split()
    for number in range(8):
        line = " ".join(words[(number * 3 + i) % len(words)] for i in range(6))
        draw.text((60, 120 + 42 * number), line, font=ImageFont.load_default(24), fill=0)
    return np.repeat(np.asarray(image)[:, :, None], 3, axis=2)


def words_of(text: PageText) -> list[str]:
    return [word.text for line in text.lines for word in line.words]


def centre(quad: Quad) -> NDArray[np.float64]:
    return np.mean([quad.top_left, quad.top_right, quad.bottom_right, quad.bottom_left], axis=0)
