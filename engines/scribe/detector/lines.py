"""Lines: letter candidates chained to their neighbours, chains joined along their baselines, small marks taken in."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engines.scribe.detector.near import points_in_boxes
from engines.scribe.detector.textness import plausible

LETTER_GAP = 1.3
"""Letters of a chain are at most this many letter heights apart."""
WORD_GAP = 2.2
"""Chains of a line are at most this many line heights apart; wider gaps are columns."""
SAME_INK = 0.4
"""The fainter of two neighbours in a chain has at least this part of the other's contrast; creases have less than print."""
STACKED = 0.25
"""Lines this close above one another, in letter heights, are layers of broken letters."""
MIN_HEIGHT = 4.0
"""Lower regions are marks, not letters, px of the working page."""

Floats = NDArray[np.float32]
Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of a page, px of the working page; all arrays (m,) unless told.

    A line's baseline is ``y = base + slope * x' + bend * x'^2`` with ``x' = x - middle``. Ink lies between ``rise`` above
    and ``drop`` below it, from ``start`` to ``end``. ``letters`` counts its regions; ``size`` is the median of their
    heights, ``contrast`` of the contrasts around them, grey levels. ``rough`` is the mean distance of their feet from the
    baseline, in ``size``; ``uneven`` the mean deviation of the logarithms of their strokes' widths.
    """

    start: Floats
    end: Floats
    middle: Floats
    base: Floats
    slope: Floats
    bend: Floats
    rise: Floats
    drop: Floats
    size: Floats
    contrast: Floats
    rough: Floats
    uneven: Floats
    letters: NDArray[np.int32]
    light: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.start)

    def at(self, x: Floats, index: Indices | slice = slice(None)) -> Floats:
        """The baseline's y at ``x`` (broadcast against the lines of ``index``)."""
        from_middle = x - self.middle[index]
        return self.base[index] + (self.slope[index] + self.bend[index] * from_middle) * from_middle

    def take(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> Lines:
        return Lines(*(getattr(self, name)[index] for name in self.__slots__))


def lines(found: NDArray[np.void]) -> Lines:
    """Lines of the regions ``found`` (array of `regions.REGION`), both polarities, in no order."""
    height = found["y1"] - found["y0"]
    width = found["x1"] - found["x0"]
    letter = (height >= MIN_HEIGHT) & (width <= 12 * height)
    usual = float(np.median(height[letter])) if letter.any() else 0.0
    bar = (width > 1.6 * height) & (found["area"] > 0.7 * width * height) & (height < 0.6 * usual)
    letter &= ~bar
    dots = np.flatnonzero((height < 0.45 * usual) & (width < 1.3 * usual))
    upper, lower = _stacked(found[dots], usual)
    colons = _united(found[dots[upper]], found[dots[lower]])
    letter[dots[upper]] = letter[dots[lower]] = False
    letters, marks = np.concatenate([found[letter], colons]), found[~letter]
    _, label = np.unique(_chained(letters), return_inverse=True)
    fitted = _fit(letters, label, skew=None)
    slope = skew(fitted)
    fitted = _fit(letters, label, skew=slope)
    label = _joined(fitted)[label]
    _, label = np.unique(label, return_inverse=True)
    fitted = _fit(letters, label, skew=slope)
    stack = _stacks(fitted)
    if (stack != np.arange(len(stack))).any():
        broken = np.bincount(stack, minlength=len(stack))[stack] > 1
        letters, label = _whole_letters(letters, stack[label], broken[label])
        _, label = np.unique(label, return_inverse=True)
        fitted = _fit(letters, label, skew=slope)
    fitted = _with_marks(fitted, marks)
    return fitted.take(plausible(fitted))


def _stacked(dots: NDArray[np.void], usual: float) -> tuple[Indices, Indices]:
    """Pairs (upper, lower) of dots that make a colon, or of bars that make an equals sign."""
    x, y = (dots["x0"] + dots["x1"]) / 2, (dots["y0"] + dots["y1"]) / 2
    near = 0.2 * usual
    upper, lower = points_in_boxes(x, dots["y0"], x - near, dots["y1"] + 1, x + near, dots["y1"] + 0.7 * usual)
    a, b = dots[upper], dots[lower]
    alike = (
        (np.minimum(a["area"], b["area"]) >= 0.5 * np.maximum(a["area"], b["area"]))
        & (a["area"] >= 0.01 * usual * usual)
        & (a["light"] == b["light"])
        & (b["y1"] - a["y0"] <= 1.1 * usual)
        & (b["y1"] - a["y0"] >= 0.3 * usual)
    )
    upper, lower = upper[alike], lower[alike]
    alone = (np.bincount(upper, minlength=len(dots)) + np.bincount(lower, minlength=len(dots)))
    single = (alone[upper] == 1) & (alone[lower] == 1)
    return upper[single], lower[single]


def _united(first: NDArray[np.void], second: NDArray[np.void]) -> NDArray[np.void]:
    out = first.copy()
    for name, choose in (("x0", np.minimum), ("y0", np.minimum), ("x1", np.maximum), ("y1", np.maximum), ("area", np.add), ("perimeter", np.add)):
        out[name] = choose(first[name], second[name])
    return out


def _chained(letters: NDArray[np.void]) -> Indices:
    """A label for each letter: those of a chain of mutually nearest neighbours, left to right, share theirs."""
    count = len(letters)
    x0, x1, y0, y1 = (letters[name] for name in ("x0", "x1", "y0", "y1"))
    height, contrast = y1 - y0, letters["contrast"]
    scale = np.maximum(height, np.minimum(0.8 * (x1 - x0), 1.6 * height))
    reach = 1.5 * LETTER_GAP * scale
    first, second = points_in_boxes(x0, (y0 + y1) / 2, x0, y0 - height, x1 + reach, y1 + height)
    tall = np.maximum(height[first], height[second])
    small = np.minimum(height[first], height[second])
    overlap = np.minimum(y1[first], y1[second]) - np.maximum(y0[first], y0[second])
    gap = x0[second] - x1[first]
    centre = np.abs(y0[first] + y1[first] - y0[second] - y1[second]) / 2
    fits = (
        (_before(x0, first, second))
        & (overlap >= 0.45 * small)
        & (tall <= 3.2 * small)
        & (gap <= LETTER_GAP * np.minimum(np.maximum(scale[first], scale[second]), 2 * small))
        & (gap >= -0.6 * np.minimum(x1[first] - x0[first], x1[second] - x0[second]))
        & (letters["light"][first] == letters["light"][second])
        & (np.minimum(contrast[first], contrast[second]) >= SAME_INK * np.maximum(contrast[first], contrast[second]))
    )
    first, second = first[fits], second[fits]
    cost = np.maximum(gap[fits], 0) + centre[fits] + 0.3 * (tall[fits] - small[fits])
    return _chains(count, first, second, cost)


def _before(x: Floats, first: Indices, second: Indices) -> NDArray[np.bool_]:
    """True where the first starts left of the second; equal starts count by index, so that no chain closes."""
    return (x[first] < x[second]) | ((x[first] == x[second]) & (first < second))


def _chains(count: int, first: Indices, second: Indices, cost: Floats) -> Indices:
    """Labels (count,) of chains: first and second are linked where each is the other's cheapest."""
    right = _cheapest(count, first, second, cost)
    left = _cheapest(count, second, first, cost)
    root = np.arange(count)
    linked = np.flatnonzero((left >= 0) & (right[left] == root))
    root[linked] = left[linked]
    for _ in range(int(count).bit_length()):
        root = root[root]
    return root


def _cheapest(count: int, first: Indices, second: Indices, cost: Floats) -> Indices:
    best = np.full(count, -1, np.intp)
    order = np.argsort(-cost, kind="stable")
    best[first[order]] = second[order]  # the last written, the cheapest, stays
    return best


def _fit(letters: NDArray[np.void], label: Indices, skew: float | None) -> Lines:
    """A baseline for the letters of each label 0..m-1: least squares on their feet, robust (descenders count less and less), ridged.

    Few letters lean on the page's ``skew`` (None: on a level line), and a bend needs many to show.
    """
    number = np.bincount(label)
    count = len(number)
    x = (letters["x0"] + letters["x1"]).astype(np.float64) / 2
    height = (letters["y1"] - letters["y0"]).astype(np.float64)
    size = _median(height, label, number)
    start = np.full(count, np.inf)
    end = np.full(count, -np.inf)
    np.minimum.at(start, label, letters["x0"].astype(np.float64))
    np.maximum.at(end, label, letters["x1"].astype(np.float64))
    middle = (start + end) / 2
    u = (x - middle[label]) / size[label]
    feet = letters["y1"].astype(np.float64)
    origin = _median(feet, label, number)
    v = (feet - origin[label]) / size[label]
    centre = ((letters["y0"] + letters["y1"]).astype(np.float64) / 2 - origin[label]) / size[label]
    weight = np.ones(len(letters))
    prior = 0.0 if skew is None else skew
    ridge = np.zeros((count, 3, 3))
    ridge[:, 0, 0] = 1e-6
    ridge[:, 1, 1] = 3.0
    ridge[:, 2, 2] = 300.0
    solution = np.zeros((count, 3))
    for turn in range(5):
        target = centre if turn == 0 else v
        left = ridge.copy()
        right = np.zeros((count, 3))
        powers = [np.ones_like(u), u, u * u]
        for row in range(3):
            for column in range(3):
                left[:, row, column] += np.bincount(label, weight * powers[row] * powers[column], minlength=count)
            right[:, row] = np.bincount(label, weight * powers[row] * target, minlength=count)
        right[:, 1] += 3.0 * prior
        solution = np.linalg.solve(left, right[:, :, None])[:, :, 0]
        if turn == 0:
            along = solution[label, 1] * u + solution[label, 2] * u * u
            solution[:, 0] = _median(v - along, label, number)
        residual = v - solution[label, 0] - solution[label, 1] * u - solution[label, 2] * u * u
        weight = 1 / (1 + (residual / 0.12) ** 2) ** np.where(residual > 0, 1.5, 1.0)
    above = residual * 0 + height / size[label] - residual
    rise_limit = 1.65 * _median(above, label, number)
    rise = np.zeros(count)
    drop = np.zeros(count)
    np.maximum.at(rise, label, above)
    np.maximum.at(drop, label, residual)
    rise = np.maximum(np.minimum(rise, rise_limit), 0.5)
    drop = np.minimum(drop, 0.7 * rise)
    stroke = 2 * letters["area"].astype(np.float64) / letters["perimeter"]
    light = np.zeros(count, np.bool_)
    light[label] = letters["light"]
    as_float = np.float32
    return Lines(
        start=start.astype(as_float),
        end=end.astype(as_float),
        middle=middle.astype(as_float),
        base=(origin + solution[:, 0] * size).astype(as_float),
        slope=solution[:, 1].astype(as_float),
        bend=(solution[:, 2] / size).astype(as_float),
        rise=(rise * size).astype(as_float),
        drop=(drop * size).astype(as_float),
        size=size.astype(as_float),
        rough=_mean(np.minimum(np.abs(residual), 0.5), label, number).astype(as_float),
        uneven=_mean(np.abs(np.log(stroke / _median(stroke, label, number)[label])), label, number).astype(as_float),
        contrast=_median(letters["contrast"].astype(np.float64), label, number).astype(as_float),
        letters=number.astype(np.int32),
        light=light,
    )


def _median(values: NDArray[np.float64], label: Indices, number: Indices) -> NDArray[np.float64]:
    """The upper median of each label's values."""
    order = np.lexsort((values, label))
    begin = np.concatenate([[0], np.cumsum(number)[:-1]]).astype(np.intp)
    return values[order][begin + number // 2] if len(values) else np.zeros(0)


def _mean(values: NDArray[np.float64], label: Indices, number: Indices) -> NDArray[np.float64]:
    return np.bincount(label, values, minlength=len(number)) / number


def skew(fitted: Lines) -> float:
    """The page's slope: the median of its long chains', each counted by its length in letters; 0 where there is none."""
    long = (fitted.letters >= 5) & (fitted.end - fitted.start > 3 * fitted.size)
    if not long.any():
        return 0.0
    slope, weight = fitted.slope[long], fitted.letters[long]
    order = np.argsort(slope)
    reached = np.cumsum(weight[order])
    return float(slope[order][np.searchsorted(reached, reached[-1] / 2)])


def _joined(chain: Lines) -> Indices:
    """A label for each chain: those that go on along the same baseline share theirs."""
    top, bottom = chain.base - chain.rise, chain.base + chain.drop
    tall = np.maximum(chain.rise, 0.8 * chain.size)
    lean = np.abs(chain.slope) * (chain.end - chain.start + 4 * tall) + 0.5 * tall
    begin = chain.base - chain.slope * (chain.middle - chain.start) - chain.rise / 2
    first, second = points_in_boxes(
        chain.start, begin, chain.start, top - lean, chain.end + WORD_GAP * 2 * tall, bottom + lean
    )
    gap = chain.start[second] - chain.end[first]
    between = (chain.start[second] + chain.end[first]) / 2
    off = np.abs(chain.at(between, first) - chain.at(between, second))
    small = np.minimum(tall[first], tall[second])
    large = np.maximum(tall[first], tall[second])
    fits = (
        _before(chain.start, first, second)
        & (gap <= WORD_GAP * small * np.where(large > 1.4 * small, 0.5, 1.0))
        & (gap >= -0.5 * small)
        & (off <= 0.3 * small)
        & (large <= 2.0 * small)
        & (chain.light[first] == chain.light[second])
    )
    first, second = first[fits], second[fits]
    cost = np.maximum(gap[fits], 0) + off[fits] + 0.3 * (large[fits] - small[fits])
    return _chains(len(chain), first, second, cost)


def _stacks(line: Lines) -> Indices:
    """A label for each line: layers of broken letters, one close above the other, share theirs."""
    top, middle = line.base - line.rise, (line.start + line.end) / 2
    reach = STACKED * line.size + np.abs(line.slope) * (line.end - line.start)
    upper, lower = points_in_boxes(middle, top, line.start, line.base - line.size / 2, line.end, line.base + reach)
    gap = top[lower] - line.at(middle[lower], upper)
    small = np.minimum(line.size[upper], line.size[lower])
    shared = np.minimum(line.end[upper], line.end[lower]) - np.maximum(line.start[upper], line.start[lower])
    width = line.end - line.start
    fits = (
        _before(top, upper, lower)
        & (np.abs(gap) <= STACKED * small)
        & (np.maximum(line.size[upper], line.size[lower]) <= 3 * small)
        & (shared >= 0.4 * np.minimum(width[upper], width[lower]))
        & (line.light[upper] == line.light[lower])
    )
    return _joined_pairs(len(line), upper[fits], lower[fits])


def _joined_pairs(count: int, first: Indices, second: Indices) -> Indices:
    """Labels (count,): the smallest index among all that pairs connect."""
    label = np.arange(count)
    while True:
        before = label.copy()
        np.minimum.at(label, first, label[second])
        np.minimum.at(label, second, label[first])
        label = label[label]
        if (label == before).all():
            return label


def _whole_letters(
    letters: NDArray[np.void], label: Indices, broken: NDArray[np.bool_]
) -> tuple[NDArray[np.void], Indices]:
    """Letters and labels, with pieces of ``broken`` ones that stand one above the other in a label made one letter."""
    pieces = letters[broken]
    order = np.lexsort((pieces["x0"], label[broken]))
    pieces, owner = pieces[order], label[broken][order]
    span = float(pieces["x1"].max()) + 2
    reach = np.maximum.accumulate(pieces["x1"] + owner * span)
    new = np.concatenate([[True], pieces["x0"][1:] + owner[1:] * span >= reach[:-1]])
    first = np.flatnonzero(new)
    whole = pieces[first]
    for name, gather in (("x1", np.maximum), ("y0", np.minimum), ("y1", np.maximum), ("area", np.add), ("perimeter", np.add)):
        whole[name] = gather.reduceat(pieces[name], first)
    return np.concatenate([letters[~broken], whole]), np.concatenate([label[~broken], owner[first]])


def _with_marks(line: Lines, marks: NDArray[np.void]) -> Lines:
    """Lines that took in the marks (dots, dashes, accents) and the small lines (pieces of letters) beside their letters."""
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
        (x0 + x1) / 2,
        (y0 + y1) / 2,
        line.start - 2 * side,
        top - lean - 0.3 * full,
        line.end + 2 * side,
        bottom + lean + 0.3 * full,
    )
    baseline = line.at((x0[item] + x1[item]) / 2, host)
    above = baseline - line.rise[host]
    below = baseline + line.drop[host]
    overlap = np.minimum(y1[item], below) - np.maximum(y0[item], above)
    tall = y1[item] - y0[item]
    number = line.letters[host]
    own = np.where(origin[item] >= 0, line.letters[np.maximum(origin[item], 0)], 0)
    fits = (
        (overlap >= np.where(own > 0, 0.5, 0.2) * tall)
        & (tall <= 1.3 * full[host])
        & (x1[item] >= line.start[host] - 2 * side[host])
        & (x0[item] <= line.end[host] + 2 * side[host])
        & (area[item] >= 0.015 * line.size[host] ** 2)
        & (number > own)
        & (light[item] == line.light[host])
    )
    inside = (x1[item] - line.start[host] > -side[host]) & (line.end[host] - x0[item] > -side[host])
    small = (own <= 3) & (number >= 2) & (tall >= 0.1 * full[host])
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
