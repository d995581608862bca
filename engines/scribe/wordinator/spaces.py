"""Where words end: spaces that the net saw, and gaps in the ink that it didn't."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from engines.scribe.windows import HEIGHT
from engines.scribe.wordinator.stitch import Strip
from engines.scribe.wordinator.trace import Decision
from engines.trace import Act

ALWAYS = 0.9 * HEIGHT
"""A gap in the ink of so many columns splits whatever the line's letters do."""
OVER_LETTERS = 2.6
"""A gap splits that is so many times as wide as a wide gap between the line's letters,"""
OVER_PITCH = 1.0
"""and that is at least this part of the usual distance from letter to letter."""
SPACE = 0.6
"""A space is about this part of the distance from letter to letter: so much counts as one among those that the net saw
in the line."""
HALF_SEEN = 0.05
"""Where the net nearly saw a space between letters, this being its probability,"""
LIKE_SPACE = 0.8
"""a gap splits that is this part of the way from a wide gap between letters to the line's spaces,"""
MORE_THAN_LETTERS = 4.0
"""and by so many columns wider than the former."""
AT_SEAM = 0.4
"""Where two windows met, no net looked across: a gap splits from this part of that way on,"""
LEAST_AT_SEAM = 4.0
"""but not one of fewer columns."""
CLOSING = frozenset(".,;:!?)]}”’»…")
OPENING = frozenset("([{“‘«„")
_MARKS = CLOSING | OPENING
NEAR = 1.1
"""A mark of those two kinds that stands alone belongs to the word beside it where the gap is less than this part of the
usual gap between the line's words: old prints set spaces before marks, but thin ones."""
NEAR_COLON = 0.8
"""That of colons, which receipts set in a column of their own."""
NEVER_ALONE = frozenset(",”“‘„")
FAR = 1.6
"""No language sets these with a space of their own: theirs may be wider, as in a line that was spread out."""
MARKS = 1.3
"""Beside punctuation, which stands alone in wide cells, a gap has to be this much wider."""


def breaks(
    strip: Strip,
    letters: NDArray[np.intp],
    seen: NDArray[np.bool_],
    trace: list[Decision],
) -> NDArray[np.bool_]:
    """Whether a word ends between each letter and the next: bool (n - 1,).

    ``letters`` (n,) are the indices of the strip's characters that are no spaces, ``seen`` (n - 1,) tells where the net
    saw a space between two of them.
    """
    if len(letters) < 2:
        return seen
    columns = strip.columns[letters]
    width = _widest(columns, *strip.blanks)
    at_seams = _at_seams(columns, strip.seams)
    inside = ~seen
    inside[at_seams] = False
    usual, pitch = np.sort(width[inside]), np.sort((columns[1:] - columns[:-1])[inside])
    wide = float(usual[len(usual) * 3 // 4]) if len(usual) >= 3 else 0.12 * HEIGHT
    step = float(pitch[len(pitch) // 2]) if len(pitch) >= 3 else 0.45 * HEIGHT
    spaces = np.sort(width[seen])
    middle = float(spaces[(len(spaces) - 1) // 2] + spaces[len(spaces) // 2]) / 2 if len(spaces) else 0.0
    space = (middle * len(spaces) + SPACE * step) / (len(spaces) + 1)
    at_least = min(ALWAYS, max(OVER_LETTERS * max(wide, 2.0), OVER_PITCH * step))
    mark = np.array([not strip.text[i].isalnum() for i in letters], np.bool_)
    beside = mark[:-1] | mark[1:]
    split = width >= np.where(beside, MARKS * at_least, at_least)
    half_seen = ~beside & (strip.spaces[letters[1:]] >= HALF_SEEN)
    split |= half_seen & (width >= wide + max(LIKE_SPACE * (space - wide), MORE_THAN_LETTERS))
    split[at_seams] = width[at_seams] >= max(wide + AT_SEAM * (space - wide), LEAST_AT_SEAM)
    split &= ~seen
    for index in at_seams:
        if not (seen[index] or split[index]):
            trace.append(_decision(Act.JOIN, strip, letters[index : index + 2], float(width[index])))
    for index in np.flatnonzero(split).tolist():
        trace.append(_decision(Act.SPLIT, strip, letters[index : index + 2], float(width[index])))
    apart = seen | split
    for index in _near_marks([strip.text[i] for i in letters], apart, width):
        apart[index] = False
        trace.append(_decision(Act.JOIN, strip, letters[index : index + 2], float(width[index])))
    return apart


def _near_marks(text: list[str], apart: NDArray[np.bool_], width: NDArray[np.float64]) -> Iterator[int]:
    """Where a mark was set apart from the word it belongs to."""
    places = np.flatnonzero(apart).tolist()
    starts, ends = [0, *(place + 1 for place in places)], [*places, len(text) - 1]
    if not any(text[start] in _MARKS for start in starts):
        return
    tokens = [frozenset(text[start : end + 1]) for start, end in zip(starts, ends, strict=True)]
    marks = [token <= CLOSING or token <= OPENING for token in tokens]
    usual = [width[place] for i, place in enumerate(places) if not marks[i] and not marks[i + 1]]
    if not usual:
        return
    middle = float(np.median(usual))
    for i, place in enumerate(places):
        closes = tokens[i + 1] <= CLOSING and not tokens[i] <= OPENING
        opens = tokens[i] <= OPENING and not tokens[i + 1] <= CLOSING
        mark = tokens[i + 1] if closes else tokens[i]
        reach = FAR if mark <= NEVER_ALONE else NEAR_COLON if ":" in mark else NEAR
        if (closes or opens) and width[place] < reach * middle:
            yield place


def _widest(columns: NDArray[np.float32], starts: NDArray[np.intp], ends: NDArray[np.intp]) -> NDArray[np.float64]:
    """The widest gap in the ink between each two neighbouring characters, px."""
    between = np.searchsorted(columns, (starts + ends) / 2) - 1
    valid = (between >= 0) & (between < len(columns) - 1)
    width = np.zeros(len(columns) - 1)
    np.maximum.at(width, between[valid], (ends - starts)[valid].astype(np.float64))
    return width


def _at_seams(columns: NDArray[np.float32], seams: tuple[int, ...]) -> list[int]:
    """Indices of the character pairs that stand on two sides of a seam."""
    places = {int(np.searchsorted(columns, seam)) - 1 for seam in seams}
    return sorted(place for place in places if 0 <= place < len(columns) - 1)


def _decision(act: Act, strip: Strip, pair: NDArray[np.intp], gap: float) -> Decision:
    first, second = (int(i) for i in pair)
    column = float(strip.columns[first] + strip.columns[second]) / 2
    return Decision(act, strip.line, column, strip.text[first] + strip.text[second], gap)
