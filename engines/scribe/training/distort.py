"""What paper, printers, scanners and cameras do to a line of text; ink in (float32, 0..1), grey out (uint8).

Every function draws its strength from the caller's generator; sizes are relative to ``unit``, the line's ink height
in px."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Rng = np.random.Generator
Ink = NDArray[np.float32]
Grey = NDArray[np.uint8]

_ASIDE = 0.2
"""How far perspective moves a letter along its line at most, of the line's ink height: less than half its width."""


def low_noise(rng: Rng, shape: tuple[int, int], cells: float) -> Ink:
    """Smooth noise of mean 0 and deviation about 1; ``cells`` px from one bump to the next."""
    small = (max(2, int(shape[0] / cells) + 2), max(2, int(shape[1] / cells) + 2))
    noise = rng.standard_normal(small, dtype=np.float32)
    return cv2.resize(noise, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)


def warp(rng: Rng, ink: Ink, unit: float) -> Ink:
    """Small rotation, shear, perspective and curl. Columns move less than a stroke, so that edges stay true."""
    h, w = ink.shape
    slope = rng.normal(0, 0.008)
    if abs(slope) * w > 0.22 * unit:
        slope *= 0.22 * unit / (abs(slope) * w)
    shear = rng.normal(0, 0.06)
    curl = rng.normal(0, 0.03) * unit if rng.random() < 0.3 else 0.0
    matrix = np.array([[1, shear, -shear * h / 2], [slope, 1, -slope * w / 2], [0, 0, 1]], np.float32)
    if rng.random() < 0.4:
        matrix = _perspective(rng, ink.shape, unit) @ matrix
    if curl == 0:
        return cv2.warpPerspective(ink, matrix, (w, h), flags=cv2.INTER_LINEAR)
    x, y = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
    phase, period = rng.uniform(0, 6.3), rng.uniform(4, 14) * unit
    there = cv2.perspectiveTransform(np.stack((x, y), 2), np.linalg.inv(matrix))
    there[..., 1] += curl * np.sin(x * np.float32(6.28 / period) + np.float32(phase))
    return cv2.remap(ink, there, None, cv2.INTER_LINEAR)


def _perspective(rng: Rng, shape: tuple[int, int], unit: float) -> NDArray[np.float32]:
    """The camera nearer to one end of the line (taller letters there), or to its foot (wider letters below)."""
    h, w = shape
    # What is half way along lies ``taller * w`` px aside of where it lay.
    most = _ASIDE * unit / w
    taller = float(np.clip(rng.normal(0, 0.06), -most, most))
    wider = float(rng.normal(0, 0.04)) * h / 2
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    moved = corners + np.array(
        [[wider, -taller * h], [-wider, taller * h], [wider, -taller * h], [-wider, taller * h]], np.float32
    )
    return cv2.getPerspectiveTransform(corners, moved).astype(np.float32)


def weight(rng: Rng, ink: Ink, unit: float) -> Ink:
    """Bolder or thinner strokes."""
    radius = unit * rng.uniform(0.01, 0.035)
    blurred = cv2.GaussianBlur(ink, (0, 0), max(radius, 0.3))
    level = rng.uniform(0.25, 0.72)
    soft = 0.35
    return np.clip((blurred - level) / soft + 0.5, 0, 1)


def wear(rng: Rng, ink: Ink, unit: float) -> Ink:
    """Uneven ink: fading in patches, speckle inside strokes."""
    amount = rng.uniform(0.1, 0.42)
    patches = 1 - amount * np.clip(low_noise(rng, ink.shape, unit * rng.uniform(0.3, 3)), 0, 1.6)
    if rng.random() < 0.4:
        patches -= rng.uniform(0.2, 0.6) * (rng.random(ink.shape, np.float32) < rng.uniform(0.02, 0.25))
    return ink * np.clip(patches, 0.12, 1)


def thermal(rng: Rng, ink: Ink, unit: float) -> Ink:
    """A print head of dots: a coarse grid, weak rows and columns, dots that bleed into each other."""
    h, w = ink.shape
    dots = rng.uniform(14, 30)
    scale = dots / unit
    if scale < 0.9:
        small = cv2.resize(ink, (max(4, int(w * scale)), max(4, int(h * scale))), interpolation=cv2.INTER_AREA)
        small = np.clip((small - rng.uniform(0.25, 0.5)) * 4 + 0.5, 0, 1)
        if rng.random() < 0.35:
            small *= 1 - rng.uniform(0.2, 0.9) * (rng.random((small.shape[0], 1), np.float32) < 0.08)
        if rng.random() < 0.25:
            small *= 1 - rng.uniform(0.3, 0.9) * (rng.random((1, small.shape[1]), np.float32) < 0.03)
        if rng.random() < 0.3:
            small *= 1 - rng.uniform(0.2, 0.7) * (rng.random(small.shape, np.float32) < 0.1)
        mode = cv2.INTER_NEAREST if rng.random() < 0.4 else cv2.INTER_LINEAR
        ink = cv2.resize(small, (w, h), interpolation=mode)
    return cv2.GaussianBlur(ink, (0, 0), max(0.3, unit * rng.uniform(0.01, 0.035)))


def dot_matrix(rng: Rng, ink: Ink, unit: float) -> Ink:
    """Needles: separate dots along the strokes."""
    h, w = ink.shape
    pins = rng.uniform(9, 16)
    scale = pins / unit
    small = cv2.resize(ink, (max(4, int(w * scale)), max(4, int(h * scale))), interpolation=cv2.INTER_AREA)
    small = (small > rng.uniform(0.3, 0.45)).astype(np.float32)
    large = cv2.resize(small, (w, h), interpolation=cv2.INTER_NEAREST)
    y, x = np.arange(h, dtype=np.float32)[:, None] * scale, np.arange(w, dtype=np.float32)[None] * scale
    distance = np.hypot(y % 1 - 0.5, x % 1 - 0.5)
    dots = np.clip((rng.uniform(0.5, 0.75) - distance) * 4, 0, 1)
    return cv2.GaussianBlur(large * dots, (0, 0), max(0.3, unit * 0.02))


def rules(rng: Rng, ink: Ink, top: float, bottom: float) -> Ink:
    """An underline, a rule above, table lines at the sides, or (seldom) a strike through the text."""
    w = ink.shape[1]
    unit = bottom - top
    ink = ink.copy()
    tone = rng.uniform(0.5, 1)
    thick = max(1, round(unit * rng.uniform(0.02, 0.14)))
    roll = rng.random()
    if roll < 0.45:
        y = int(bottom + rng.uniform(-0.1, 0.35) * unit)
        ink[y : y + thick, int(rng.uniform(0, 0.3) * w) if rng.random() < 0.3 else 0 :] = tone
    elif roll < 0.7:
        y = int(top - rng.uniform(-0.1, 0.35) * unit)
        ink[max(0, y - thick) : max(0, y)] = tone
    elif roll < 0.94:
        x = int(rng.uniform(0, 0.08) * unit) if rng.random() < 0.5 else w - 1 - int(rng.uniform(0, 0.2) * unit)
        ink[:, x : x + thick] = tone
    else:
        y = int(rng.uniform(top + 0.3 * unit, bottom))
        ink[y : y + max(1, thick // 2)] = np.maximum(ink[y : y + max(1, thick // 2)], tone)
    return ink


def scribble(rng: Rng, ink: Ink, unit: float) -> Ink:
    """A pen's strokes through the print: part of a signature, a tick, a line drawn by hand."""
    ink = ink.copy()
    h, w = ink.shape
    tone, thick = float(rng.uniform(0.4, 1)), max(1, round(unit * rng.uniform(0.02, 0.1)))
    along = np.linspace(0, 1, 24)[:, None]
    at = np.array([rng.uniform(0, w), rng.uniform(0, h)])
    for _ in range(int(rng.integers(1, 4))):
        bend = at + rng.normal(0, 1.5, 2) * unit
        end = at + rng.normal(0, 2, 2) * unit
        curve = (1 - along) ** 2 * at + 2 * along * (1 - along) * bend + along**2 * end
        cv2.polylines(ink, [np.int32(np.round(curve))], False, tone, thick, cv2.LINE_AA)
        at = end
    return ink


def dust(rng: Rng, ink: Ink, unit: float) -> Ink:
    """Specks and short scratches."""
    ink = ink.copy()
    h, w = ink.shape
    for _ in range(int(rng.integers(1, 14))):
        x, y = int(rng.integers(w)), int(rng.integers(h))
        radius = max(0, round(unit * rng.uniform(0.005, 0.035)))
        cv2.circle(ink, (x, y), radius, float(rng.uniform(0.3, 1)), -1)
    if rng.random() < 0.1:
        x, y = int(rng.integers(w)), int(rng.integers(h))
        end = (x + int(rng.normal(0, unit)), y + int(rng.normal(0, unit)))
        cv2.line(ink, (x, y), end, float(rng.uniform(0.3, 1)), 1)
    return ink


def ground(rng: Rng, shape: tuple[int, int], unit: float) -> Ink:
    """Paper, card, cloth, wood, marble or a screen: tone 0 (black) to 1 (white)."""
    tone = np.full(shape, 1 - 0.5 * rng.random() ** 1.7, np.float32)
    roll = rng.random()
    if roll < 0.5:
        tone += rng.uniform(0.005, 0.04) * low_noise(rng, shape, unit * rng.uniform(0.5, 4))
    elif roll < 0.7:
        tone += rng.uniform(0.01, 0.1) * low_noise(rng, shape, unit * rng.uniform(1, 8))
        tone += rng.uniform(0.01, 0.04) * low_noise(rng, shape, max(2.0, unit * 0.1))
    elif roll < 0.8:
        grain = low_noise(rng, (shape[0], max(2, shape[1] // 12)), unit * 0.15)
        tone += rng.uniform(0.01, 0.07) * cv2.resize(grain, (shape[1], shape[0]))
    elif roll < 0.88:
        x = np.arange(shape[1], dtype=np.float32)[None] * (6.28 / rng.uniform(3, 14))
        y = np.arange(shape[0], dtype=np.float32)[:, None] * (6.28 / rng.uniform(3, 14))
        tone += rng.uniform(0.01, 0.06) * np.sin(x + rng.uniform(-1, 1) * y) * np.cos(y)
    x = np.linspace(-1, 1, shape[1], dtype=np.float32)[None]
    y = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    if rng.random() < 0.6:
        tone += rng.normal(0, 0.05) * x + rng.normal(0, 0.05) * y
    if rng.random() < 0.15:
        tone *= 1 - rng.uniform(0.1, 0.45) / (1 + np.exp(-(x - rng.uniform(-1, 1)) * rng.uniform(3, 40)))
    return tone


def print_on(rng: Rng, ink: Ink, paper: Ink, contrast: tuple[float, float]) -> Ink:
    """Ink over paper; ``contrast`` bounds how much darker than the paper full ink is."""
    return paper * (1 - rng.uniform(*contrast) * ink)


def blur(rng: Rng, tone: Ink, unit: float, most: float) -> Ink:
    """Out of focus, or (a quarter) moved."""
    sigma = unit * rng.uniform(0.005, most)
    if rng.random() < 0.25:
        length = max(2, int(sigma * 3))
        kernel = np.zeros((length, length), np.float32)
        cv2.line(kernel, (0, int(rng.integers(length))), (length - 1, int(rng.integers(length))), 1.0)
        return cv2.filter2D(tone, -1, kernel / kernel.sum())
    return cv2.GaussianBlur(tone, (0, 0), max(sigma, 0.25))


def noise(rng: Rng, tone: Ink, most: float) -> Ink:
    """A sensor's noise, white or coarse."""
    strength = rng.uniform(0, most)
    if rng.random() < 0.7:
        return tone + strength * rng.standard_normal(tone.shape, dtype=np.float32)
    return tone + strength * low_noise(rng, (tone.shape[0], tone.shape[1]), rng.uniform(1.2, 3))


def grey(tone: Ink) -> Grey:
    """Tone 0..1 as uint8."""
    return (np.clip(tone, 0, 1) * 255).astype(np.uint8)


def jpeg(rng: Rng, image: Grey) -> Grey:
    """Through JPEG, quality 15 to 90."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 91))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


def sharpen(rng: Rng, tone: Ink, unit: float) -> Ink:
    """A scanner's or a camera's unsharp mask: halos."""
    soft = cv2.GaussianBlur(tone, (0, 0), max(0.6, unit * rng.uniform(0.02, 0.06)))
    return tone + rng.uniform(0.3, 1.5) * (tone - soft)


def bitonal(rng: Rng, ink: Ink, unit: float) -> Grey:
    """A fax's or a bitonal scanner's: blur, noise, a threshold that is too high or too low, ragged edges, pepper."""
    soft = cv2.GaussianBlur(ink, (0, 0), max(0.35, unit * rng.uniform(0.006, 0.03)))
    soft = soft + rng.uniform(0.02, 0.16) * low_noise(rng, (ink.shape[0], ink.shape[1]), rng.uniform(1.0, 2.2))
    if rng.random() < 0.3:
        soft *= 1 - rng.uniform(0.05, 0.32) * np.clip(
            low_noise(rng, (ink.shape[0], ink.shape[1]), unit * rng.uniform(0.5, 3)), 0, 1
        )
    black = soft > np.clip(rng.normal(0.46, 0.11), 0.22, 0.72)
    if rng.random() < 0.4:
        flips = rng.random(ink.shape, np.float32)
        black ^= flips < rng.uniform(0.0003, 0.012)
    return np.where(black, 0, 255).astype(np.uint8)


def copied(rng: Rng, image: Grey, unit: float) -> Grey:
    """A copy of a copy: few dots a letter, and ink that gains until counters close (a as o, e as a blot)."""
    small = _reduced(image, rng.uniform(11, 20) / unit)
    if small is image:
        return image
    ink = cv2.GaussianBlur(1 - small.astype(np.float32) / 255, (0, 0), rng.uniform(0.35, 0.7))
    black = np.clip((ink - rng.uniform(0.2, 0.42)) * rng.uniform(3, 12) + 0.5, 0, 1)
    return _enlarged(grey(1 - black), image)


def shrunk(rng: Rng, image: Grey, unit: float) -> Grey:
    """A scan kept at a fraction of its resolution, as archives do with faxes: a line is 8 to 15 px tall in it."""
    small = _reduced(image, rng.uniform(8, 15) / unit)
    return image if small is image else _enlarged(small, image)


def _reduced(image: Grey, scale: float) -> Grey:
    """``image`` at ``scale`` of its size, itself where that is 1 or more."""
    if scale >= 1:
        return image
    h, w = image.shape
    size = (max(4, round(w * scale)), max(4, round(h * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _enlarged(small: Grey, image: Grey) -> Grey:
    """``small`` at the size of ``image``."""
    return np.asarray(cv2.resize(small, image.shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
