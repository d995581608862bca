"""A page while it is drawn, and what stands on it beside text: bars, marks, pictures, handwriting."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from engines.scribe.training import distort
from engines.scribe.training.fonts import Font

Rng = np.random.Generator
Ink = NDArray[np.float32]
"""0 paper to 1 ink."""


class Sheet:
    """A page while it is drawn: ink as a Pillow image, and words counted."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.image = Image.new("L", (width, height), 0)
        self.draw = ImageDraw.Draw(self.image)
        self.pictures: list[tuple[Ink, int, int]] = []
        self.words = 0


_FACES: dict[tuple[str, int], ImageFont.FreeTypeFont] = {}


def face_of(font: Font, size: float) -> ImageFont.FreeTypeFont:
    key = (font.path, max(7, round(size)))
    if key not in _FACES:
        if len(_FACES) > 1000:
            _FACES.clear()
        _FACES[key] = ImageFont.truetype(*key, layout_engine=ImageFont.Layout.BASIC)
    return _FACES[key]


def barcode(rng: Rng, sheet: Sheet, box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    x = float(left)
    module = max(1.0, (right - left) / 95)
    while x < right:
        wide = module * int(rng.integers(1, 4))
        sheet.draw.rectangle((x, top, x + wide - 1, bottom), fill=255)
        x += wide + module * int(rng.integers(1, 4))


def logo(rng: Rng, sheet: Sheet, unit: float) -> None:
    x, y, side = rng.uniform(0, 0.8) * sheet.width, rng.uniform(0, 0.06) * sheet.height, unit * rng.uniform(2, 6)
    shade = int(rng.integers(90, 255))
    if rng.random() < 0.5:
        sheet.draw.ellipse((x, y, x + side, y + side), fill=shade)
    else:
        sheet.draw.polygon([(x, y + side), (x + side / 2, y), (x + side, y + side)], fill=shade)


def picture(rng: Rng, sheet: Sheet, box: tuple[int, int, int, int]) -> None:
    """A photograph of nothing in particular: soft shapes, edges, grain."""
    left, top, right, bottom = (max(0, side) for side in box)
    right, bottom = min(right, sheet.width), min(bottom, sheet.height)
    if right - left < 8 or bottom - top < 8:
        return
    shape = (bottom - top, right - left)
    tone = 0.5 + 0.25 * distort.low_noise(rng, shape, max(8, shape[1] * rng.uniform(0.1, 0.6)))
    for _ in range(int(rng.integers(0, 6))):
        middle = (int(rng.integers(shape[1])), int(rng.integers(shape[0])))
        cv2.circle(tone, middle, int(shape[1] * rng.uniform(0.03, 0.3)), float(rng.random()), -1)
    tone += rng.uniform(0, 0.15) * distort.low_noise(rng, shape, rng.uniform(1.5, 12))
    sheet.pictures.append((np.clip(tone, 0, 1).astype(np.float32), left, top))


def scribble(rng: Rng, sheet: Sheet, unit: float) -> None:
    """A signature, a tick, a note by hand."""
    count = int(rng.integers(6, 30))
    steps = rng.normal((unit * 0.6, 0), unit * 1.2, (count, 2)).cumsum(axis=0)
    start = rng.uniform((0, 0), (sheet.width * 0.8, sheet.height))
    points = [(float(x), float(y)) for x, y in steps + start]
    sheet.draw.line(points, fill=int(rng.integers(120, 255)), width=max(1, int(unit / 10)), joint="curve")
