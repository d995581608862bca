"""Baselines: a smooth curve under the letters of each line, and where the line's ink begins and ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.scribe.detector.near import Floats, Indices

_HANKEL = np.add.outer(np.arange(3), np.arange(3))
Regions = NDArray[np.void]
"""An array of `regions.REGION`."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of a page, px of the working page; all arrays (m,) unless told.

    A line's baseline is ``y = base + slope * x' + bend * x'^2`` with ``x' = x - middle``. Ink lies between ``rise``
    above and ``drop`` below it, from ``start`` to ``end``. ``letters`` counts its regions; ``size`` is the median of
    their heights, ``contrast`` of the contrasts around them, grey levels. ``rough`` is the mean distance of their feet
    from the baseline, in ``size``; ``uneven`` the mean deviation of the logarithms of their strokes' widths.
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


def fit(letters: Regions, label: Indices, skew: float | None) -> Lines:
    """A baseline for the letters of each label 0..m-1: least squares on their feet, ridged.

    Robust: descenders count less and less. Few letters lean on the page's ``skew`` (None: on a level line), and a bend
    needs many to show.
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
    solution: NDArray[np.float64] = np.zeros((count, 3))
    for turn in range(5):
        target = centre if turn == 0 else v
        # The sums of the normal equations: of the weight by powers of u, and of the targets by the lower of these.
        powers = [weight]
        for _ in range(4):
            powers.append(powers[-1] * u)
        left = ridge + _sums(label, powers, count)[:, _HANKEL]
        right = _sums(label, [power * target for power in powers[:3]], count)
        right[:, 1] += 3.0 * prior
        solution = np.asarray(np.linalg.solve(left, right[:, :, None])[:, :, 0], np.float64)
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


def _sums(label: Indices, values: list[NDArray[np.float64]], count: int) -> NDArray[np.float64]:
    """The sums of each of ``values`` over each label, (count, n)."""
    return np.stack([np.bincount(label, one, minlength=count) for one in values], axis=1).astype(np.float64)


def _median(values: NDArray[np.float64], label: Indices, number: Indices) -> NDArray[np.float64]:
    """The upper median of each label's values."""
    if not len(values):
        return np.zeros(0)
    # Sorted by label, then by value: one key holds both, and keys alone are sorted many times faster than pairs.
    lowest = values.min()
    span = values.max() - lowest + 1
    begin = np.cumsum(number) - number
    floor = np.arange(len(number)) * span - lowest
    return np.asarray(np.sort(values + floor[label])[begin + number // 2] - floor, np.float64)


def _mean(values: NDArray[np.float64], label: Indices, number: Indices) -> NDArray[np.float64]:
    return np.bincount(label, values, minlength=len(number)) / number


def skew(fitted: Lines) -> float:
    """The page's slope: the median of its long chains', counted by letters; 0 where there is none."""
    long = (fitted.letters >= 5) & (fitted.end - fitted.start > 3 * fitted.size)
    if not long.any():
        return 0.0
    slope, weight = fitted.slope[long], fitted.letters[long]
    order = np.argsort(slope)
    reached = np.cumsum(weight[order])
    return float(slope[order][np.searchsorted(reached, reached[-1] / 2)])
