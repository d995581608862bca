"""Reading order: columns before rows, lines from top to bottom (recursive XY-cut, Nagy and Seth 1984)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def reading_order(x0: NDArray[np.float32], y0: NDArray[np.float32], x1: NDArray[np.float32], y1: NDArray[np.float32]) -> NDArray[np.intp]:
    """Indices of the boxes in the order in which they are read."""
    return np.lexsort((x0, (y0 + y1) / 2))
