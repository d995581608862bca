"""Pages made to fit programs that refuse very large ones."""

from __future__ import annotations

import numpy as np
from PIL import Image

from engines.api import Pixels


def shrunk(pixels: Pixels, longest_side: int) -> Pixels:
    """The page with no side longer than ``longest_side`` px, at the same proportions but for rounding.

    uint8 (height, width, 3); a grey view of one channel stays one.
    """
    height, width = pixels.shape[:2]
    scale = max(height, width) / longest_side
    if scale <= 1:
        return pixels
    size = (max(1, int(width / scale)), max(1, int(height / scale)))
    grey = pixels.strides[2] == 0
    image = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if grey else pixels))
    small = np.asarray(image.resize(size, Image.Resampling.BOX))
    return np.broadcast_to(small[:, :, None], (*small.shape, 3)) if grey else small
