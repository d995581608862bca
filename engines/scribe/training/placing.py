"""Where a window lies on a scan of a drawn line, and which of the line's characters it shows."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.scribe.windows import HEIGHT, WIDTH

Grey = NDArray[np.uint8]

_SLIVER = 0.15
"""Share of a character's advance that a window's edge cuts off at most: of half a character nobody could say whether it
is in the window."""
_INKED = 40
"""Grey levels, of 255, of a row that some of a character's ink lies in."""
_LEGIBLE = 0.5
"""A window shows a character when what is dark in it follows the ink that was meant: their correlation, at least."""


def clear(edges: NDArray[np.float32], text: str, x: float) -> float:
    """The column nearest to ``x`` that cuts no more than a sliver off a character."""
    for character, (left, right) in zip(text, edges.tolist(), strict=True):
        if character != " " and min(x - left, right - x) > _SLIVER * (right - left):
            return float(left if x - left < right - x else right)
    return x


def inside(edges: NDArray[np.float32], start: float, end: float) -> NDArray[np.bool_]:
    """Which characters lie between two columns, bool (n,): those of which more than half shows."""
    width = np.maximum(edges[:, 1] - edges[:, 0], 1e-3)
    return (np.minimum(edges[:, 1], end) - np.maximum(edges[:, 0], start)) / width > 0.5


def legible(window: Grey, meant: Grey, columns: NDArray[np.float32]) -> bool:
    """Whether ``window`` shows every character that ``meant``, the same print before wear, noise and scan, holds
    between ``columns`` (n, 2); ink is dark in both. A truth that cannot be seen teaches to guess, and fails who does
    not."""
    seen, print_ = (255 - cv2.GaussianBlur(grey, (0, 0), 0.8).astype(np.float32) for grey in (window, meant))
    for left, right in columns.tolist():
        a, b = max(0, int(left) - 1), int(right) + 2
        its = np.flatnonzero(print_[:, a:b].max(1) > _INKED)
        if not len(its):
            return False
        rows = slice(max(0, its[0] - 2), its[-1] + 3)  # a rule below it is not its concern
        here, wanted = seen[rows, a:b], print_[rows, a:b]
        here, wanted = here - here.mean(), wanted - wanted.mean()
        if float((here * wanted).sum()) < _LEGIBLE * float(np.sqrt((here**2).sum() * (wanted**2).sum())) + 1e-3:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Place:
    """Where a window lies on a scan: between columns ``start`` and ``end`` and rows ``top`` and ``bottom``, px;
    ``aspect``: how much wider than tall its pixels are drawn."""

    start: float
    end: float
    top: float
    bottom: float
    aspect: float

    @property
    def _scale(self) -> float:
        return HEIGHT / (self.bottom - self.top)

    @property
    def _width(self) -> int:
        return int(np.clip(round((self.end - self.start) * self._scale * self.aspect), 4, WIDTH))

    def columns(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Columns of the window where the scan's columns ``x`` lie."""
        return (x - self.start) * (self._width / (self.end - self.start))

    def cut(self, image: Grey, mode: int = cv2.INTER_LINEAR) -> Grey:
        """``image`` resampled to uint8 (HEIGHT, up to WIDTH)."""
        scale, width = self._scale, self._width
        if scale < 0.8:  # average over what a window's pixel covers, as the detector does
            image = cv2.blur(image, (max(1, round(1 / scale / self.aspect)), max(1, round(1 / scale))))
        matrix = np.array([[(self.end - self.start) / width, 0, self.start], [0, 1 / scale, self.top]], np.float32)
        matrix[0, 2] += 0.5 * (matrix[0, 0] - 1)
        matrix[1, 2] += 0.5 * (matrix[1, 1] - 1)
        return cv2.warpAffine(
            image, matrix, (width, HEIGHT), flags=mode | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
        )
