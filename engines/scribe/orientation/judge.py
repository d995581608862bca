"""How well a page reads one way up and the other: a few of its words, read both ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from engines.scribe.windows import WIDTH, Reading, Windows

FEW = 16
"""Windows that are read each way."""
_SHOWN = WIDTH // 2 - 8
"""Columns of a window that are read: the net's narrow form, which takes half the time."""
_LEAST = 40
"""Windows with fewer columns say little."""
_STARKEST = 40
"""They are taken from so many windows of the most contrast,"""
_STARK = 0.65
"""and of those that have this share of what the fifth starkest has: on a grainy page most windows show grain."""
Read = Callable[[NDArray[np.uint8]], list[Reading]]


def sample(windows: Windows) -> NDArray[np.uint8]:
    """A few of a page's starkest windows, spread over the page, cut to half their width: uint8 (n, HEIGHT, WIDTH)."""
    if not len(windows.width):
        return windows.pixels
    places = np.flatnonzero(windows.width >= _LEAST)
    if not len(places):
        places = np.arange(len(windows.width))
    contrast = np.array([windows.pixels[place, :, : windows.width[place]].std() for place in places])
    starkest = np.argsort(-contrast, kind="stable")[:_STARKEST]
    least = _STARK * contrast[starkest[min(4, len(starkest) - 1)]]
    places = np.sort(places[starkest[contrast[starkest] >= least]])
    places = places[np.linspace(0, len(places) - 1, min(FEW, len(places))).astype(np.intp)]
    cut = windows.pixels[places].copy()
    cut[:, :, _SHOWN:] = np.median(cut, axis=(1, 2)).astype(np.uint8)[:, None, None]
    return cut


def overturned(cut: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same windows as a page that is upside down would show them."""
    shown = cut[:, :, :_SHOWN]
    out = cut.copy()
    out[:, :, :_SHOWN] = shown[:, ::-1, ::-1]
    return out


def legibility(readings: Sequence[Reading]) -> float:
    """0 to 1: how sure the surer half of some readings is, as the rest may be of no text at all.

    A letter alone, which noise often looks like, counts for nothing.
    """
    if not readings:
        return 0.0
    sure = sorted(reading.confidence if len(reading.text) > 1 else 0.0 for reading in readings)
    return float(np.mean(sure[len(sure) // 2 :]))
