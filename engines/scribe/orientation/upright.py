"""Upright pages: by the net where it is sure, by its and the recogniser's common voice where it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.api import Page, Turn
from engines.scribe.orientation.crops import Grey
from engines.scribe.orientation.judge import Read, legibility, overturned, sample
from engines.scribe.orientation.turning import turned
from engines.scribe.orientation.votes import CLEAR, Voters
from engines.scribe.windows import Windows

SURE_UPRIGHT = 0.95
"""A page that is upright with this probability needs no judge: to leave it as it is does no harm. One that is turned
needs none where it is `CLEAR`."""
PLAUSIBLE = 0.02
"""The judge is not asked about turns that the net thinks less likely than this."""
WEIGHT = 10.0
"""What a page's words say against what the net says: 0.1 of mean confidence is worth a factor of e."""
MARGIN = 0.1
"""A turned page must read better than it does upright by so much mean confidence, whatever the net says."""

Detect = Callable[[Page], Windows]


@dataclass(frozen=True, slots=True)
class Upright:
    """The page as it is to be read, and how it was turned; its ``windows`` where they had to be found on the way."""

    page: Page
    turn: Turn
    windows: Windows | None = None


def upright(page: Page, voters: Voters, detect: Detect, read: Read) -> Upright:
    """Turn a page that lies on its side or upside down. One that seems upright, or may be, is left as it is.

    First do no harm: most pages are upright, and to turn one of them is worse than to miss a turned one. So where the
    net is not clear, a page is turned only if its words read better that way.
    """
    votes = voters.votes(_grey(page))
    if votes.probability >= (CLEAR if votes.quarters else SURE_UPRIGHT):
        return _turned(page, votes.quarters, votes.probability)
    return judged(page, votes.probabilities, detect, read)


def judged(page: Page, probabilities: NDArray[np.float64], detect: Detect, read: Read) -> Upright:
    """Weigh how the page reads as it is, and in each turn that is plausible, against what the net says of it.

    ``probabilities`` (4,): that it came turned clockwise by so many quarters.
    """
    legible: dict[int, float] = {}
    found: dict[int, Windows] = {}
    for axis in (0, 1):
        # Lines are looked for once in each direction, the likelier way up: those are the windows that will be read.
        likelier, other = sorted((axis, axis + 2), key=lambda quarters: -probabilities[quarters])
        if axis == 0 or probabilities[likelier] >= PLAUSIBLE:
            found[likelier] = detect(turned(page, _back(likelier)))
            shown = sample(found[likelier])
            legible[likelier] = legibility(shown, read)
            legible[other] = legibility(overturned(shown), read)
    weighed = {
        quarters: float(np.log(probabilities[quarters])) + WEIGHT * legible[quarters]
        for quarters in legible
        if quarters == 0 or (probabilities[quarters] >= PLAUSIBLE and legible[quarters] >= legible[0] + MARGIN)
    }
    best = max(weighed, key=lambda quarters: weighed[quarters])
    shares = np.exp(np.array(list(weighed.values())) - weighed[best])
    return _turned(page, best, float(1 / shares.sum()), found.get(best))


def _back(quarters: int) -> int:
    """Degrees clockwise that undo quarters clockwise."""
    return -90 * quarters % 360


def _turned(page: Page, quarters: int, probability: float, windows: Windows | None = None) -> Upright:
    """The page that came turned clockwise by ``quarters``, turned back."""
    degrees = _back(quarters)
    return Upright(turned(page, degrees), Turn(degrees, probability), windows)


def _grey(page: Page) -> Grey:
    if page.pixels.strides[2] == 0:
        return np.ascontiguousarray(page.pixels[:, :, 0])
    return np.asarray(cv2.cvtColor(page.pixels, cv2.COLOR_RGB2GRAY), np.uint8)
