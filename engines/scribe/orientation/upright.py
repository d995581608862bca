"""Upright pages: by the net where it is sure, by what it and the recogniser say together where it is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from engines.api import Page, Turn
from engines.scribe.grey import channel
from engines.scribe.orientation.judge import Read, legibility, overturned, sample
from engines.scribe.orientation.turning import turned
from engines.scribe.orientation.votes import Voters, clear
from engines.scribe.windows import Reading, Windows

SURE_UPRIGHT = 0.95
"""A page that is upright with this probability needs no judge: to leave it as it is does no harm. One that is turned
needs none where that is `clear`."""
PLAUSIBLE = 0.02
"""The judge is not asked about turns that the net thinks less likely than this."""
WEIGHT = 30.0
"""What a page's words say against what the net says: 0.03 of mean confidence is worth a factor of e."""
DOUBT = 0.001
"""A page is left as it is while, all told, it may be upright with this probability."""
LEGIBLE = 0.1
"""No page is turned to a side that reads worse than this: where nothing reads, a stamp or a line along the margin is
all that the net has seen."""
MARGIN = 0.1
"""A page that the net was sure of is turned over if it reads better so by this much mean confidence. To be left as it
came it need not be better by so much: most pages are upright."""
READS_BADLY = 0.5
"""A page whose words read no better than this may be upside down, however sure the net was that it is not."""

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
    net is not clear, its words are asked too, and a page is turned only if upright is all but ruled out.
    """
    votes = voters.votes(channel(page))
    if clear(votes.probabilities) or votes.probabilities[0] >= SURE_UPRIGHT:
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
            legible[likelier] = legibility(read(shown))
            legible[other] = legibility(read(overturned(shown)))
    weighed = {quarters: float(np.log(probabilities[quarters])) + WEIGHT * legible[quarters] for quarters in legible}
    most = max(weighed.values())
    total = sum(np.exp(weight - most) for weight in weighed.values())
    chances = {quarters: float(np.exp(weight - most) / total) for quarters, weight in weighed.items()}
    best = max(chances, key=lambda quarters: chances[quarters])
    if chances[0] >= DOUBT or legible[best] < LEGIBLE:
        best = 0
    return _turned(page, best, chances[best], found.get(best))


def reconsidered(  # noqa: PLR0917
    page: Page, seen: Upright, windows: Windows, readings: Sequence[Reading], detect: Detect, read: Read
) -> Upright:
    """What was ``seen`` of a page; if it read badly so, the page as it came or the other way up, if it reads better.

    A face that the net never saw, or a fax with half of its strokes gone, it may take for what it is not and be sure.
    ``windows`` and ``readings`` are of the page as it was seen; they cost nothing more where it reads well.
    """
    if seen.windows is not None or legibility(readings) > READS_BADLY:
        return seen  # what was judged has been read both ways
    shown = sample(windows)
    legible = cache(lambda: legibility(read(shown)))
    if seen.turn.degrees % 180:
        if legible() > READS_BADLY:
            return seen  # what reads badly is grain, or small print
        came = detect(page)
        gain = legibility(read(sample(came))) - legible()
        if gain > 0:
            return Upright(page, Turn(0, _chance(gain)), came)
    # Half of them tell nearly always that it is no better the other way up.
    if legibility(read(overturned(shown[::2]))) < legibility(readings) + MARGIN:
        return seen
    gain = legibility(read(overturned(shown))) - legible()
    if gain < MARGIN:
        return seen
    degrees = (seen.turn.degrees + 180) % 360
    return Upright(turned(page, degrees), Turn(degrees, _chance(gain)))


def _chance(gain: float) -> float:
    """How likely a turn is by which a page reads better by so much mean confidence."""
    return float(1 / (1 + np.exp(-WEIGHT * gain)))


def _back(quarters: int) -> int:
    """Degrees clockwise that undo quarters clockwise."""
    return -90 * quarters % 360


def _turned(page: Page, quarters: int, probability: float, windows: Windows | None = None) -> Upright:
    """The page that came turned clockwise by ``quarters``, turned back."""
    degrees = _back(quarters)
    return Upright(turned(page, degrees), Turn(degrees, probability), windows)
