"""Pages turned by quarters, and quads brought back to the page as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import cv2
import numpy as np

from engines.api import Line, Page, Pixels, Point, Quad, Word

_ROTATIONS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def turned(page: Page, degrees: int) -> Page:
    """The page turned clockwise by ``degrees`` (0, 90, 180, 270). A grey view of one channel stays one."""
    if degrees == 0:
        return page
    return Page(_rotated(page.pixels, degrees), page.number, page.dpi)


def _rotated(pixels: Pixels, degrees: int) -> Pixels:
    if pixels.strides[2] == 0:
        grey = np.asarray(cv2.rotate(np.ascontiguousarray(pixels[:, :, 0]), _ROTATIONS[degrees]), np.uint8)
        return np.broadcast_to(grey[:, :, None], (*grey.shape, 3))
    return np.asarray(cv2.rotate(pixels, _ROTATIONS[degrees]), np.uint8)


def returned(lines: Iterable[Line], degrees: int, width: int, height: int) -> tuple[Line, ...]:
    """Lines of a page that was turned clockwise by ``degrees``, in px of the page of ``width`` x ``height`` before."""
    if degrees == 0:
        return tuple(lines)
    quad = back(degrees, width, height)
    return tuple(
        Line(tuple(Word(word.text, word.confidence, quad(word.quad)) for word in line.words), quad(line.quad))
        for line in lines
    )


def back(degrees: int, width: int, height: int) -> Callable[[Quad], Quad]:
    """What brings a quad of a page turned clockwise by ``degrees`` to the page of ``width`` x ``height`` px before."""
    at: Callable[[Point], Point] = {
        0: lambda point: point,
        90: lambda point: (point[1], height - point[0]),
        180: lambda point: (width - point[0], height - point[1]),
        270: lambda point: (width - point[1], point[0]),
    }[degrees]
    return lambda quad: Quad(at(quad.top_left), at(quad.top_right), at(quad.bottom_right), at(quad.bottom_left))
