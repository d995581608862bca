"""A page at several scales, each made from the one above when it is first asked for."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_SHRINK = 1.5
"""Strips that would shrink more than this are cut from a smaller copy of the page, so that no pixel goes unseen."""


class Pyramid:
    """A grey page and its halves."""

    def __init__(self, grey: NDArray[np.uint8]) -> None:
        self._levels = [grey]

    def level(self, depth: int) -> tuple[NDArray[np.uint8], float]:
        """The page halved ``depth`` times, or as often as it can be, and its scale. A half leaves out a last odd row
        or column: only sides that are even are halved quickly."""
        while len(self._levels) <= depth and min(self._levels[-1].shape) >= 2:
            last = self._levels[-1]
            tall, wide = last.shape[0] // 2, last.shape[1] // 2
            half = cv2.resize(last[: 2 * tall, : 2 * wide], (wide, tall), interpolation=cv2.INTER_AREA)
            self._levels.append(np.asarray(half, np.uint8))
        depth = min(depth, len(self._levels) - 1)
        return self._levels[depth], 0.5**depth

    def shrunk(self, shrink: float) -> tuple[NDArray[np.uint8], float]:
        """The page at the scale from which a cut that shrinks by ``shrink`` sees every pixel, and that scale."""
        return self.level(max(0, int(np.ceil(np.log2(max(shrink, 1e-6) / MAX_SHRINK)))))
