"""The page in grey: colour says nothing to any stage, and costs three times the memory to turn and to look at."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.api import Page


def channel(page: Page) -> NDArray[np.uint8]:
    """The page in grey, uint8 (height, width). The memory of a grey page, which shows one channel three times, is its
    own."""
    if page.pixels.strides[2] == 0:
        return np.ascontiguousarray(page.pixels[:, :, 0])
    return np.asarray(cv2.cvtColor(page.pixels, cv2.COLOR_RGB2GRAY), np.uint8)


def greyed(page: Page) -> Page:
    """The same page, showing one channel three times."""
    grey = channel(page)
    return Page(np.broadcast_to(grey[:, :, None], (*grey.shape, 3)), page.number, page.dpi)
