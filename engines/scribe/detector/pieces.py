"""Pieces of letters: colons of two dots, parts of broken letters, and the marks around a line."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engines.scribe.detector.fit import Lines, Regions
from engines.scribe.detector.near import Floats, Indices, points_in_boxes

DOT = 0.4
"""A single region of less than this part of a line's height is a mark of that line, however few letters it has."""
ROW = 20.0
"""A colon belongs to the row of a line at most so many letter heights away,"""
ROW_LETTERS = 3
"""that has so many letters at least,"""
FOOT = 0.2
"""if it stands on the line's baseline, give or take this part of the letters' height,"""
FAINT = 0.25
"""and has this part of its contrast: dots lose more of theirs to blur than letters do."""
SET_WIDTH = 0.25
"""Width of a colon with the paper around it, as a part of the letters' height."""
CLEARLY = 0.7
"""A dot is another's neighbour if any third one is farther off: the gap to the nearest is at most this part of the gap
to the next."""


class Stack(NamedTuple):
    """What two dots, one above the other, have to be to make a colon, by the page's usual height of a letter: at most
    ``most`` letters high, the smaller at least the part ``alike`` of the other's area and ``least`` of a letter's
    square."""

    most: float
    alike: float
    least: float


SURE = Stack(1.1, 0.5, 0.01)
"""A colon wherever it stands."""
LIKELY = Stack(2.2, 0.3, 0.005)
"""A colon if it stands on a row of letters: print may be larger there than is usual on the page, or worn."""


def stacked(dots: Regions, usual: float, stack: Stack = SURE) -> tuple[Indices, Indices]:
    """Pairs (upper, lower) of dots that make a colon, or of bars that make an equals sign."""
    x = (dots["x0"] + dots["x1"]) / 2
    near = 0.2 * usual
    reach = (stack.most - 0.4) * usual
    upper, lower = points_in_boxes((x, dots["y0"]), (x - near, dots["y1"] + 1, x + near, dots["y1"] + reach))
    a, b = dots[upper], dots[lower]
    fits = (
        (np.minimum(a["area"], b["area"]) >= stack.alike * np.maximum(a["area"], b["area"]))
        & (a["area"] >= stack.least * usual * usual)
        & (a["light"] == b["light"])
        & (b["y1"] - a["y0"] <= stack.most * usual)
        & (b["y1"] - a["y0"] >= 0.3 * usual)
    )
    upper, lower = upper[fits], lower[fits]
    apart = dots["y0"][lower] - dots["y1"][upper]
    # Colons stand in columns: a dot's neighbour is the one that is clearly the nearest, above or below.
    both = _clearly_nearest(np.concatenate([upper, lower]), np.tile(apart, 2)).reshape(2, -1).all(axis=0)
    return upper[both], lower[both]


def _clearly_nearest(index: Indices, apart: Floats) -> NDArray[np.bool_]:
    """Whether each of ``apart`` is the least of those that share its ``index``, and the next one clearly more."""
    order = np.lexsort((apart, index))
    index, apart = index[order], apart[order]
    first = np.diff(index, prepend=-1) != 0
    last = np.diff(index, append=-1) != 0
    clear = np.empty(len(order), np.bool_)
    clear[order] = first & (last | (apart <= CLEARLY * np.append(apart[1:], 0)))
    return clear


def on_rows(colons: Regions, line: Lines) -> tuple[Indices, Regions]:
    """The colons that stand on the baseline of a line near them: their indices, and themselves made as high as its
    letters, and as wide as colons are set."""
    x, y = (colons["x0"] + colons["x1"]) / 2, colons["y1"]
    afar = ROW * line.rise
    lean = np.abs(line.slope) * ((line.end - line.start) / 2 + afar) + FOOT * line.rise
    host, item = points_in_boxes((x, y), (line.start - afar, line.base - lean, line.end + afar, line.base + lean))
    baseline = line.base[host] + line.slope[host] * (x[item] - line.middle[host])
    rise = line.rise[host]
    top = baseline - colons["y0"][item]
    fits = (
        (np.abs(y[item] - baseline) <= FOOT * rise)
        & (top <= rise)
        & (top >= 0.35 * rise)
        & (line.letters[host] >= ROW_LETTERS)
        & (line.light[host] == colons["light"][item])
        & (colons["contrast"][item] >= FAINT * line.contrast[host])
    )
    host, item, baseline = host[fits], item[fits], baseline[fits]
    away = np.maximum(line.start[host] - x[item], x[item] - line.end[host])
    order = np.argsort(-away, kind="stable")
    nearest = np.full(len(colons), -1, np.intp)
    nearest[item[order]] = order
    chosen = nearest[nearest >= 0]
    grown = colons[item[chosen]]
    rise = line.rise[host[chosen]]
    grown["y0"], grown["y1"] = baseline[chosen] - rise, baseline[chosen]
    side = np.maximum(grown["x1"] - grown["x0"], SET_WIDTH * rise) / 2
    grown["x0"], grown["x1"] = x[item[chosen]] - side, x[item[chosen]] + side
    grown["contrast"] = np.maximum(grown["contrast"], line.contrast[host[chosen]])
    return item[chosen], grown


def united(first: Regions, second: Regions) -> Regions:
    out = first.copy()
    for name, choose in (
        ("x0", np.minimum),
        ("y0", np.minimum),
        ("x1", np.maximum),
        ("y1", np.maximum),
        ("area", np.add),
        ("perimeter", np.add),
    ):
        out[name] = choose(first[name], second[name])
    return out


def with_marks(line: Lines, marks: Regions, most: float = 1.3) -> Lines:
    """Lines that took in the marks (dots, dashes, accents) and the pieces of letters in and beside them, of at most
    ``most`` of their height."""
    pieces = np.arange(len(line))
    top, bottom = line.base - line.rise, line.base + line.drop
    x0 = np.concatenate([marks["x0"], line.start[pieces]])
    x1 = np.concatenate([marks["x1"], line.end[pieces]])
    y0 = np.concatenate([marks["y0"], top[pieces]])
    y1 = np.concatenate([marks["y1"], bottom[pieces]])
    light = np.concatenate([marks["light"], line.light[pieces]])
    area = np.concatenate([marks["area"], np.full(len(pieces), np.inf)])
    origin = np.concatenate([np.full(len(marks), -1), pieces])
    full = line.rise + line.drop
    side = 0.8 * np.maximum(line.size, 0.6 * line.rise)
    lean = np.abs(line.slope) * (line.end - line.start) / 2
    host, item = points_in_boxes(
        ((x0 + x1) / 2, (y0 + y1) / 2),
        (line.start - 2 * side, top - lean - 0.3 * full, line.end + 2 * side, bottom + lean + 0.3 * full),
    )
    baseline = line.at((x0[item] + x1[item]) / 2, host)
    above = baseline - line.rise[host]
    below = baseline + line.drop[host]
    overlap = np.minimum(y1[item], below) - np.maximum(y0[item], above)
    tall = y1[item] - y0[item]
    number = line.letters[host]
    own = np.where(origin[item] >= 0, line.letters[np.maximum(origin[item], 0)], 0)
    # A stop of a letter's height is a line of one letter, as is the figure it stands behind.
    dot = (own == 1) & (tall < DOT * full[host])
    fits = (
        (overlap >= np.where(own > 0, 0.5, 0.2) * tall)
        & (tall <= most * full[host])
        & (x1[item] >= line.start[host] - 2 * side[host])
        & (x0[item] <= line.end[host] + 2 * side[host])
        & (area[item] >= 0.015 * line.size[host] ** 2)
        & ((number > own) | (dot & (number == 1)))
        & (light[item] == line.light[host])
    )
    inside = (x1[item] - line.start[host] > -side[host]) & (line.end[host] - x0[item] > -side[host])
    small = (own <= 3) & ((number >= 2) | dot) & (tall >= 0.1 * full[host])
    within = np.minimum(x1[item], line.end[host]) - np.maximum(x0[item], line.start[host])
    part = (own <= 0.7 * number) & (within >= 0.7 * (x1[item] - x0[item])) & (tall <= 0.85 * full[host])
    part &= overlap >= 0.6 * tall
    fits &= (own == 0) | (inside & small) | part
    host, item, own = host[fits], item[fits], own[fits]
    away = np.abs((y0[item] + y1[item]) / 2 - (line.base[host] - line.rise[host] / 2)) / full[host]
    order = np.argsort(-away, kind="stable")
    taken = np.full(len(x0), -1, np.intp)
    taken[item[order]] = host[order]
    item = np.flatnonzero(taken >= 0)
    host = taken[item]
    absorbed = np.zeros(len(line), np.bool_)
    absorbed[origin[item][origin[item] >= 0]] = True
    start, end = line.start.copy(), line.end.copy()
    np.minimum.at(start, host, x0[item])
    np.maximum.at(end, host, x1[item])
    baseline = line.at((x0[item] + x1[item]) / 2, host)
    rise, drop = line.rise.copy(), line.drop.copy()
    np.maximum.at(rise, host, np.minimum(baseline - y0[item], 1.35 * line.rise[host]))
    np.maximum.at(drop, host, np.minimum(y1[item] - baseline, np.maximum(0.4 * line.rise[host], line.drop[host])))
    grown = replace(line, start=start, end=end, rise=rise, drop=drop)
    return grown.take(~absorbed)
