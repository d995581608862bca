"""Real receipt lines (ICDAR 2019 SROIE, training part, CC BY 4.0) as windows. Truth is upper case whatever the pixels
show."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.scribe.recogniser.alphabet import knows
from engines.scribe.training import distort
from engines.scribe.training.windows import pad
from engines.scribe.windows import HEIGHT, WIDTH

Rng = np.random.Generator
Grey = NDArray[np.uint8]

_HELD_BACK = 40
"""One receipt in this many is held back whole, for evaluation."""
_SIDE, _ABOVE = 0.25 / 1.3, 0.15 / 1.3
"""Margins of the crops, as shares of the crop's height."""
_SQUEEZE = 0.8


@dataclass(frozen=True, slots=True)
class RealLine:
    """A crop uint8 (h, w) and its text. ``held``: not for training; ``cased``: the text has the case that shows."""

    name: str
    pixels: Grey
    text: str
    held: bool
    cased: bool = False


def data_folder() -> Path:
    """The folder of real data: `CLOISTER_DATA`, or ../shared/data."""
    return Path(os.environ.get("CLOISTER_DATA", "../shared/data"))


def lines_file() -> Path:
    """SROIE's lines: crops, and labels.tsv with their texts."""
    return data_folder() / "sroie-lines.zip"


def lines(cuts: Path | None = None, cases: Path | None = None) -> list[RealLine]:
    """Every crop whose text is in the alphabet. With ``cuts`` (JSON lines: name, start, end as shares of the crop's
    width, text) pieces of long lines are added, and lines whose truth was found wrong (text null) are left out."""
    archive = zipfile.ZipFile(lines_file())
    labels = dict(row.split("\t", 1) for row in archive.read("labels.tsv").decode().splitlines() if "\t" in row)
    pieces: dict[str, list[tuple[float, float, str]]] = {}
    wrong: set[str] = set()
    if cuts is not None:
        for row in cuts.read_text().splitlines():
            cut = json.loads(row)
            if cut["text"] is None:
                wrong.add(cut["name"])
            else:
                pieces.setdefault(cut["name"], []).append((cut["start"], cut["end"], cut["text"]))
    found = []
    for name, truth in labels.items():
        text = " ".join(truth.split()).upper()
        if not text or not knows(text) or name in wrong:
            continue
        data = np.frombuffer(archive.read(name), np.uint8)
        pixels = np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)
        held = int(name.split("_")[1]) % _HELD_BACK == 7
        found.append(RealLine(name, pixels, text, held))
        if not held:
            for start, end, piece in pieces.get(name, ()):
                width = pixels.shape[1]
                found.append(
                    RealLine(
                        name, pixels[:, int(start * width) : max(int(end * width), int(start * width) + 4)], piece, held
                    )
                )
    if cases is not None:
        rows = [json.loads(row) for row in cases.read_text().splitlines()]
        shown = {(row["name"], row["text"]): row["cased"] for row in rows}
        found = [
            replace(line, text=shown[line.name, line.text], cased=True) if (line.name, line.text) in shown else line
            for line in found
        ]
    return found


def plain(line: RealLine) -> Grey | None:
    """The crop as a window, undistorted; None when it is too long for one."""
    width = round(line.pixels.shape[1] * HEIGHT / line.pixels.shape[0])
    if width > WIDTH:
        return None
    return pad(np.asarray(cv2.resize(line.pixels, (width, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8))


def augmented(rng: Rng, kept: list[RealLine], index: int) -> tuple[Grey, str, bool] | None:
    """Line ``index`` as a window: margins, height and width varied, sometimes worn; short ones are joined to a second
    one. Gives the window, its text, and whether its case is known."""
    pixels, text, known = kept[index].pixels, kept[index].text, kept[index].cased
    if pixels.shape[1] / pixels.shape[0] < 3.5 and rng.random() < 0.35:
        other = kept[int(rng.integers(len(kept)))]
        if other.pixels.shape[1] / other.pixels.shape[0] < 4:
            pixels, text, known = _join(rng, pixels, other.pixels), f"{text} {other.text}", known and other.cased
    h, w = pixels.shape
    top, bottom = rng.normal(0, 0.06) * h, h + rng.normal(0, 0.06) * h
    left, right = rng.uniform(-0.05, 0.7) * _SIDE * h, w - rng.uniform(-0.05, 0.7) * _SIDE * h
    aspect = float(np.exp(rng.normal(0, 0.09)))
    scale = HEIGHT / (bottom - top)
    width = (right - left) * scale * aspect
    if width > WIDTH:
        aspect *= WIDTH / width
        width = float(WIDTH)
        if aspect < _SQUEEZE:
            return None
    if width / max(len(text), 1) < 4.2:
        return None
    width_px = max(4, round(width))
    slope = rng.normal(0, 0.004)
    matrix = np.array(
        [
            [(right - left) / width_px, rng.normal(0, 0.04) / scale, left],
            [slope, 1 / scale, top - slope * width_px / 2],
        ],
        np.float32,
    )
    if scale < 0.8:
        pixels = cv2.blur(pixels, (max(1, round(1 / scale)), max(1, round(1 / scale))))
    window = cv2.warpAffine(
        pixels,
        matrix,
        (width_px, HEIGHT),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if rng.random() < 0.5:
        tone = window.astype(np.float32) / 255
        if rng.random() < 0.5:
            low, gain = rng.uniform(0, 0.3), rng.uniform(0.5, 1)
            tone = low + (1 - low) * tone * gain
        if rng.random() < 0.35:
            tone = distort.blur(rng, tone, HEIGHT, 0.035)
        if rng.random() < 0.4:
            tone = distort.noise(rng, tone, 0.05)
        if rng.random() < 0.2:
            tone = np.clip(tone, 0, 1) ** np.float32(rng.uniform(0.6, 1.6))
        window = distort.grey(np.clip(tone, 0, 1))
        if rng.random() < 0.3:
            window = distort.jpeg(rng, window)
    return pad(np.asarray(window, np.uint8)), text if known else text.upper(), known


def _join(rng: Rng, first: Grey, second: Grey) -> Grey:
    h = first.shape[0]
    second = np.asarray(
        cv2.resize(second, (max(4, round(second.shape[1] * h / second.shape[0])), h), interpolation=cv2.INTER_AREA),
        np.uint8,
    )
    ground = int(np.median(first))
    gain = ground / max(1.0, float(np.median(second)))
    second = np.clip(second * gain, 0, 255).astype(np.uint8)
    gap = np.full((h, int(rng.uniform(0, 0.8) * h)), ground, np.uint8)
    return np.hstack([first, gap, second])
