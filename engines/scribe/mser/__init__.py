"""Component trees and maximally stable regions of a grey image, for both polarities.

A threshold moves over the image; what is dark (or light) enough forms components that appear, grow and meet. The tree
of all of them, with what a text detector asks of each, comes from `trees`; the few that keep their shape over many
thresholds, as letters do, from `regions`. Method and definitions: `flood.hpp`, `nodes.hpp`, `stability.hpp`.

Both return two arrays of dtype `NODE`, (dark on light, light on dark). Parents stand before their children. Fields:

parent     int32, index of the parent in the same array (of a region: the nearest region around it), -1 if none
area       int32, px
x0 y0      int32, px, the box's first column and row
x1 y1      int32, px, one past its last column and row
perimeter  int32, pixel sides between the component and anything else, the image's edge included. A stroke of width w
           has about ``w == 2 * area / perimeter``.
holes      int32, holes in the component (as many as 1 - its Euler number)
sum_x sum_y sum_xx sum_yy sum_xy
           int64, sums over its pixels' columns and rows: ``sum_x / area`` is its centre's column
variation  float32, growth of the area when the threshold moves ``delta`` levels on, as part of the area; 0 is stable
level      uint8, the grey at which it appears: of a dark component the lightest inside, of a light one the darkest
merge      uint8, the grey at which it becomes part of its parent in the full tree (of the root: its level)
extremum   uint8, of a dark component the darkest grey inside, of a light one the lightest; ``abs(merge - extremum)``
           is its contrast
"""

from __future__ import annotations

import enum

import numpy as np
from numpy.typing import NDArray

from engines.scribe.mser import _mser

__all__ = ["NODE", "Polarity", "regions", "trees"]

NODE = np.dtype(
    {
        "names": [name for name, _, _ in _mser.LAYOUT],
        "formats": [kind for _, kind, _ in _mser.LAYOUT],
        "offsets": [offset for _, _, offset in _mser.LAYOUT],
        "itemsize": _mser.NODE_SIZE,
    }
)
"""One component; the fields are described in the module's docstring."""


class Polarity(enum.Flag):
    DARK = enum.auto()
    """Dark on light."""
    LIGHT = enum.auto()
    """Light on dark."""
    BOTH = DARK | LIGHT


def trees(
    grey: NDArray[np.uint8],
    *,
    delta: int = 5,
    min_area: int = 1,
    step: int = 1,
    connectivity: int = 8,
    polarities: Polarity = Polarity.BOTH,
) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """The full component trees of ``grey``, uint8 (height, width) of any strides: two arrays of `NODE`.

    Node 0 is the root, the whole image. Nodes are in order of level, from the root's on, then in scan order.

    delta         levels of grey over which ``variation`` is measured
    min_area      px; smaller components get no node (on a noisy page most of them are)
    step          grey is rounded down to a multiple of this power of two first: 4 makes noisy pages two to three times
                  as fast and hardly changes their regions. Larger than ``delta``, it makes everything look stable.
    connectivity  4, or 8: pixels that touch at a corner are connected
    polarities    which trees to grow; the other's array is empty

    Raises ValueError for an option out of its range, and for an image with a side over 65535 px or 2**31 px or more;
    TypeError for anything but two-dimensional uint8. The GIL is released.
    """
    _check(delta=delta, min_area=min_area, step=step, connectivity=connectivity)
    dark, light = _mser.trees(
        grey,
        dark=Polarity.DARK in polarities,
        light=Polarity.LIGHT in polarities,
        delta=delta,
        min_area=min_area,
        step=step,
        connectivity=connectivity,
    )
    return dark.view(NODE), light.view(NODE)


def regions(
    grey: NDArray[np.uint8],
    *,
    delta: int = 5,
    min_area: int = 8,
    max_area: int | None = None,
    max_variation: float = 0.5,
    min_diversity: float = 0.2,
    step: int = 1,
    connectivity: int = 8,
    polarities: Polarity = Polarity.BOTH,
) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """The maximally stable regions of ``grey``, uint8 (height, width) of any strides: two arrays of `NODE`.

    max_area       px; by default anything but the whole image, which is never a region
    max_variation  the largest ``variation`` of a region
    min_diversity  of two regions, one in the other, that differ by less than this part of the larger's area, the
                   larger stays

    The other options and the errors are those of `trees`. Components under ``min_area`` don't exist for the choice:
    a letter isn't unstable because a speck joins it.
    """
    _check(delta=delta, min_area=min_area, step=step, connectivity=connectivity)
    dark, light = _mser.regions(
        grey,
        dark=Polarity.DARK in polarities,
        light=Polarity.LIGHT in polarities,
        delta=delta,
        min_area=min_area,
        max_area=np.iinfo(np.int32).max if max_area is None else max_area,
        max_variation=max_variation,
        min_diversity=min_diversity,
        step=step,
        connectivity=connectivity,
    )
    return dark.view(NODE), light.view(NODE)


def _check(*, delta: int, min_area: int, step: int, connectivity: int) -> None:
    if not 1 <= delta <= 255:
        raise ValueError(f"delta is a number of grey levels, 1 to 255, not {delta}")
    if min_area < 1:
        raise ValueError(f"min_area is at least 1 px, not {min_area}")
    if step not in (1, 2, 4, 8, 16, 32, 64, 128):
        raise ValueError(f"step is a power of two up to 128, not {step}")
    if connectivity not in (4, 8):
        raise ValueError(f"connectivity is 4 or 8, not {connectivity}")
