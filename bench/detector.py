"""How much of a page's text the detector's windows cover, how many windows it takes, and how long.

A truth quad counts as covered when strips cover at least 80 % of its width. A strip counts at a column of the quad
where its vertical overlap with the quad is at least 60 % of the quad's height, and its height at most 2.2 times the
quad's or, for quads drawn tightly around low words ("are", "-"), 2.2 times the median height of the page's quads.

    python -m bench.detector [--set NAME ...] [--limit N] [--json] [--draw DIR] [--missed]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.api import Page
from engines.scribe.detector import windows
from engines.scribe.windows import Windows

SETS = ("sroie", "funsd", "scribe_bench", "wildreceipt")
COVERED_WIDTH = 0.8
COVERED_HEIGHT = 0.6
TALLEST = 2.2


@dataclass
class Score:
    """One set's figures: recall over truth boxes, windows per truth word, milliseconds a page (median)."""

    set: str
    pages: int = 0
    boxes: int = 0
    covered: int = 0
    windows: int = 0
    words: int = 0
    recall: float = 0.0
    windows_per_word: float = 0.0
    ms: float = 0.0
    times: list[float] = field(default_factory=list)


def data_folder() -> Path:
    """Where the real pages are: ``CLOISTER_DATA``, or beside the repository."""
    default = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    return Path(os.environ.get("CLOISTER_DATA", default))


def covered(found: Windows, quads: NDArray[np.float32]) -> NDArray[np.float64]:
    """For each quad (n, 4, 2) the part of its width that strips cover."""
    parts = np.zeros(len(quads))
    if not len(found.rails):
        return parts
    bounds = np.array(
        [
            [*points.min(axis=0), *points.max(axis=0)]
            for rail in found.rails
            for points in [np.vstack([rail.top, rail.bottom])]
        ]
    )
    usual = float(np.median(quads[:, 2:, 1].mean(axis=1) - quads[:, :2, 1].mean(axis=1))) if len(quads) else 0.0
    for index, quad in enumerate(quads):
        columns = np.linspace(quad[[0, 3], 0].mean(), quad[[1, 2], 0].mean(), 41)
        upper = np.linspace(quad[0, 1], quad[1, 1], 41)
        lower = np.linspace(quad[3, 1], quad[2, 1], 41)
        hit = np.zeros(len(columns), np.bool_)
        (x0, y0), (x1, y1) = quad.min(axis=0), quad.max(axis=0)
        near = (bounds[:, 0] < x1) & (bounds[:, 2] > x0) & (bounds[:, 1] < y1) & (bounds[:, 3] > y0)
        for strip in np.flatnonzero(near):
            rail = found.rails[strip]
            top = np.interp(columns, rail.top[:, 0], rail.top[:, 1], left=np.nan, right=np.nan)
            bottom = np.interp(columns, rail.bottom[:, 0], rail.bottom[:, 1], left=np.nan, right=np.nan)
            overlap = np.minimum(bottom, lower) - np.maximum(top, upper)
            with np.errstate(invalid="ignore"):
                tallest = TALLEST * np.maximum(lower - upper, usual)
                hit |= (overlap >= COVERED_HEIGHT * (lower - upper)) & (bottom - top <= tallest)
        parts[index] = hit.mean()
    return parts


def draw(pixels: NDArray[np.uint8], found: Windows, missed: NDArray[np.float32], path: Path) -> None:
    """The page with rails (green; light text magenta), cuts (blue) and missed truth boxes (red), as a PNG."""
    canvas = np.ascontiguousarray(pixels[:, :, ::-1] // 2 + 127)
    thick = max(1, round(max(canvas.shape) / 1500))
    for rail in found.rails:
        colour = (200, 0, 200) if rail.inverted else (0, 160, 0)
        for side in (rail.top, rail.bottom):
            cv2.polylines(canvas, [np.round(side).astype(np.int32)], False, colour, thick)
    for line, offset, width in zip(found.line, found.offset, found.width, strict=True):
        top, bottom = found.rails[line].at(np.array([offset, offset + width], np.float32))
        for a, b, colour in ((top[0], bottom[0], (255, 0, 0)), (top[1], bottom[1], (255, 160, 0))):
            cv2.line(canvas, tuple(int(v) for v in a), tuple(int(v) for v in b), colour, thick)
    for quad in missed:
        cv2.polylines(canvas, [np.round(quad).astype(np.int32)], True, (0, 0, 255), 2 * thick)
    cv2.imwrite(str(path), canvas)


def score_set(name: str, limit: int | None, drawings: Path | None, tell_missed: bool) -> Score:
    folder = data_folder() / "pages" / name
    score = Score(set=name)
    for text in (folder / "truth.jsonl").read_text().splitlines()[:limit]:
        truth = json.loads(text)
        image = cv2.imread(str(folder / truth["image"]), cv2.IMREAD_COLOR)
        if image is None:
            raise FileNotFoundError(f"{truth['image']} in {folder} is missing or no image")
        pixels = np.asarray(image[:, :, ::-1], np.uint8, order="C")
        begin = time.perf_counter()
        found = windows(Page(pixels))
        score.times.append((time.perf_counter() - begin) * 1000)
        parts = [part for part in (truth.get("words") or truth["lines"]) if part["quad"] and part["text"].strip()]
        quads = np.array([part["quad"] for part in parts], np.float32).reshape(len(parts), 4, 2)
        share = covered(found, quads)
        hit = share >= COVERED_WIDTH
        score.pages += 1
        score.boxes += len(quads)
        score.covered += int(hit.sum())
        score.windows += len(found.line)
        score.words += sum(len(part["text"].split()) for part in parts)
        if tell_missed:
            lost = [f"{part['text']}({value:.2f})" for part, value, ok in zip(parts, share, hit, strict=True) if not ok]
            figures = f"{hit.sum()}/{len(hit)}, windows {len(found.line)}, {score.times[-1]:.0f} ms"
            print(f"{truth['image']}: {figures}; missed {lost[:12]}")
        if drawings is not None:
            draw(pixels, found, quads[~hit], drawings / f"{name}_{Path(truth['image']).stem}.png")
    score.recall = score.covered / max(score.boxes, 1)
    score.windows_per_word = score.windows / max(score.words, 1)
    score.ms = statistics.median(score.times) if score.times else 0.0
    return score


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", choices=SETS, dest="sets")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--draw", type=Path)
    parser.add_argument("--missed", action="store_true")
    options = parser.parse_args()
    if not (data_folder() / "pages").is_dir():
        print(f"no pages under {data_folder()}: set CLOISTER_DATA", file=sys.stderr)
        return 2
    cv2.setNumThreads(0)
    if options.draw is not None:
        options.draw.mkdir(parents=True, exist_ok=True)
    scores = [score_set(name, options.limit, options.draw, options.missed) for name in options.sets or SETS]
    if options.json:
        print(json.dumps([{k: v for k, v in asdict(score).items() if k != "times"} for score in scores], indent=2))
    else:
        print(f"{'set':14}{'pages':>6}{'boxes':>7}{'recall':>8}{'windows/word':>14}{'ms a page':>11}")
        for score in scores:
            print(
                f"{score.set:14}{score.pages:6}{score.boxes:7}{score.recall:8.4f}"
                f"{score.windows_per_word:14.2f}{score.ms:11.1f}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
