"""Lines and words of real pages, cut by the truth's quads as the detector would cut them, without the detector.

Every set of pages that has quads gives strips with the margin that the detector leaves; strips are cut into windows at
gaps between words, as the detector does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.scribe.training.lab.problems import LabError
from engines.scribe.windows import HEIGHT, WIDTH, Reading

MARGIN = 0.15
"""What is left around a quad, as a share of its height."""
PAGES = ("sroie", "funsd", "scribe_bench", "wildreceipt")
"""Sets of pages with quads."""
_OVERLAP = 48
_FOLDED = frozenset({"sroie"})
"""Sets whose truth is upper case whatever the page shows."""
_SPACELESS = frozenset({"wildreceipt"})
"""Sets whose truth has its spaces removed."""
_BY_WORD = frozenset({"funsd"})
"""Sets whose quads of lines hold several lines: their words' quads are taken."""
_HANDWRITING: dict[str, list[list[int]]] = json.loads(Path(__file__).with_name("handwriting.json").read_text())
"""Boxes (left, top, right, bottom, px) of what is handwritten, by image: FUNSD's truth does not say it. All its pages
here were looked at, whatever is read on them; numbers set on end are print."""

Grey = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Sample:
    """A strip uint8 (HEIGHT, any) and its text, with what they belong to.

    ``kind`` and ``look`` are those of made windows; on pages ``kind`` is the label of the field, where there is one.
    ``folded``: the truth's case says nothing; ``spaces``: its spaces do.
    """

    strip: Grey
    text: str
    set: str = ""
    kind: str = ""
    look: str = ""
    folded: bool = False
    spaces: bool = True

    def compared(self, read: str) -> tuple[str, str]:
        """Truth and what was read, as they are to be compared."""
        truth = self.text
        if self.folded:
            truth, read = truth.upper(), read.upper()
        return (truth, read) if self.spaces else (truth.replace(" ", ""), read.replace(" ", ""))


def page_samples(folder: Path, limit: int) -> Iterator[Sample]:
    """Strips of a set's first ``limit`` pages, by its lines' quads, or its words' where lines have none.

    Raises LabError.
    """
    name = folder.name
    if not (folder / "truth.jsonl").exists():
        raise LabError(f"there is no truth.jsonl in {folder}; CLOISTER_DATA names the folder of pages")
    for row in (folder / "truth.jsonl").read_text().splitlines()[:limit]:
        page = json.loads(row)
        image = cv2.imread(str(folder / "images" / Path(page["image"]).name), cv2.IMREAD_GRAYSCALE)
        if image is None:
            raise LabError(f"{folder}: {page['image']} is missing or no image")
        lines = page.get("lines") or []
        entries = [] if name in _BY_WORD else lines
        its = [entry for entry in entries or page.get("words") or [] if entry.get("quad")]
        quads = np.array([entry["quad"] for entry in its], np.float32).reshape(-1, 4, 2)
        for i, entry in enumerate(its):
            text, quad = " ".join(entry["text"].split()), quads[i]
            strip = strip_of(np.asarray(image, np.uint8), quad, _room(i, quads))
            if strip is not None and text:
                where = f"{name}-handwriting" if _by_hand(quad, Path(page["image"]).name) else name
                kind = str(entry.get("label", ""))
                yield Sample(strip, text, where, kind, "", name in _FOLDED, name not in _SPACELESS)


def _by_hand(quad: NDArray[np.float32], image: str) -> bool:
    x, y = quad.mean(0)
    return any(left <= x <= right and top <= y <= bottom for left, top, right, bottom in _HANDWRITING.get(image, []))


def _room(i: int, quads: NDArray[np.float32]) -> tuple[float, float]:
    """Half of what lies, px, between quad ``i`` and its neighbours to the left and to the right on its line; infinite
    where there is none. The truth parts "25-84" into "25-" and "84", whose margins would hold each other's signs."""
    boxes = np.concatenate((quads.min(1), quads.max(1)), 1)
    left, top, right, bottom = boxes[i]
    beside = np.minimum(boxes[:, 3], bottom) - np.maximum(boxes[:, 1], top) > 0.5 * (bottom - top)
    beside[i] = False
    middles, middle = (boxes[:, 0] + boxes[:, 2]) / 2, (left + right) / 2
    before = left - boxes[beside & (middles < middle), 2].max(initial=-np.inf)
    after = boxes[beside & (middles > middle), 0].min(initial=np.inf) - right
    return max(0.0, float(before) / 2), max(0.0, float(after) / 2)


def strip_of(page: Grey, quad: NDArray[np.float32], room: tuple[float, float] = (np.inf, np.inf)) -> Grey | None:
    """The strip inside ``quad`` (four points from the top left, clockwise) with its margin, ink dark; None when it is
    too small. What is further than ``room`` px to the left and to the right of it is taken for ground."""
    top_left, top_right, bottom_right, bottom_left = quad
    width = float(np.linalg.norm(top_right - top_left) + np.linalg.norm(bottom_right - bottom_left)) / 2
    height = float(np.linalg.norm(bottom_left - top_left) + np.linalg.norm(bottom_right - top_right)) / 2
    if width < 2 or height < 4:
        return None
    down = (bottom_left + bottom_right - top_left - top_right) / 2 * MARGIN
    along = (top_right + bottom_right - top_left - bottom_left) / 2 * (MARGIN * height / width)
    source = np.stack([top_left - down - along, top_right - down + along, bottom_left + down - along]).astype(
        np.float32
    )
    columns = max(8, round((width + 2 * MARGIN * height) * HEIGHT / (height * (1 + 2 * MARGIN))))
    target = np.array([[0, 0], [columns, 0], [0, HEIGHT]], np.float32)
    shrink = height * (1 + 2 * MARGIN) / HEIGHT
    if shrink > 1.3:  # average over what a strip's pixel covers
        page = np.asarray(cv2.blur(page, (round(shrink), round(shrink))), np.uint8)
    matrix = cv2.getAffineTransform(source, target)
    strip = np.asarray(
        cv2.warpAffine(page, matrix, (columns, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
        np.uint8,
    )
    scale = columns / (width + 2 * MARGIN * height)
    before, after = (round(scale * max(0.0, MARGIN * height - free)) for free in room)
    strip[:, :before] = strip[:, columns - after :] = np.median(strip)
    low, middle, high = np.percentile(strip, (2, 50, 98))
    return 255 - strip if middle - low < high - middle - 20 else strip


def cut(strip: Grey) -> list[tuple[int, int]]:
    """Columns (start, end) of a strip's windows: at the last wide gap that leaves at most WIDTH columns, else with an
    overlap."""
    ground = np.median(strip)
    inked = (strip.min(0) < ground - max(25, 0.35 * (ground - strip.min()))).astype(np.uint8)
    pieces = []
    start, length = 0, strip.shape[1]
    while length - start > WIDTH:
        best, run, gap = 0, 0, 0
        for x in range(start + WIDTH // 3, start + WIDTH):
            run = 0 if inked[x] else run + 1
            if run >= max(6, gap * 0.8):
                best, gap = x - run // 2, max(gap, run)
        if best:
            pieces.append((start, best))
            start = best
        else:
            pieces.append((start, start + WIDTH))
            start += WIDTH - _OVERLAP
    return [*pieces, (start, length)]


def pad(piece: Grey) -> Grey:
    """A piece of a strip as a window, padded with its ground."""
    window = np.full((HEIGHT, WIDTH), np.uint8(np.median(piece)), np.uint8)
    window[:, : piece.shape[1]] = piece
    return window


def join(pieces: list[tuple[int, int]], readings: list[Reading]) -> str:
    """One text of a strip's readings; what lies in an overlap is taken from the side it is further inside of."""
    text = ""
    for i, ((start, end), reading) in enumerate(zip(pieces, readings, strict=True)):
        from_column = (pieces[i - 1][1] + start) / 2 if i else -np.inf
        to_column = (end + pieces[i + 1][0]) / 2 if i + 1 < len(pieces) else np.inf
        kept = "".join(
            c for c, x in zip(reading.text, reading.columns, strict=True) if from_column <= x + start < to_column
        )
        gap = " " if text and i and pieces[i - 1][1] == start else ""
        text += gap + kept
    return " ".join(text.split())
