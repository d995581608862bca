"""What is set beside or over print and is no line of it: stamps over text, and logos, which hold no text."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw

from engines.scribe.training import fonts
from engines.scribe.training.distort import Ink, Rng, low_noise
from engines.scribe.training.fonts import Font

_PRIVATE = range(0xF000, 0xF900)
"""The private use area in which icon fonts keep their glyphs."""
_ICON = 96
"""Size that icons are drawn at, px; a logo is resized from it."""
_WORDLIKE = 1.5
"""An icon this many times as wide as tall is a firm's name in its own letters, mostly: text, to a reader."""


def stamped(rng: Rng, ink: Ink, font: Font, word: str, unit: float) -> Ink:
    """``ink`` under a rubber stamp: ``word`` in a frame or a ring, larger than the line, at an angle, its pad half
    dry."""
    h, w = ink.shape
    mark = _stamp(rng, font, word, size=max(12, round(unit * rng.uniform(1.3, 3.2))))
    angle = rng.choice([-1, 1]) * rng.uniform(6, 40)
    matrix = cv2.getRotationMatrix2D((mark.shape[1] / 2, mark.shape[0] / 2), angle, 1.0)
    matrix[:, 2] += (rng.uniform(0, w) - mark.shape[1] / 2, rng.uniform(0.2, 0.8) * h - mark.shape[0] / 2)
    mark = cv2.warpAffine(mark, matrix, (w, h))
    dry = np.clip(0.9 + 0.5 * low_noise(rng, (h, w), unit * rng.uniform(0.1, 0.6)), 0, 1)
    return np.maximum(ink, np.float32(rng.uniform(0.15, 0.5)) * mark * dry)


def _stamp(rng: Rng, font: Font, word: str, size: int) -> Ink:
    face = fonts.face(font.path, size)
    left, top, right, bottom = map(int, face.getbbox(word))
    pad, line = round(size * rng.uniform(0.25, 0.6)), max(1, round(size * rng.uniform(0.04, 0.12)))
    width, height = right - left + 2 * (pad + line), bottom - top + 2 * (pad + line)
    ring = rng.random() < 0.4
    if ring:
        height = max(height, round(width * rng.uniform(0.6, 1)))
    image = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(image)
    draw.text((width / 2, height / 2), word, fill=255, font=face, anchor="mm")
    frame = draw.ellipse if ring else draw.rectangle
    for inset in (0, 2 * line)[: int(rng.integers(1, 3))]:
        frame((inset, inset, width - 1 - inset, height - 1 - inset), outline=255, width=line)
    return np.asarray(image, np.float32) / 255


def logo(rng: Rng, shape: tuple[int, int], icons: dict[str, str]) -> Ink:
    """A firm's mark: an icon of one of the fonts ``icons``, or (a half, and where there are none) a figure made of
    lines' and curves' symmetric copies; light on a dark disc or panel now and then."""
    h, w = shape
    ink = np.zeros(shape, np.float32)
    for place in range(int(rng.integers(1, 4))):
        size = int(rng.uniform(0.6, 1.5) * h)
        mark = _icon(rng, icons) if icons and rng.random() < 0.5 else _figure(rng)
        mark = cv2.resize(mark, (size, size), interpolation=cv2.INTER_AREA)
        if rng.random() < 0.3:
            panel = np.zeros((size, size), np.float32)
            if rng.random() < 0.5:
                panel[:] = 1
            else:
                cv2.circle(panel, (size // 2, size // 2), size // 2, 1.0, -1)
            small = cv2.resize(mark, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
            at = (size - small.shape[0]) // 2
            panel[at : at + small.shape[0], at : at + small.shape[1]] *= 1 - small
            mark = panel
        # The first one stands where a detector's box would begin.
        x = int(rng.integers(-size // 4, w - size // 2 if place else size // 4))
        y = int((h - size) / 2 + rng.normal(0, 0.1) * h)
        a, b, c, d = max(0, y), min(h, y + size), max(0, x), min(w, x + size)
        ink[a:b, c:d] = np.maximum(ink[a:b, c:d], mark[a - y : b - y, c - x : d - x])
    return ink


def _icon(rng: Rng, icons: dict[str, str]) -> Ink:
    path = list(icons)[int(rng.integers(len(icons)))]
    glyphs = _glyphs(path, icons[path])
    return _drawn(path, glyphs[int(rng.integers(len(glyphs)))])


@lru_cache(maxsize=8)
def _glyphs(path: str, struck: str) -> str:
    """The icons of a font but for ``struck`` and those that are as wide as a word."""
    there = fonts.inks(fonts.face(path, _ICON), map(chr, _PRIVATE))
    return "".join(
        character
        for character, ink in there.items()
        if character not in struck and ink.shape[1] < _WORDLIKE * ink.shape[0]
    )


@lru_cache(maxsize=512)
def _drawn(path: str, glyph: str) -> Ink:
    """An icon in a square of `_ICON` px."""
    face = fonts.face(path, _ICON)
    image = Image.new("L", (_ICON * 2, _ICON * 2), 0)
    ImageDraw.Draw(image).text((_ICON, _ICON), glyph, fill=255, font=face, anchor="mm")
    image = image.crop(image.getbbox())
    side = max(image.size)
    square = Image.new("L", (side, side), 0)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return np.asarray(square.resize((_ICON, _ICON)), np.float32) / 255


def _figure(rng: Rng) -> Ink:
    """A closed curve or polygon, turned around the middle some times, or mirrored; filled or drawn in lines."""
    ink = np.zeros((_ICON, _ICON), np.float32)
    middle = _ICON / 2
    corners = int(rng.integers(3, 8))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    shape = np.stack((np.cos(angles), np.sin(angles)), 1) * rng.uniform(0.2, 1, (corners, 1)) * middle * 0.5
    if rng.random() < 0.6:  # rounded (Chaikin 1974)
        for _ in range(3):
            after = np.roll(shape, -1, 0)
            shape = np.stack((0.75 * shape + 0.25 * after, 0.25 * shape + 0.75 * after), 1).reshape(-1, 2)
    shape += (0, -rng.uniform(0, 0.45) * middle)
    mirrored = rng.random() < 0.3
    copies = 2 if mirrored else int(rng.choice([1, 3, 4, 5, 6, 8]))
    thick = -1 if rng.random() < 0.6 else int(rng.integers(2, 9))
    for copy in range(copies):
        turn = 0.0 if mirrored else 2 * np.pi * copy / copies
        turned = shape @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        if mirrored and copy:
            turned = turned * (-1, 1)
        points = [np.int32(np.round(turned + middle))]
        if thick < 0:
            cv2.fillPoly(ink, points, float(rng.uniform(0.5, 1)), cv2.LINE_AA)
        else:
            cv2.polylines(ink, points, True, 1.0, thick, cv2.LINE_AA)
    if rng.random() < 0.3:
        cv2.circle(ink, (_ICON // 2, _ICON // 2), _ICON // 2 - 4, 1.0, int(rng.integers(2, 8)), cv2.LINE_AA)
    return ink
