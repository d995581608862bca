"""What the Wordinator decided, where, and on what; and where that is on the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from engines.api import Quad
from engines.scribe.windows import HEIGHT, Reading, Windows
from engines.trace import Act, Trace, TracedDecision, TracedWindow

_WIDE = frozenset({Act.STITCH, Act.SPLIT})
"""Acts whose measure is how wide the place is, in strip px."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision: on strip ``line`` of the windows, from strip ``column`` to ``last`` (px), about ``text``.

    What was decided between two letters or windows has one column. ``measure`` is what it was decided on: a gap in px
    for splits and joins, the overlap in px for stitches, a confidence for drops, the new word's probability for
    repairs, whose text is both words.
    """

    act: Act
    line: int
    column: float
    text: str
    measure: float
    last: float | None = None


def placed(windows: Windows, readings: Sequence[Reading], decisions: Sequence[Decision]) -> Trace:
    """Windows and decisions where they are on the page."""
    seen = [
        TracedWindow(_quad(windows, line, offset, offset + width), reading.text, reading.confidence)
        for line, offset, width, reading in zip(
            windows.line.tolist(), windows.offset.tolist(), windows.width.tolist(), readings, strict=True
        )
    ]
    decided = [
        TracedDecision(one.act, _quad(windows, one.line, *_columns(one)), one.text, one.measure)
        for one in (*_cuts(windows), *decisions)
    ]
    return Trace(tuple(seen), tuple(decided))


def _cuts(windows: Windows) -> Iterator[Decision]:
    """Where windows of one line meet without an overlap."""
    ends = windows.offset + windows.width
    met = (windows.line[1:] == windows.line[:-1]) & (windows.offset[1:] >= ends[:-1])
    for place in np.flatnonzero(met).tolist():
        yield Decision(Act.CUT, int(windows.line[place]), float(windows.offset[place + 1]), "", 0.0)


def _columns(decision: Decision) -> tuple[float, float]:
    if decision.act in _WIDE:
        return decision.column - decision.measure / 2, decision.column + decision.measure / 2
    if decision.last is None:
        return decision.column, decision.column
    # Characters fire in their middle: half of one more on either side shows all of it.
    return decision.column - HEIGHT / 4, decision.last + HEIGHT / 4


def _quad(windows: Windows, line: int, start: float, end: float) -> Quad:
    rails = windows.rails[line]
    top, bottom = rails.at(np.clip(np.array([start, end], np.float32), 0, rails.columns))
    (a, b), (d, c) = top.tolist(), bottom.tolist()
    return Quad((a[0], a[1]), (b[0], b[1]), (c[0], c[1]), (d[0], d[1]))
