"""Component trees and stable regions, both polarities, against cv2's MSER and its adaptive threshold: ms a megapixel.

``python -m bench.mser [--set NAME ...] [--limit N] [--repeats N] [--growth/--no-growth] [--json]``

One process, one thread, the same decoded images for all; of each page and method the best of a few runs counts, in
CPU time, so that a busy machine doesn't decide. A page's ratio is cv2.MSER's time by ours.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from bench.dataset import data_folder
from engines.scribe.mser import regions, trees

Grey = NDArray[np.uint8]


def _trees(grey: Grey) -> int:
    return sum(map(len, trees(grey)))


def _regions(grey: Grey) -> int:
    return sum(map(len, regions(grey)))


def _regions_64(grey: Grey) -> int:
    return sum(map(len, regions(grey, step=4)))


def _cv2_mser(grey: Grey) -> int:
    """Both passes: detectRegions runs the negative after the image."""
    return len(cv2.MSER.create(delta=5, min_area=8).detectRegions(grey)[0])


def _cv2_threshold(grey: Grey) -> int:
    found = 0
    for kind in (cv2.THRESH_BINARY_INV, cv2.THRESH_BINARY):
        ink = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, kind, 31, 15)
        found += cv2.connectedComponentsWithStats(ink, connectivity=8)[0] - 1
    return found


METHODS: dict[str, Callable[[Grey], int]] = {
    "trees": _trees,
    "regions": _regions,
    "regions, 64 levels": _regions_64,
    "cv2.MSER": _cv2_mser,
    "cv2 threshold": _cv2_threshold,
}
"""Each takes a grey page and gives the number of what it found, of both polarities."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One page: CPU time in ms a megapixel and things found, by method."""

    page: str
    megapixels: float
    milliseconds: dict[str, float]
    found: dict[str, int]


def measure(page: str, grey: Grey, repeats: int) -> Measured:
    megapixels = grey.size / 1e6
    milliseconds, found = {}, {}
    for name, method in METHODS.items():
        best = float("inf")
        for _ in range(repeats):
            started = time.process_time()
            found[name] = method(grey)
            best = min(best, time.process_time() - started)
        milliseconds[name] = best * 1e3 / megapixels
    return Measured(page, megapixels, milliseconds, found)


def pages(data: Path, names: list[str], limit: int | None) -> Iterator[tuple[str, str, Grey]]:
    """Set, page and pixels of each page of the sets, or of all sets where none is named."""
    for folder in sorted((data / "pages").iterdir()):
        if folder.is_dir() and (not names or folder.name in names):
            for path in sorted((folder / "images").iterdir())[:limit]:
                grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
                if grey is not None:
                    yield folder.name, path.name, grey.astype(np.uint8, copy=False)


def growth(grey: Grey, repeats: int) -> list[Measured]:
    """A page, tiled to 1.25, 5 and 20 megapixels: ms a megapixel should stay."""
    tall, wide = 1000, 1250
    tile = np.tile(grey, (-(-tall // grey.shape[0]), -(-wide // grey.shape[1])))[:tall, :wide]
    return [measure(f"{n * n} tiles", np.ascontiguousarray(np.tile(tile, (n, n))), repeats) for n in (1, 2, 4)]


def main(
    sets: Annotated[list[str] | None, typer.Option("--set", help="a set of pages, by name; all if none")] = None,
    limit: Annotated[int | None, typer.Option(help="pages of each set")] = None,
    repeats: Annotated[int, typer.Option(help="runs of each method on each page")] = 2,
    grow: Annotated[bool, typer.Option("--growth/--no-growth", help="also measure up to 20 megapixels")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Time all methods over pages."""
    data = data_folder()
    if data is None:
        raise typer.BadParameter("no data found: set CLOISTER_DATA")
    cv2.setNumThreads(1)
    by_set: dict[str, list[Measured]] = {}
    largest: Grey | None = None
    for name, page, grey in pages(data, sets or [], limit):
        by_set.setdefault(name, []).append(measure(f"{name}/{page}", grey, repeats))
        if largest is None or grey.size > largest.size:
            largest = grey
    if largest is None:
        raise typer.BadParameter(f"no pages of {', '.join(sets or ['any set'])} in {data}")
    everything = [measured for of_set in by_set.values() for measured in of_set]
    summary = {name: _summary(of_set) for name, of_set in {**by_set, "all": everything}.items()}
    grown = growth(largest, repeats) if grow else []
    if as_json:
        result = {"summary": summary, "growth": list(map(asdict, grown)), "pages": list(map(asdict, everything))}
        json.dump(result, sys.stdout, indent=2)
        print()
        return
    print(f"{'median ms/MP':24}" + "".join(f"{method:>20}" for method in METHODS) + f"{'ratio':>8}{'ratio, 64':>12}")
    for name, row in summary.items():
        print(f"{name:24}" + "".join(f"{row[method]:20.1f}" for method in METHODS), end="")
        print(f"{row['ratio']:8.1f}{row['ratio, 64 levels']:12.1f}   {int(row['pages'])} pages")
    for measured in grown:
        print(f"{measured.megapixels:21.2f} MP", end="")
        print("".join(f"{measured.milliseconds[method]:20.1f}" for method in METHODS))


def _summary(measured: list[Measured]) -> dict[str, float]:
    """Medians over pages: ms a megapixel by method, and how many times faster than cv2.MSER the regions are."""
    times = [page.milliseconds for page in measured]
    return {
        "pages": len(measured),
        **{method: median(t[method] for t in times) for method in METHODS},
        "ratio": median(t["cv2.MSER"] / t["regions"] for t in times),
        "ratio, 64 levels": median(t["cv2.MSER"] / t["regions, 64 levels"] for t in times),
    }


if __name__ == "__main__":
    typer.run(main)
