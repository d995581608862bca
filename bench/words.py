"""How well, and how fast, the recogniser alone reads: lines and words cut by the truth, without the detector.

    python -m bench.words [--data DIR] [--weights DIR] [--limit N] [--json FILE] [--errors N] [--no-cascade]

Sets: real receipts (sroie, scans; wildreceipt, photos), forms (funsd; its handwriting apart), tables and columns
(scribe_bench), cut by their quads; and made letters, books, receipts, thermal print, photos, screens, and negatives,
which hold no text, from the training package where its fonts are. ``ms``: CPU time of a window on one core at the mean
of a set, from pixels to text. With ``--no-cascade`` the large net reads every window, without the small one before
it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import cv2
import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from engines.scribe.recogniser.reader import Recogniser
from engines.scribe.training.lab import reading
from engines.scribe.training.lab.crops import PAGES, Sample, cut, join, pad, page_samples
from engines.scribe.training.lab.made import SETS, made_samples
from engines.scribe.training.lab.problems import LabError
from engines.scribe.windows import HEIGHT, WIDTH, Reading
from engines.scribe.wordinator.buckets import Buckets

_SETS = (*PAGES, *SETS)
_MADE_WINDOWS = 600


@dataclass(frozen=True, slots=True)
class Score:
    """``words``: share of the truth's words read exactly (Single Word Accuracy, which is also the recall);
    ``spacing``: share of them that is lost in lines which are the truth's but for their spaces; ``precision``: share of
    the words read that are in the truth; ``cer``: character error rate; ``lines``: strips; ``windows``, and ``ms``, CPU
    time of each; ``false``: share of windows without text in which some was read, ``kept``: of which the Wordinator
    kept words."""

    words: float
    spacing: float
    precision: float
    cer: float
    lines: int
    windows: int
    ms: float = 0.0
    false: float | None = None
    kept: float | None = None


class Reads(Protocol):
    """A recogniser, as far as is needed of one here."""

    def read(self, pixels: NDArray[np.uint8]) -> list[Reading]: ...


def read_lines(recogniser: Reads, samples: list[Sample]) -> tuple[list[str], float]:
    """The text of each sample, and the CPU time that the recogniser took, ms: to cut lines into windows is no part of
    it, as the detector does that on a page."""
    cuts = [cut(sample.strip) for sample in samples]
    windows = [pad(sample.strip[:, a:b]) for sample, pieces in zip(samples, cuts, strict=True) for a, b in pieces]
    pixels = np.stack(windows)
    start = time.process_time()
    readings = recogniser.read(pixels)
    ms = (time.process_time() - start) * 1e3
    texts, at = [], 0
    for pieces in cuts:
        texts.append(join(pieces, readings[at : at + len(pieces)]))
        at += len(pieces)
    return texts, ms


def score(samples: list[Sample], texts: list[str], errors: int) -> Score:
    """Compare; prints the first ``errors`` misreadings."""
    found = wanted = hits = spaced = wrong = characters = 0
    for sample, read in zip(samples, texts, strict=True):
        truth, text = sample.compared(read)
        a, b = Counter(truth.split()), Counter(text.split())
        wanted += a.total()
        found += b.total()
        hits += (a & b).total()
        if truth.replace(" ", "") == text.replace(" ", ""):
            spaced += (a - b).total()
        wrong += Levenshtein.distance(truth, text)
        characters += len(truth)
        if truth != text and errors > 0:
            errors -= 1
            print(f"  {truth!r}\n  {text!r}\n")
    empty = [text for sample, text in zip(samples, texts, strict=True) if not sample.text]
    false = round(sum(bool(text) for text in empty) / len(empty), 4) if empty else None
    windows = sum(len(cut(sample.strip)) for sample in samples)
    return Score(
        round(hits / max(1, wanted), 4),
        round(spaced / max(1, wanted), 4),
        round(hits / max(1, found), 4),
        round(wrong / max(1, characters), 4),
        len(samples),
        windows,
        false=false,
    )


def speed(recogniser: Recogniser, rounds: int = 20) -> dict[str, float]:
    """CPU time of the large net for a window in batches of 16, wide and narrow, ms: the least of ``rounds``."""
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


def kept(recogniser: Recogniser, samples: list[Sample], buckets: Buckets) -> float | None:
    """The share of samples without text of which the Wordinator leaves words; None where all have text."""
    empty = [sample.strip for sample in samples if not sample.text]
    lines = [line for part in reading.read(recogniser, empty) for line in part.words(buckets)]
    return round(sum(bool(line) for line in lines) / len(lines), 4) if lines else None


def _told(result: Score) -> str:
    false = "" if result.false is None else f"false {result.false:.4f}  kept {result.kept:.4f}"
    if false and not result.words:
        return false
    shares = f"words {result.words:.4f}  spacing {result.spacing:.4f}  precision {result.precision:.4f}"
    return f"{shares}  CER {result.cer:.4f}  {false}"


def _samples(name: str, folder: Path, limit: int) -> list[Sample]:
    return list(page_samples(folder, limit)) if name in PAGES else made_samples(name, _MADE_WINDOWS)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("CLOISTER_DATA", "../shared/data")))
    parser.add_argument("--weights", type=Path, default=Path("engines/scribe/weights"))
    parser.add_argument("--limit", type=int, default=1000, help="pages of a set at most")
    parser.add_argument("--sets", nargs="*", default=list(_SETS), choices=_SETS)
    parser.add_argument("--errors", type=int, default=0, help="misreadings to print for each set")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--no-cascade", action="store_true", help="let the large net read every window")
    given = parser.parse_args()
    cv2.setNumThreads(0)
    recogniser = Recogniser.load(given.weights, cascade=not given.no_cascade)
    buckets = Buckets.load(given.weights)
    results: dict[str, object] = {"version": recogniser.card.version, **speed(recogniser)}
    print(json.dumps(results))
    for name in given.sets:
        try:
            samples = _samples(name, given.data / "pages" / name, given.limit)
        except (ImportError, OSError, LabError) as error:
            print(f"{name}: left out, {error}")
            continue
        for where in dict.fromkeys(sample.set for sample in samples):
            its = [sample for sample in samples if sample.set == where]
            read, ms = read_lines(recogniser, its)
            result = score(its, read, given.errors)
            result = replace(result, ms=round(ms / result.windows, 2), kept=kept(recogniser, its, buckets))
            results[where] = asdict(result)
            print(
                f"{where:17} {_told(result)}  lines {result.lines}  windows {result.windows}  ms {result.ms}",
                flush=True,
            )
    if given.json:
        given.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
