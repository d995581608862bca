"""Estimates with confidence intervals. Words of one document are alike, so what is drawn is documents, never words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Statistic: TypeAlias = Callable[[Floats], Floats]

CONFIDENCE = 0.95
_RESAMPLES = 2000
_MOST_UNITS = 250
"""More documents than this are drawn in so many groups: as good, and quick."""
_SEED = 20170412


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate, and what it lies between with the confidence asked for."""

    estimate: float
    low: float
    high: float


def wilson(hits: int, of: int, confidence: float = CONFIDENCE) -> Interval:
    """A share, by Wilson's score interval (J. Am. Stat. Assoc. 22, 1927), which holds for few; 0 to 1 ``of`` none."""
    if not of:
        return Interval(0.0, 0.0, 1.0)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = hits / of
    centre = (share + z * z / (2 * of)) / (1 + z * z / of)
    reach = z / (1 + z * z / of) * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return Interval(share, max(0.0, min(share, centre - reach)), min(1.0, max(share, centre + reach)))


def bootstrap(rows: Sequence[Sequence[float]], statistic: Statistic, confidence: float = CONFIDENCE) -> Interval:
    """``statistic`` of the sums of ``rows`` (one a document), by drawing documents: percentiles (Efron, 1979).

    ``statistic`` takes float64 (n, columns) and returns (n,). The same rows give the same interval.
    """
    units = np.asarray(rows, np.float64)
    generator = np.random.default_rng(_SEED)
    total = units.sum(axis=0, keepdims=True)
    if len(units) > _MOST_UNITS:
        groups = generator.permutation(len(units)) % _MOST_UNITS
        grouped = np.zeros((_MOST_UNITS, units.shape[1]))
        np.add.at(grouped, groups, units)
        units = grouped
    times = generator.multinomial(len(units), np.full(len(units), 1 / len(units)), size=_RESAMPLES)
    drawn = statistic(times @ units)
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    estimate = float(statistic(total)[0])
    return Interval(estimate, min(estimate, float(low)), max(estimate, float(high)))


def share(parts: Sequence[tuple[float, float]], confidence: float = CONFIDENCE) -> Interval:
    """The sum of the first over the sum of the second, both given for each document.

    Where no document differs from another there is nothing to draw from: then documents are counted, by Wilson.
    """
    rates = {part / whole for part, whole in parts if whole}
    if rates <= {1.0}:
        return wilson(len(parts), len(parts), confidence)
    return bootstrap(parts, _ratio, confidence)


def median(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """By order statistics: holds whatever the distribution. ``values`` must not be empty."""
    ordered = sorted(values)
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(len(ordered)) / 2
    middle = (len(ordered) - 1) / 2
    low, high = max(0, math.floor(middle - reach)), min(len(ordered) - 1, math.ceil(middle + reach))
    return Interval(float(np.median(ordered)), ordered[low], ordered[high])


def quantile(values: Sequence[float], at: float) -> float:
    """Of values that are not empty, between them where it has to."""
    return float(np.quantile(np.asarray(values, np.float64), at))


def _ratio(sums: Floats) -> Floats:
    return sums[:, 0] / np.maximum(sums[:, 1], 1e-12)
