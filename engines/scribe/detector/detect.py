"""From a page to windows: the one verb of the detector."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.api import Page
from engines.scribe.detector.fit import Lines, skew
from engines.scribe.detector.lines import lines
from engines.scribe.detector.order import reading_order
from engines.scribe.detector.pyramid import Pyramid
from engines.scribe.detector.regions import regions
from engines.scribe.detector.strips import cuts, ink_columns, middle_grey, rails, strip
from engines.scribe.grey import channel
from engines.scribe.windows import HEIGHT, WIDTH, Windows

MAX_AREA = 2_400_000
"""Pages of more px are searched in a smaller copy; windows are still cut from the page itself."""
MIN_AREA = 1_400_000
"""Pages of fewer px are searched in a larger copy, up to twice as wide, so that letters of 6 px come apart."""


def windows(page: Page) -> Windows:
    """The windows of a page, in reading order. Any page has an answer, an empty one zero windows."""
    grey = channel(page)
    pyramid = Pyramid(grey)
    found, scale = find_lines(pyramid)
    rail_of = rails(found, scale, grey.shape)
    pieces: list[NDArray[np.uint8]] = []
    line: list[int] = []
    offset: list[int] = []
    width: list[int] = []
    for index, rail in enumerate(rail_of):
        cut = strip(pyramid, rail)
        ground = np.uint8(middle_grey(cut[::2, ::3]))
        for begin, columns in cuts(ink_columns(cut)):
            window = np.full((HEIGHT, WIDTH), ground, np.uint8)
            window[:, :columns] = cut[:, begin : begin + columns]
            pieces.append(window)
            line.append(index)
            offset.append(begin)
            width.append(columns)
    return Windows(
        pixels=np.stack(pieces) if pieces else np.zeros((0, HEIGHT, WIDTH), np.uint8),
        line=np.array(line, np.int32),
        offset=np.array(offset, np.int32),
        width=np.array(width, np.int32),
        rails=tuple(rail_of),
    )


def find_lines(page: Pyramid) -> tuple[Lines, float]:
    """Lines of a grey page in reading order, in px of the copy searched, and px of the page per px of the copy."""
    grey, scale = working_copy(page)
    found = lines(regions(grey))
    y = found.base - found.rise
    boxes = np.stack([found.start, y, found.end, found.base + found.drop], axis=1)
    return found.take(reading_order(boxes, skew(found))), scale


def working_copy(page: Pyramid) -> tuple[NDArray[np.uint8], float]:
    """The copy of a grey page that is searched, and px of the page per px of the copy."""
    grey, part = page.level(0)
    area = grey.size
    scale = 1.0
    if area > MAX_AREA:
        scale = (area / MAX_AREA) ** 0.5
        grey, part = page.level(int(np.log2(scale)))
    elif area < MIN_AREA:
        scale = max(0.5, (area / MIN_AREA) ** 0.5)
    if scale * part != 1.0:
        height, width = grey.shape
        size = (max(1, round(width / (scale * part))), max(1, round(height / (scale * part))))
        # The rest is less than a half: linear interpolation leaves no pixel unseen.
        how = cv2.INTER_LINEAR if scale > 1 else cv2.INTER_CUBIC
        grey = np.asarray(cv2.resize(grey, size, interpolation=how), np.uint8)
    return grey, scale
