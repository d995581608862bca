"""Component trees and stable regions by their definition: every threshold, every component, every pixel. Slow."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.scribe.mser import NODE

Mask = NDArray[np.bool_]


@dataclass(eq=False)
class Component:
    """A connected set of pixels at least ``height`` high, with a pixel of that height in it."""

    height: int
    extremum: int
    mask: Mask
    area: int
    first: int
    parent: Component | None = None
    children: list[Component] = field(default_factory=list)

    def at(self, threshold: int) -> Component:
        """The component around this one at a lower threshold; below the lowest, the whole image."""
        around = self
        while around.parent is not None and around.parent.height >= threshold:
            around = around.parent
        return around

    def thresholds(self) -> range:
        """Those at which this very set of pixels is a component, falling."""
        return range(self.height, self.parent.height if self.parent else -1, -1)

    def variation(self, threshold: int, delta: int) -> float:
        return (self.at(threshold - delta).area - self.area) / self.area


def components(heights: NDArray[np.uint8], connectivity: int, min_area: int) -> list[Component]:
    """All components of at least ``min_area`` px, by height, then by the first pixel of that height."""
    found: list[Component] = []
    roof: dict[int, Component] = {}  # the highest component that each pixel is in, by thresholds so far
    for threshold in sorted(set(heights.ravel().tolist()), reverse=True):
        count, labels = cv2.connectedComponents((heights >= threshold).astype(np.uint8), connectivity=connectivity)
        for label in range(1, count):
            mask = labels == label
            own = np.flatnonzero(mask & (heights == threshold))
            if not len(own) or mask.sum() < min_area:
                continue
            component = Component(threshold, int(heights[mask].max()), mask, int(mask.sum()), int(own[0]))
            for pixel in np.flatnonzero(mask).tolist():
                if pixel in roof and roof[pixel].parent is None and roof[pixel] not in component.children:
                    component.children.append(roof[pixel])
            for child in component.children:
                child.parent = component
            roof.update(dict.fromkeys(np.flatnonzero(mask).tolist(), component))
            found.append(component)
    return sorted(found, key=lambda c: (c.height, c.first))


def perimeter(mask: Mask) -> int:
    padded = np.pad(mask, 1)
    return int((padded[1:] != padded[:-1]).sum() + (padded[:, 1:] != padded[:, :-1]).sum())


def holes(mask: Mask, connectivity: int) -> int:
    outside = np.pad(~mask, 1, constant_values=True).astype(np.uint8)
    return cv2.connectedComponents(outside, connectivity=12 - connectivity)[0] - 2


def stable(component: Component, delta: int, max_variation: float) -> bool:
    """Whether the variation, followed as the threshold falls, has a local minimum where the component appears."""
    here = component.variation(component.height, delta)
    before = [child.variation(child.thresholds()[-1], delta) for child in component.children]
    after = [component.variation(threshold, delta) for threshold in component.thresholds()]
    if component.parent:
        after.append(component.parent.variation(component.parent.height, delta))
    next_different = next((v for v in after if v != here), here)
    return all(v > here for v in before) and next_different >= here and here <= max_variation


def as_nodes(chosen: list[Component], dark: bool, delta: int, connectivity: int) -> NDArray[np.void]:
    nodes = np.zeros(len(chosen), NODE)
    flip = 255 if dark else 0
    for node, component in zip(nodes, chosen, strict=True):
        around = component.parent
        while around is not None and around not in chosen:
            around = around.parent
        y, x = np.nonzero(component.mask)
        node["parent"] = chosen.index(around) if around else -1
        node["area"] = component.area
        node["x0"], node["y0"], node["x1"], node["y1"] = x.min(), y.min(), x.max() + 1, y.max() + 1
        node["perimeter"] = perimeter(component.mask)
        node["holes"] = holes(component.mask, connectivity)
        node["sum_x"], node["sum_y"] = x.sum(), y.sum()
        node["sum_xx"], node["sum_yy"], node["sum_xy"] = (x * x).sum(), (y * y).sum(), (x * y).sum()
        node["variation"] = component.variation(component.height, delta)
        node["level"] = component.height ^ flip
        node["merge"] = (component.parent or component).height ^ flip
        node["extremum"] = component.extremum ^ flip
    return nodes


def trees(
    grey: NDArray[np.uint8], *, delta: int = 5, min_area: int = 1, step: int = 1, connectivity: int = 8
) -> tuple[NDArray[np.void], NDArray[np.void]]:
    both = []
    for dark in (True, False):
        heights = (grey // step * step) ^ np.uint8(255 if dark else 0)
        both.append(as_nodes(components(heights, connectivity, min_area), dark, delta, connectivity))
    return both[0], both[1]


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
) -> tuple[NDArray[np.void], NDArray[np.void]]:
    both = []
    for dark in (True, False):
        heights = (grey // step * step) ^ np.uint8(255 if dark else 0)
        chosen: list[Component] = []
        for component in components(heights, connectivity, min_area):
            if component.parent is None or not stable(component, delta, max_variation):
                continue
            if max_area is not None and component.area > max_area:
                continue
            around = component.parent
            while around is not None and around not in chosen:
                around = around.parent
            if around is None or around.area - component.area >= min_diversity * around.area:
                chosen.append(component)
        both.append(as_nodes(chosen, dark, delta, connectivity))
    return both[0], both[1]
