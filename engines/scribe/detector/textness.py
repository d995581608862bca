"""Whether a line looks like print at all: a small linear score, so that wood, cloth and creases cost few windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from engines.scribe.detector.fit import Lines

REAL = 4
"""Lines of so many letters or more tell what is usual on the page."""
MAX_LINES = 1200
"""A page of more lines is noise for the most part: the likeliest are kept."""
THRESHOLD = -2.4
"""Lines of a lower score are no print. Of the lines on real pages (receipts, forms, tables, photos) that hold text,
one in a hundred scores lower, nearly all of them scraps; of the others on photos, half do."""

# Fitted by logistic regression on the lines that the detector finds on those pages, text against no text.
CONTRAST, ROUGH, NUMBER, UNEVEN, SMALL, LARGE, PITCH, BIAS = 3.4, -7.9, 1.64, -3.6, 2.6, -1.5, -0.9, 3.3


def plausible(line: Lines) -> NDArray[np.bool_]:
    """True for the lines that may be print, judged by contrast, feet, strokes and size."""
    real = line.letters >= REAL
    if not real.any():
        return np.ones(len(line), np.bool_)
    number = line.letters[real]
    usual = float(np.median(np.repeat(line.size[real], number)))
    strongest = float(np.quantile(np.repeat(line.contrast[real], number), 0.8))
    size = np.log(np.maximum(line.size / usual, 0.1))
    several = np.minimum(line.letters, 6) / 6
    score = (
        CONTRAST * np.log(line.contrast / max(strongest, 1.0) + 0.02)
        + ROUGH * line.rough * several
        + NUMBER * np.log(np.minimum(line.letters, 16))
        + UNEVEN * np.where(line.letters > 1, line.uneven, 0.15)
        + SMALL * np.clip(size, -1.5, 0)
        + LARGE * np.clip(size, 0, 1.5)
        + PITCH * np.where(line.letters > 1, np.clip((line.end - line.start) / line.size / line.letters, 0.5, 3), 1)
        + BIAS
    )
    few = line.letters <= 2
    speck = few & ((line.size < 0.5 * usual) | (line.size > 6 * usual) | (line.size > 4.5 * (line.end - line.start)))
    keep = (score >= THRESHOLD) & ~speck
    if keep.sum() > MAX_LINES:
        keep &= score >= np.partition(score[keep], -MAX_LINES)[-MAX_LINES]
    return np.asarray(keep, np.bool_)
