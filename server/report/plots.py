"""Plots as SVG, written by hand: a report is one file, and shows without a script or another file."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from server.report.statistics import Interval

CONTROL, CANDIDATE = "#44618f", "#d9731a"
_GRID, _INK, _FAINT, _GOAL = "#dfe3e8", "#1f2933", "#66717e", "#b3261e"
_WIDTH = 880
_LABEL = 220
_RIGHT = 172
_ROW = 30
_TOP, _BOTTOM = 26, 26
_BAR = 13

Format = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a plot: what it is, a value with or without interval, and what is said beside it."""

    label: str
    value: Interval
    note: str
    colour: str = CANDIDATE


@dataclass(frozen=True, slots=True)
class Scale:
    """Puts values between ``low`` and ``high`` on the px between ``left`` and ``right``."""

    low: float
    high: float
    left: float = _LABEL
    right: float = _WIDTH - _RIGHT

    def __call__(self, value: float) -> float:
        clipped = min(max(value, self.low), self.high)
        return self.left + (clipped - self.low) / (self.high - self.low) * (self.right - self.left)

    def ticks(self) -> list[float]:
        """Some four to eight round values."""
        rough = (self.high - self.low) / 5
        step = 10 ** math.floor(math.log10(rough))
        step *= next(factor for factor in (1, 2, 5, 10) if factor * step >= rough)
        first = math.ceil(self.low / step - 1e-9)
        return [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]


def intervals(rows: Sequence[Row], show: Format, *, goal: float | None, goal_label: str, title: str) -> str:
    """A dot for each row and a bar for what it lies between; ``goal`` is a line across."""
    ends = [end for row in rows for end in (row.value.low, row.value.high)] + ([] if goal is None else [goal])
    room = 0.06 * ((max(ends) - min(ends)) or 0.02)
    scale = Scale(min(ends) - room, max(ends) + room)
    parts = _axis(scale, len(rows), show)
    if goal is not None:
        parts += _goal(scale(goal), len(rows), goal_label)
    for number, row in enumerate(rows):
        y = _TOP + _ROW * (number + 0.5)
        left, right = scale(row.value.low), scale(row.value.high)
        parts += [
            _text(_LABEL - 12, y + 4, _short(row.label), anchor="end"),
            f'<line x1="{left:.1f}" y1="{y}" x2="{right:.1f}" y2="{y}" stroke="{row.colour}" stroke-width="4" '
            'stroke-opacity=".45" stroke-linecap="round"/>',
            f'<circle cx="{scale(row.value.estimate):.1f}" cy="{y}" r="5" fill="{row.colour}"/>',
            _text(_WIDTH - _RIGHT + 12, y + 4, row.note, colour=_FAINT),
        ]
    return _svg(parts, len(rows), title)


def bars(rows: Sequence[Row], show: Format, *, title: str, goal: float | None = None, goal_label: str = "") -> str:
    """A bar from 0 for each row; an interval where it has one."""
    top = max([row.value.high for row in rows] + ([] if goal is None else [goal]))
    scale = Scale(0.0, 1.06 * top or 1.0)
    parts = _axis(scale, len(rows), show)
    for number, row in enumerate(rows):
        y = _TOP + _ROW * (number + 0.5)
        end = scale(row.value.estimate)
        parts += [
            _text(_LABEL - 12, y + 4, _short(row.label), anchor="end"),
            f'<rect x="{_LABEL}" y="{y - _BAR / 2}" width="{max(0.5, end - _LABEL):.1f}" height="{_BAR}" rx="2" '
            f'fill="{row.colour}"/>',
            _text(_WIDTH - _RIGHT + 12, y + 4, row.note, colour=_FAINT),
        ]
        if row.value.low < row.value.high:
            parts.append(
                f'<line x1="{scale(row.value.low):.1f}" y1="{y}" x2="{scale(row.value.high):.1f}" y2="{y}" '
                f'stroke="{_INK}" stroke-width="2"/>'
            )
    if goal is not None:
        parts += _goal(scale(goal), len(rows), goal_label)
    return _svg(parts, len(rows), title)


def course(points: Sequence[tuple[float, Interval]], show: Format, when: Format, *, goal: float, title: str) -> str:
    """How a value with its interval changes; ``points`` are (time, value), in order, two or more."""
    height = 190
    low = min(goal, *(value.low for _, value in points))
    high = max(goal, *(value.high for _, value in points))
    room = 0.08 * ((high - low) or 0.02)
    across = Scale(points[0][0], points[-1][0], 64, _WIDTH - 24)
    up = Scale(low - room, high + room, height - _BOTTOM, 14)
    parts = []
    for tick in up.ticks():
        y = up(tick)
        parts += [
            f'<line x1="64" y1="{y:.1f}" x2="{_WIDTH - 24}" y2="{y:.1f}" stroke="{_GRID}"/>',
            _text(56, y + 4, show(tick), anchor="end", colour=_FAINT),
        ]
    upper = [f"{across(at):.1f},{up(value.high):.1f}" for at, value in points]
    lower = [f"{across(at):.1f},{up(value.low):.1f}" for at, value in points]
    line = [f"{across(at):.1f},{up(value.estimate):.1f}" for at, value in points]
    parts += [
        f'<polygon points="{" ".join([*upper, *lower[::-1]])}" fill="{CANDIDATE}" fill-opacity=".2"/>',
        f'<polyline points="{" ".join(line)}" fill="none" stroke="{CANDIDATE}" stroke-width="2.5"/>',
        f'<line x1="64" y1="{up(goal):.1f}" x2="{_WIDTH - 24}" y2="{up(goal):.1f}" stroke="{_GOAL}" '
        'stroke-dasharray="5 4"/>',
        _text(64, height - 6, when(points[0][0]), colour=_FAINT),
        _text(_WIDTH - 24, height - 6, when(points[-1][0]), anchor="end", colour=_FAINT),
    ]
    return _wrapped(parts, height, title)


def _axis(scale: Scale, rows: int, show: Format) -> list[str]:
    bottom = _TOP + _ROW * rows
    parts = []
    for tick in scale.ticks():
        x = scale(tick)
        parts += [
            f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}" stroke="{_GRID}"/>',
            _text(x, bottom + 17, show(tick), anchor="middle", colour=_FAINT),
        ]
    return parts


def _goal(x: float, rows: int, label: str) -> list[str]:
    # Its label stays inside the picture, wherever the line is.
    anchor = "start" if x < _LABEL + 60 else "end" if x > _WIDTH - _RIGHT - 60 else "middle"
    return [
        f'<line x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{_TOP + _ROW * rows}" stroke="{_GOAL}" '
        'stroke-dasharray="5 4"/>',
        _text(x, _TOP - 11, label, anchor=anchor, colour=_GOAL),
    ]


def _svg(parts: Sequence[str], rows: int, title: str) -> str:
    return _wrapped(parts, _TOP + _ROW * rows + _BOTTOM, title)


def _wrapped(parts: Sequence[str], height: int, title: str) -> str:
    inner = "\n".join(parts)
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img"><title>{escape(title)}</title>\n{inner}\n</svg>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = _INK) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _short(label: str) -> str:
    return label if len(label) <= 28 else f"{label[:27]}…"
