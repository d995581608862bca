"""Letter candidates: regions chosen from the component trees of both polarities; rules, frames and pictures dropped."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.scribe import mser
from engines.scribe.detector.ink import BLOCK, LIGHTEST, levels
from engines.scribe.detector.near import points_in_boxes

REGION = np.dtype(
    [
        ("x0", np.float32),
        ("y0", np.float32),
        ("x1", np.float32),
        ("y1", np.float32),
        ("area", np.float32),
        ("perimeter", np.float32),
        ("contrast", np.float32),
        ("light", np.bool_),
    ]
)
"""A region's box (px, ``x1`` and ``y1`` exclusive), its area and perimeter in px, the contrast around it in
grey levels, and whether it is light on dark."""

MIN_AREA = 3
"""Smaller regions are specks, px."""
LONG = 4.0
"""Regions wider or higher than so many letters are searched for rules."""
RULE_LENGTH = 3.0
"""Runs of ink of this length, in letter heights, are rules if they are thin."""
RULE_THICKNESS = 0.4
"""Rules are thinner than this, in letter heights."""
SPARSE = 0.16
"""A region of several letters' height that fills less of its box is a circle, a frame or a scribble."""
MOST_HOLES = 24
"""What holds more regions of the other polarity than this is no letter with its counters."""
MAX_REGIONS = 24_000
"""A page of more is noise: the largest are kept."""
MAX_PANELS = 60
"""Dark panels searched for light text, the largest first."""

LEVEL = 0.08
"""Tops and bottoms of two letters in a row differ by at most this part of their height."""

Nodes = NDArray[np.void]


def regions(grey: NDArray[np.uint8]) -> NDArray[np.void]:
    """Letter candidates of a grey page (height, width) as an array of `REGION` (n,)."""
    level, contrast = levels(grey)
    usual, long = _survey(level)
    if long is not None:
        level[_rules(np.less(level, LIGHTEST).view(np.uint8) & long, usual)] = LIGHTEST
    dark, light = mser.trees(level, min_area=MIN_AREA)
    panels = dark[(dark["level"] < LIGHTEST) & _is_panel(dark, usual)]
    panels = panels[np.argsort(-panels["area"], kind="stable")[:MAX_PANELS]]
    dark = dark[_chosen(dark, dark["level"], usual)]
    light = light[_chosen(light, LIGHTEST - light["level"], usual)]
    light = light[_inside(light, panels)]
    panel = _is_panel(dark, usual)
    panel[panel] &= ~_in_a_row(dark[panel], dark[~panel | (_held(dark, light) == 0)])
    letters = dark[~panel]
    light = light[~_inside(light, letters[_held(letters, light) <= MOST_HOLES])]
    light = light[_held(light, dark) <= MOST_HOLES]  # the rest is paper on a dark table
    dark = dark[~(_inside(dark, light) | (panel & (_held(dark, light) > 0)))]
    found = np.concatenate([_as_regions(dark, light=False), _as_regions(light, light=True)])
    if len(found) > MAX_REGIONS:
        found = found[np.argpartition(found["area"], -MAX_REGIONS)[-MAX_REGIONS:]]
    tall, wide = found["y1"] - found["y0"], found["x1"] - found["x0"]
    sparse = (tall > 1.6 * usual) & (wide > 0.7 * tall) & (found["area"] < SPARSE * tall * wide)
    found = np.asarray(found[~(sparse | _frames(found))])
    row = ((found["y0"] + found["y1"]) / (2 * BLOCK)).astype(np.intp)
    column = ((found["x0"] + found["x1"]) / (2 * BLOCK)).astype(np.intp)
    found["contrast"] = contrast[row, column]
    return found


def _survey(level: NDArray[np.uint8]) -> tuple[float, NDArray[np.uint8] | None]:
    """At half the scale: the usual height of a letter, px, and where regions lie that are much longer and not solid."""
    height, width = level.shape
    ink = np.less(level, LIGHTEST).view(np.uint8)
    labels, sizes = _pieces(ink)
    # Where most is ink, that is the ground, and the letters are what it leaves free.
    is_negative = 2 * cv2.countNonZero(ink) > ink.size
    usual = _usual(_pieces(np.greater(level, 0).view(np.uint8))[1] if is_negative else sizes)
    wide, tall, area = sizes
    solid = (area > 0.35 * wide * tall) & (np.minimum(wide, tall) > 1.8 * usual)
    long = np.concatenate([[False], (np.maximum(wide, tall) > LONG * usual) & ~solid])
    if not long.any():
        return usual, None
    where = np.asarray(long.view(np.uint8)[labels], np.uint8)
    size = (2 * where.shape[1], 2 * where.shape[0])
    return usual, np.asarray(cv2.resize(where, size, interpolation=cv2.INTER_NEAREST), np.uint8)[:height, :width]


def _pieces(mask: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """What hangs together in ``mask`` at half the scale: labels from 1, and (3, n) widths, heights and areas, px of the
    whole."""
    half = np.ascontiguousarray(cv2.dilate(mask, np.ones((2, 2), np.uint8), anchor=(0, 0))[::2, ::2])
    _, labels, stats, _ = cv2.connectedComponentsWithStats(half, connectivity=8)
    columns = [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT, cv2.CC_STAT_AREA]
    return np.asarray(labels, np.int32), np.asarray(stats[1:, columns].T * [[2], [2], [4]], np.int32)


def _usual(sizes: NDArray[np.int32]) -> float:
    """The usual height of the pieces that may be letters."""
    wide, tall, area = sizes
    likely = (tall >= 6) & (wide < 4 * tall) & (tall < 5 * wide) & (area > 0.15 * wide * tall)
    return float(np.median(tall[likely])) if likely.any() else 12.0


def _rules(dark: NDArray[np.uint8], usual: float) -> NDArray[np.bool_]:
    """The thin, long, straight runs of ink and a pixel around: table lines, underlines, frames."""
    rules = np.zeros_like(dark)
    length = max(32, round(RULE_LENGTH * usual))
    thickness = max(3, round(RULE_THICKNESS * usual))
    for long, thick, fringe in (((1, length), (thickness, 1), (3, 1)), ((length, 1), (1, thickness), (1, 3))):
        runs = cv2.morphologyEx(dark, cv2.MORPH_OPEN, np.ones(long, np.uint8))
        runs = cv2.subtract(runs, cv2.morphologyEx(runs, cv2.MORPH_OPEN, np.ones(thick, np.uint8)))
        rules = np.asarray(cv2.max(rules, cv2.dilate(runs, np.ones(fringe, np.uint8))), np.uint8)
    return rules.view(np.bool_)


def _chosen(nodes: Nodes, depth: NDArray[np.uint8], usual: float) -> NDArray[np.bool_]:
    """True for the nodes of a tree that look most like letters; of those that hold one another only one is true.

    ``depth`` is 0 for the innermost level and `LIGHTEST` for the root's, which is never chosen. From the inside out, a
    node takes the place of what it holds, but for two cases: it holds several regions about as high as itself (letters
    that only touch at this level), or it is larger than letters are and holds something that may be one.
    """
    height, width = nodes["y1"] - nodes["y0"], nodes["x1"] - nodes["x0"]
    parent = np.maximum(nodes["parent"], 0)
    chosen = depth == 0
    large = np.maximum(height, width) > LONG * usual
    for outer in range(1, LIGHTEST):
        inner = np.flatnonzero(chosen)
        around = parent[inner]
        for _ in range(outer - 1):
            around = np.where(depth[around] < outer, parent[around], around)
        held = depth[around] == outer
        inner, around = inner[held], around[held]
        peers = np.bincount(around[height[inner] >= 0.5 * height[around]], minlength=len(nodes))
        letters = np.bincount(around[height[inner] >= 0.35 * usual], minlength=len(nodes))
        stays = (depth == outer) & ~((peers >= 2) | (large & (letters >= 1)))
        chosen[inner[stays[around]]] = False
        chosen |= stays
    return np.asarray(chosen, np.bool_)


def _as_regions(nodes: Nodes, *, light: bool) -> NDArray[np.void]:
    """Nodes as regions, without hairlines."""
    wide, tall = nodes["x1"] - nodes["x0"], nodes["y1"] - nodes["y0"]
    nodes = nodes[(wide < 14 * np.maximum(tall, 3)) & (tall < 14 * np.maximum(wide, 2))]
    out = np.empty(len(nodes), REGION)
    for name in ("x0", "y0", "x1", "y1", "area", "perimeter"):
        out[name] = nodes[name]
    out["light"] = light
    return out


def _is_panel(nodes: Nodes, usual: float) -> NDArray[np.bool_]:
    """True for dark regions that may hold light text: large and well filled, as letters that touch are not."""
    wide, tall, area = nodes["x1"] - nodes["x0"], nodes["y1"] - nodes["y0"], nodes["area"]
    filled = area >= np.where(tall >= 60, 0.35, 0.55) * wide * tall
    return np.asarray((tall >= 1.8 * usual) & (wide >= 24) & (area >= 400) & filled, np.bool_)


def _in_a_row(panels: Nodes, letters: Nodes) -> NDArray[np.bool_]:
    """True for panels near which a letter has the same top and bottom: letters themselves, large and heavy ones with
    a hole, as amounts due have them."""
    tall = panels["y1"] - panels["y0"]
    reach = 3 * tall
    x, y = (letters["x0"] + letters["x1"]) / 2, (letters["y0"] + letters["y1"]) / 2
    box, node = points_in_boxes((x, y), (panels["x0"] - reach, panels["y0"], panels["x1"] + reach, panels["y1"]))
    a, b = panels[box], letters[node]
    off = np.maximum(np.abs(a["y0"] - b["y0"]), np.abs(a["y1"] - b["y1"]))
    beside = (b["x1"] <= a["x0"]) | (b["x0"] >= a["x1"])
    return np.bincount(box[beside & (off <= LEVEL * tall[box])], minlength=len(panels)) > 0


def _inside(nodes: Nodes, boxes: Nodes) -> NDArray[np.bool_]:
    """True for the nodes whose box lies in the box of one of ``boxes``, not touching it."""
    inside = np.zeros(len(nodes), np.bool_)
    x, y = (nodes["x0"] + nodes["x1"]) / 2, (nodes["y0"] + nodes["y1"]) / 2
    box, node = points_in_boxes((x, y), (boxes["x0"], boxes["y0"], boxes["x1"], boxes["y1"]))
    a, b = nodes[node], boxes[box]
    within = (a["x0"] > b["x0"]) & (a["y0"] > b["y0"]) & (a["x1"] < b["x1"]) & (a["y1"] < b["y1"])
    inside[node[within]] = True
    return inside


def _held(boxes: Nodes, nodes: Nodes) -> NDArray[np.intp]:
    """How many of ``nodes`` have their centre in each box."""
    x, y = (nodes["x0"] + nodes["x1"]) / 2, (nodes["y0"] + nodes["y1"]) / 2
    box, _ = points_in_boxes((x, y), (boxes["x0"], boxes["y0"], boxes["x1"], boxes["y1"]))
    return np.bincount(box, minlength=len(boxes))


def _frames(found: NDArray[np.void]) -> NDArray[np.bool_]:
    """True for regions that hold many others of their polarity: frames, pictures, blobs, never letters."""
    frames = np.zeros(len(found), np.bool_)
    for light in (False, True):
        tall = np.flatnonzero((found["light"] == light) & (found["y1"] - found["y0"] > 16))
        others = found[(found["light"] == light) & (found["area"] >= 8)]
        frames[tall] = _held(found[tall], others) > 6
    return frames
