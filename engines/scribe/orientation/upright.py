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
from engines.scribe.orientation.votes import Voters
from engines.scribe.windows import Windows

SURE = 0.9995
"""A turn of this probability needs no judge."""
SURE_UPRIGHT = 0.9
"""Nor does a page that is upright with this one: to leave it as it is does no harm."""
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
    net is not `SURE`, a page is turned only if its words read better that way.
    """
    votes = voters.votes(_grey(page))
    if votes.quarters == 0 and votes.probability >= SURE_UPRIGHT:
        return Upright(page, Turn(0, votes.probability))
    if votes.quarters != 0 and votes.probability >= SURE:
        return _turned(page, votes.quarters, votes.probability)
    return judged(page, votes.probabilities, detect, read)


def judged(page: Page, probabilities: NDArray[np.float64], detect: Detect, read: Read) -> Upright:
    """Weigh how the page reads in each turn that is plausible against what the net says of it.

    ``probabilities`` (4,): that it came turned clockwise by so many quarters.
    """
    legible: dict[int, float] = {}
    found: dict[int, Windows] = {}
    for quarters in (0, 1):
        if quarters == 0 or max(probabilities[quarters], probabilities[quarters + 2]) >= PLAUSIBLE:
            found[quarters] = detect(turned(page, -90 * quarters % 360))
            shown = sample(found[quarters])
            legible[quarters] = legibility(shown, read)
            legible[quarters + 2] = legibility(overturned(shown), read)
    weighed = {
        quarters: float(np.log(probabilities[quarters])) + WEIGHT * legible[quarters]
        for quarters in legible
        if quarters == 0 or (probabilities[quarters] >= PLAUSIBLE and legible[quarters] >= legible[0] + MARGIN)
    }
    best = max(weighed, key=lambda quarters: weighed[quarters])
    shares = np.exp(np.array(list(weighed.values())) - weighed[best])
    return _turned(page, best, float(1 / shares.sum()), found.get(best))


def _turned(page: Page, quarters: int, probability: float, windows: Windows | None = None) -> Upright:
    """The page that came turned clockwise by ``quarters``, turned back."""
    degrees = -90 * quarters % 360
    return Upright(turned(page, degrees), Turn(degrees, probability), windows)


def _grey(page: Page) -> Grey:
    if page.pixels.strides[2] == 0:
        return np.ascontiguousarray(page.pixels[:, :, 0])
    return np.asarray(cv2.cvtColor(page.pixels, cv2.COLOR_RGB2GRAY), np.uint8)
