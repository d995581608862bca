"""How well, and how fast, the recogniser alone reads: lines and words cut by the truth, without the detector.

    python -m bench.words [--data DIR] [--weights DIR] [--limit N] [--json FILE] [--errors N]

Every set of real pages that has quads is cut by them into strips, with the margin the detector leaves; strips into
windows at gaps between words, as the detector does. Made windows come from the training package where its fonts are.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.scribe.recogniser.reader import Recogniser
from engines.scribe.windows import HEIGHT, WIDTH, Reading

MARGIN = 0.15
"""Rows left above and below a quad, as a share of its height."""
_OVERLAP = 48
_PAGES = ("sroie", "funsd", "scribe_bench", "wildreceipt")
_FOLDED = {"sroie"}
"""Sets whose truth is upper case whatever the page shows."""
_BY_WORD = {"funsd"}
"""Sets whose quads of lines hold several lines: their words' quads are taken. Some of FUNSD's are written by hand."""
_MADE = ("letters", "receipts", "photos", "negatives")

Grey = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Score:
    """``words``: share of the truth's words read exactly (Single Word Accuracy, which is also the recall);
    ``precision``: share of the words read that are in the truth; ``cer``: character error rate; ``lines``: strips;
    ``windows``; ``false``: share of windows without text in which some was read."""

    words: float
    precision: float
    cer: float
    lines: int
    windows: int
    false: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """A strip uint8 (HEIGHT, any) and its text."""

    strip: Grey
    text: str


def strip_of(page: Grey, quad: NDArray[np.float32]) -> Grey | None:
    """The strip inside ``quad`` (four points from the top left, clockwise) with its margin, ink dark; None when it is
    too small."""
    top_left, top_right, bottom_right, bottom_left = quad
    width = float(np.linalg.norm(top_right - top_left) + np.linalg.norm(bottom_right - bottom_left)) / 2
    height = float(np.linalg.norm(bottom_left - top_left) + np.linalg.norm(bottom_right - top_right)) / 2
    if width < 2 or height < 4:
        return None
    down = (bottom_left + bottom_right - top_left - top_right) / 2 * MARGIN
    along = (top_right + bottom_right - top_left - bottom_left) / 2 * (0.15 * height / width)
    source = np.stack([top_left - down - along, top_right - down + along, bottom_left + down - along]).astype(
        np.float32
    )
    columns = max(8, round((width + 0.3 * height) * HEIGHT / (height * (1 + 2 * MARGIN))))
    target = np.array([[0, 0], [columns, 0], [0, HEIGHT]], np.float32)
    shrink = height * (1 + 2 * MARGIN) / HEIGHT
    if shrink > 1.3:  # average over what a strip's pixel covers
        page = np.asarray(cv2.blur(page, (round(shrink), round(shrink))), np.uint8)
    matrix = cv2.getAffineTransform(source, target)
    strip = np.asarray(
        cv2.warpAffine(page, matrix, (columns, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
        np.uint8,
    )
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


def read_lines(recogniser: Recogniser, samples: list[Sample]) -> list[str]:
    """The text of each sample."""
    cuts = [cut(sample.strip) for sample in samples]
    windows = [pad(sample.strip[:, a:b]) for sample, pieces in zip(samples, cuts, strict=True) for a, b in pieces]
    readings = recogniser.read(np.stack(windows))
    texts, at = [], 0
    for pieces in cuts:
        texts.append(join(pieces, readings[at : at + len(pieces)]))
        at += len(pieces)
    return texts


def page_samples(folder: Path, limit: int) -> Iterator[Sample]:
    """Strips of a set's pages, by its lines' quads, or its words' where lines have none."""
    for row in (folder / "truth.jsonl").read_text().splitlines()[:limit]:
        page = json.loads(row)
        image = cv2.imread(str(folder / "images" / Path(page["image"]).name), cv2.IMREAD_GRAYSCALE)
        if image is None:
            raise FileNotFoundError(f"{folder}: {page['image']} is missing or no image")
        lines = [] if folder.name in _BY_WORD else page.get("lines") or []
        entries = [entry for entry in lines or page.get("words") or [] if entry.get("quad")]
        for entry in entries:
            text = " ".join(entry["text"].split())
            strip = strip_of(np.asarray(image, np.uint8), np.asarray(entry["quad"], np.float32).reshape(4, 2))
            if strip is not None and text:
                yield Sample(strip, text)


def made_samples(kind: str, count: int) -> list[Sample]:
    """Made windows, with a seed that training does not use. Raises ImportError or OSError where the training extra or
    fonts are missing."""
    from engines.scribe.training import fonts
    from engines.scribe.training.corpus import Corpus
    from engines.scribe.training.settings import RUNS, DataSettings
    from engines.scribe.training.windows import Maker

    maker = Maker(Corpus(RUNS / "pools.json"), fonts.load(RUNS / "fonts.json"), DataSettings())
    samples = []
    for i in range(count):
        rng = np.random.default_rng([77, _MADE.index(kind), i])
        text_kind, look = {
            "letters": ("sentence", ("clean", "bitonal")[i % 2]), "receipts": ("receipt", "receipt"),
            "photos": ("sentence", "photo"), "negatives": ("negative", None),
        }[kind]  # fmt: skip
        window, text, _, _ = maker.make(rng, text_kind, look)
        samples.append(Sample(window, text))
    return samples


def distance(a: str, b: str) -> int:
    """Levenshtein's."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a):
        last, row[0] = row[0], i + 1
        for j, right in enumerate(b):
            last, row[j + 1] = row[j + 1], min(row[j + 1] + 1, row[j] + 1, last + (left != right))
    return row[-1]


def score(samples: list[Sample], texts: list[str], folded: bool, spaces: bool, errors: int) -> Score:
    """Compare; prints the first ``errors`` misreadings."""
    found = wanted = hits = wrong = characters = 0
    for sample, read in zip(samples, texts, strict=True):
        truth, text = (sample.text.upper(), read.upper()) if folded else (sample.text, read)
        if not spaces:
            truth, text = truth.replace(" ", ""), text.replace(" ", "")
        a, b = Counter(truth.split()), Counter(text.split())
        wanted += a.total()
        found += b.total()
        hits += (a & b).total()
        wrong += distance(truth, text)
        characters += len(truth)
        if truth != text and errors > 0:
            errors -= 1
            print(f"  {truth!r}\n  {text!r}\n")
    empty = [text for sample, text in zip(samples, texts, strict=True) if not sample.text]
    false = round(sum(bool(text) for text in empty) / len(empty), 4) if empty else None
    windows = sum(len(cut(sample.strip)) for sample in samples)
    return Score(
        round(hits / max(1, wanted), 4),
        round(hits / max(1, found), 4),
        round(wrong / max(1, characters), 4),
        len(samples),
        windows,
        false,
    )


def speed(recogniser: Recogniser, rounds: int = 20) -> dict[str, float]:
    """CPU time of a window in batches of 16, wide and narrow, ms: the least of ``rounds``."""
    rng = np.random.default_rng(0)
    figures = {}
    for width in (WIDTH, WIDTH // 2):
        pixels = rng.integers(0, 256, (16, HEIGHT, width), dtype=np.uint8)
        times = []
        for _ in range(rounds):
            start = time.process_time()
            recogniser.logits(pixels)
            times.append(time.process_time() - start)
        figures[f"ms_per_window_{width}"] = round(min(times) / 16 * 1e3, 3)
    return figures


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("CLOISTER_DATA", "../shared/data")))
    parser.add_argument("--weights", type=Path, default=Path("engines/scribe/weights"))
    parser.add_argument("--limit", type=int, default=1000, help="pages of a set at most")
    parser.add_argument("--sets", nargs="*", default=[*_PAGES, *_MADE])
    parser.add_argument("--errors", type=int, default=0, help="misreadings to print for each set")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(0)
    recogniser = Recogniser.load(given.weights)
    results: dict[str, object] = {"version": recogniser.card.version, **speed(recogniser)}
    print(json.dumps(results))
    for name in given.sets:
        folder = given.data / "pages" / name
        if name in _PAGES and not folder.is_dir():
            print(f"{name}: left out, {folder} is not there")
            continue
        try:
            samples = list(page_samples(folder, given.limit)) if name in _PAGES else made_samples(name, 600)
        except (ImportError, OSError) as error:
            print(f"{name}: left out, {error}")
            continue
        result = score(samples, read_lines(recogniser, samples), name in _FOLDED, name != "wildreceipt", given.errors)
        results[name] = asdict(result)
        figures = f"words {result.words:.4f}  precision {result.precision:.4f}  CER {result.cer:.4f}"
        false = "" if result.false is None else f"  false {result.false:.4f}"
        print(f"{name:13} {figures}  lines {result.lines}  windows {result.windows}{false}")
    if given.json:
        given.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
