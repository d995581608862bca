"""Other engines, asked for the same thing on the same pages: words with boxes, one thread."""

from __future__ import annotations

import csv
import io
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from engines.api import Page, Quad
from engines.errors import MissingError
from engines.tesseract import Tesseract
from server.truth import Corners, Found


class PeerMissingError(RuntimeError):
    """A peer is not installed here."""


class Reader(Protocol):
    """Reads an image file."""

    def read(self, image: Path) -> list[Found]: ...


class TesseractCli:
    """The system's ``tesseract`` program: page segmentation mode 3, English, one thread, one process a page."""

    def __init__(self) -> None:
        program = shutil.which("tesseract")
        if program is None:
            raise PeerMissingError("tesseract is not installed; apt-get install tesseract-ocr, or run make bench-setup")
        self._program = program

    def read(self, image: Path) -> list[Found]:
        done = subprocess.run(
            [self._program, str(image), "stdout", "--psm", "3", "tsv"],
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
            capture_output=True,
            check=True,
        )
        table = csv.DictReader(io.StringIO(done.stdout.decode()), delimiter="\t", quoting=csv.QUOTE_NONE)
        return [
            Found(row["text"], _box(*(float(row[key]) for key in ("left", "top", "width", "height"))))
            for row in table
            if row["level"] == "5" and row["text"].strip()
        ]


class TesseractApi:
    """Tesseract in-process, by tesserocr: the data loaded once, page segmentation mode 3, English, one thread."""

    def __init__(self) -> None:
        try:
            self._engine = Tesseract()
            self._engine.load()
        except MissingError as error:
            raise PeerMissingError(str(error)) from error

    def read(self, image: Path) -> list[Found]:
        with Image.open(image) as opened:
            pixels = np.asarray(opened.convert("RGB"))
        lines = self._engine.recognize(Page(pixels)).lines
        return [Found(word.text, _corners(word.quad)) for line in lines for word in line.words]


class RapidOcr:
    """rapidocr with the models in its wheel, loaded once, one thread. Its lines are split into words at white space."""

    def __init__(self) -> None:
        try:
            from rapidocr import RapidOCR
        except ImportError:
            raise PeerMissingError("rapidocr is not installed; run make bench-setup") from None
        self._engine = RapidOCR(
            params={
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                "Global.log_level": "error",
            }
        )

    def read(self, image: Path) -> list[Found]:
        answer: Any = self._engine(str(image))
        if answer.boxes is None:
            return []
        found = []
        for quad, text in zip(answer.boxes.tolist(), answer.txts, strict=True):
            start = 0
            for token in text.split():
                start = text.index(token, start)
                share = (start / len(text), (start + len(token)) / len(text))
                found.append(Found(token, _part(quad, *share)))
                start += len(token)
        return found


PEERS: dict[str, type[Reader]] = {"tesseract-cli": TesseractCli, "tesserocr": TesseractApi, "rapidocr": RapidOcr}


def _box(left: float, top: float, width: float, height: float) -> Corners:
    right, bottom = left + width, top + height
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def _corners(quad: Quad) -> Corners:
    return tuple((float(x), float(y)) for x, y in (quad.top_left, quad.top_right, quad.bottom_right, quad.bottom_left))


def _part(quad: list[list[float]], start: float, end: float) -> Corners:
    """The share of a line's quad that its characters from ``start`` to ``end`` (0..1) take."""

    def between(a: list[float], b: list[float], share: float) -> tuple[float, float]:
        return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share

    top_left, top_right, bottom_right, bottom_left = quad
    return (
        between(top_left, top_right, start),
        between(top_left, top_right, end),
        between(bottom_left, bottom_right, end),
        between(bottom_left, bottom_right, start),
    )
