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
THRESHOLD = -6.0
"""Lines of a lower score are no print. Low on purpose: a lone clean letter scores about -2, and a line must fail by
one whole measure more to be dropped."""

# Set by hand, not fitted on any page: each measure, from its best value to its worst, weighs about 4.
CONTRAST, ROUGH, NUMBER, UNEVEN, SMALL, LARGE, PITCH, BIAS = 1.0, -8.0, 1.5, -4.0, 2.5, -2.5, -1.5, 0.0
COEFFICIENTS = np.array([CONTRAST, ROUGH, NUMBER, UNEVEN, SMALL, LARGE, PITCH, BIAS])


def plausible(line: Lines) -> NDArray[np.bool_]:
    """True for the lines that may be print, judged by contrast, feet, strokes and size."""
    if not (line.letters >= REAL).any():
        return np.ones(len(line), np.bool_)
    score = features(line) @ COEFFICIENTS
    keep = (score >= THRESHOLD) & ~specks(line)
    if keep.sum() > MAX_LINES:
        keep &= score >= np.partition(score[keep], -MAX_LINES)[-MAX_LINES]
    return np.asarray(keep, np.bool_)


def features(line: Lines) -> NDArray[np.float64]:
    """What the score weighs, (m, 8), in the order of `COEFFICIENTS`; one line has `REAL` letters at least."""
    real = line.letters >= REAL
    strongest = float(np.quantile(np.repeat(line.contrast[real], line.letters[real]), 0.8))
    size = np.log(np.maximum(line.size / _usual(line), 0.1))
    several = line.letters > 1
    pitch = np.clip((line.end - line.start) / line.size / line.letters, 0.5, 3)
    columns = (
        np.log(line.contrast / max(strongest, 1.0) + 0.02),
        line.rough * np.minimum(line.letters, 6) / 6,
        np.log(np.minimum(line.letters, 16)),
        np.where(several, line.uneven, 0.15),
        np.clip(size, -1.5, 0),
        np.clip(size, 0, 1.5),
        np.where(several, pitch, 1),
        np.ones(len(line)),
    )
    return np.stack(columns, axis=1).astype(np.float64)


def specks(line: Lines) -> NDArray[np.bool_]:
    """True for lines of a letter or two that are far lower or higher than the page's, or far higher than wide."""
    usual = _usual(line)
    odd = (line.size < 0.5 * usual) | (line.size > 6 * usual) | (line.size > 4.5 * (line.end - line.start))
    return np.asarray((line.letters <= 2) & odd, np.bool_)


def _usual(line: Lines) -> float:
    """The height of most letters in lines of `REAL` letters at least."""
    real = line.letters >= REAL
    return float(np.median(np.repeat(line.size[real], line.letters[real])))
