"""Draws what was read over the page it was read on."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageDraw

from cloister.v1 import ocr_pb2
from engines.documents import decode

_SURE = (22, 130, 60)
_UNSURE = (200, 60, 30)
_SURE_FROM = 0.8


def draw(document: bytes, pages: Iterable[ocr_pb2.Page]) -> bytes:
    """Draw the words' quads over the first page of ``document``: green where sure (0.8 and more), else red. A PNG.

    ``pages`` is what the server answered for the document. Raises `engines.documents.errors.DocumentError` where the
    document can't be read. For documents of one's own: this decodes in the calling process, outside any cell.
    """
    first = next(iter(pages), None)
    decoded = next(decode.pages(document, decode.Limits(pixels=1 << 28, pages=10_000)))
    image = Image.fromarray(np.ascontiguousarray(decoded.page.pixels))
    overlay = ImageDraw.Draw(image)
    stroke = max(1, round(max(image.size) / 1000))
    for line in first.lines if first is not None else ():
        for word in line.words:
            quad = word.quad
            corners = (quad.top_left, quad.top_right, quad.bottom_right, quad.bottom_left)
            overlay.polygon(
                [(corner.x, corner.y) for corner in corners],
                outline=_SURE if word.confidence >= _SURE_FROM else _UNSURE,
                width=stroke,
            )
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
