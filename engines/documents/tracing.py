"""Draws how a page was read over it: windows, and what was decided about them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cloister.v1 import ocr_pb2
from engines.documents import decode

Colour = tuple[int, int, int]
Points = list[tuple[float, float]]

_PALER = 0.45
"""How far the page is blended into white, so that what is drawn stands out."""
_LEAST_PX = 1400
"""Smaller pages are enlarged to this width or height, whichever is more: marks are lines a few px wide."""
_MOST_SCALE = 4
_WINDOW: Colour = (70, 110, 190)
_EMPTY: Colour = (170, 170, 180)


@dataclass(frozen=True, slots=True)
class _Style:
    """How an act is drawn: its colour, what the legend says of it, and whether its text is written beside it."""

    colour: Colour
    meaning: str
    told: bool = False


_STYLES = {
    ocr_pb2.Decision.ACT_CUT: _Style((0, 150, 190), "cut between windows"),
    ocr_pb2.Decision.ACT_STITCH: _Style((120, 170, 235), "overlap, read twice and taken once"),
    ocr_pb2.Decision.ACT_JOIN: _Style((20, 140, 60), "joined: one word"),
    ocr_pb2.Decision.ACT_SPLIT: _Style((235, 125, 0), "split at a gap without a space"),
    ocr_pb2.Decision.ACT_REPAIR: _Style((140, 40, 170), "repaired: was > is", told=True),
    ocr_pb2.Decision.ACT_DROP: _Style((205, 25, 40), "dropped as noise", told=True),
}
_WIDE = frozenset({ocr_pb2.Decision.ACT_STITCH, ocr_pb2.Decision.ACT_SPLIT})
"""Acts about a place that has a width: filled, below the lines of the others."""
_OVERHANG = 0.2
"""Cuts stand out above and below their line by so much of its height."""


def draw(document: bytes, page: ocr_pb2.Page) -> bytes:
    """Draw the trace of ``page``, the first of ``document``, over it, with a legend below. A PNG.

    Raises `engines.documents.errors.DocumentError` where the document can't be read. For documents of one's own: this
    decodes in the calling process, outside any cell.
    """
    decoded = next(decode.pages(document, decode.Limits(pixels=1 << 28, pages=10_000)))
    image = Image.fromarray(np.ascontiguousarray(decoded.page.pixels)).convert("RGB")
    scale = min(_MOST_SCALE, max(1, round(_LEAST_PX / max(image.size))))
    image = image.resize((image.width * scale, image.height * scale), Image.Resampling.BICUBIC)
    image = Image.blend(image, Image.new("RGB", image.size, "white"), _PALER)
    overlay = ImageDraw.Draw(image, "RGBA")
    stroke = max(2, round(max(image.size) / 900))
    font = ImageFont.load_default(max(11, round(max(image.size) / 110)))
    for window in page.trace.windows:
        overlay.polygon(_corners(window.quad, scale), outline=_WINDOW if window.text else _EMPTY, width=stroke // 2)
    for decision in sorted(page.trace.decisions, key=lambda decision: decision.act not in _WIDE):
        _draw_decision(overlay, decision, scale, stroke)
    for decision in page.trace.decisions:  # above all lines
        if _STYLES[decision.act].told:
            _write(overlay, decision, scale, font)
    buffer = io.BytesIO()
    _with_legend(image, page.trace).save(buffer, "PNG")
    return buffer.getvalue()


def _draw_decision(overlay: ImageDraw.ImageDraw, decision: ocr_pb2.Decision, scale: int, stroke: int) -> None:
    style = _STYLES[decision.act]
    corners = _corners(decision.quad, scale)
    if style.told:
        overlay.polygon(corners, fill=(*style.colour, 40), outline=style.colour, width=stroke)
    elif decision.act in _WIDE:
        overlay.polygon(corners, fill=(*style.colour, 110))
    else:
        (x, top), (x_below, bottom) = _middle(corners[0], corners[1]), _middle(corners[2], corners[3])
        over = _OVERHANG if decision.act == ocr_pb2.Decision.ACT_CUT else 0
        across, down = (x_below - x) * over, (bottom - top) * over
        overlay.line([(x - across, top - down), (x_below + across, bottom + down)], style.colour, stroke)


def _write(
    overlay: ImageDraw.ImageDraw,
    decision: ocr_pb2.Decision,
    scale: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    style = _STYLES[decision.act]
    text = decision.text.replace(" ", " > ") if decision.act == ocr_pb2.Decision.ACT_REPAIR else decision.text
    left, bottom = _corners(decision.quad, scale)[3]
    overlay.rectangle(overlay.textbbox((left, bottom), text, font), fill=(255, 255, 255, 220))
    overlay.text((left, bottom), text, style.colour, font)


def _with_legend(image: Image.Image, trace: ocr_pb2.Trace) -> Image.Image:
    """The image with a band below it: a swatch, a meaning and a count for each kind."""
    size = max(12, round(image.width / 75))
    font = ImageFont.load_default(size)
    entries = list(_entries(trace))
    columns = max(1, image.width // (26 * size))
    rows = -(-len(entries) // columns)
    out = Image.new("RGB", (image.width, image.height + (2 * rows + 1) * size), "white")
    out.paste(image, (0, 0))
    pen = ImageDraw.Draw(out)
    for number, (colour, meaning) in enumerate(entries):
        x = size + (number % columns) * (out.width // columns)
        y = image.height + size + (number // columns) * 2 * size
        pen.rectangle((x, y + size // 8, x + size, y + size), fill=colour)
        pen.text((x + 1.6 * size, y), meaning, (30, 30, 30), font)
    return out


def _entries(trace: ocr_pb2.Trace) -> Iterator[tuple[Colour, str]]:
    empty = sum(not window.text for window in trace.windows)
    yield _WINDOW, f"window with text: {len(trace.windows) - empty}"
    yield _EMPTY, f"window without: {empty}"
    for act, style in _STYLES.items():
        yield style.colour, f"{style.meaning}: {sum(decision.act == act for decision in trace.decisions)}"
    if trace.cut_short:
        yield (0, 0, 0), "the trace was too long: the rest is not shown"


def _corners(quad: ocr_pb2.Quad, scale: int) -> Points:
    corners = (quad.top_left, quad.top_right, quad.bottom_right, quad.bottom_left)
    return [(corner.x * scale, corner.y * scale) for corner in corners]


def _middle(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
