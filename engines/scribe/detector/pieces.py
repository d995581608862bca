"""Pieces of letters: colons of two dots, parts of broken letters, and the marks around a line."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engines.scribe.detector.fit import Lines, Regions
from engines.scribe.detector.near import Indices, points_in_boxes

DOT = 0.4
"""A single region of less than this part of a line's height is a mark of that line, however few letters it has."""


def stacked(dots: Regions, usual: float) -> tuple[Indices, Indices]:
    """Pairs (upper, lower) of dots that make a colon, or of bars that make an equals sign."""
    x = (dots["x0"] + dots["x1"]) / 2
    near = 0.2 * usual
    upper, lower = points_in_boxes((x, dots["y0"]), (x - near, dots["y1"] + 1, x + near, dots["y1"] + 0.7 * usual))
    a, b = dots[upper], dots[lower]
    alike = (
        (np.minimum(a["area"], b["area"]) >= 0.5 * np.maximum(a["area"], b["area"]))
        & (a["area"] >= 0.01 * usual * usual)
        & (a["light"] == b["light"])
        & (b["y1"] - a["y0"] <= 1.1 * usual)
        & (b["y1"] - a["y0"] >= 0.3 * usual)
    )
    upper, lower = upper[alike], lower[alike]
    alone = np.bincount(upper, minlength=len(dots)) + np.bincount(lower, minlength=len(dots))
    single = (alone[upper] == 1) & (alone[lower] == 1)
    return upper[single], lower[single]


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


def with_marks(line: Lines, marks: Regions) -> Lines:
    """Lines that took in the marks (dots, dashes, accents) and the pieces of letters in and beside them."""
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
        & (tall <= 1.3 * full[host])
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
