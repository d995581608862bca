"""Draws two readings of a document over its pages; a job for a cell, since documents are parsed nowhere else."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from engines.documents import specimen
from engines.documents.decode import Limits
from engines.documents.document import Existing, PdfOptions, open_document
from engines.documents.errors import DocumentError
from engines.documents.marks import Mark, Side, header, told

_LIMITS = Limits(pixels=1 << 28, pages=10_000)
_SMALLEST_TEXT_PX = 11
_TEXT_SIZES_PX = (11, 16, 24, 36)


# The colours of `server.report.plots`, and a quiet one for what is alike.
_COLOURS = {Side.BOTH: (150, 190, 160), Side.CONTROL: (40, 80, 170), Side.CANDIDATE: (217, 105, 10)}


class DrawJob:
    """Answers with a PNG of one page with its marks. Fulfils the jail's ``Job``, without knowing the jail.

    Where the document can't be read, or has no such page, there is no answer.
    """

    def __init__(self) -> None:
        self._fonts = {size: ImageFont.load_default(size) for size in _TEXT_SIZES_PX}

    def load(self) -> None:
        """Draw on every format once, so that no cell meets a first time."""
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        image = Image.fromarray(specimen.receipt(100, 200))
        marks = header(1, [Mark((5, 40, 60, 40, 60, 60, 5, 60), side, "Wörd €") for side in Side])
        files = []
        for variant, format_ in (
            (image, "PNG"),
            (image, "JPEG"),
            (image, "WEBP"),
            (image, "BMP"),
            (image.convert("1"), "TIFF"),
        ):
            buffer = io.BytesIO()
            variant.save(buffer, format_, **({"compression": "group4"} if format_ == "TIFF" else {}))
            files.append(buffer.getvalue())
        with_pdf = open_document(files[0], _LIMITS, PdfOptions(write=True))
        list(with_pdf.leaves())
        for body in (*files, with_pdf.pdf({}), b"not an image"):
            self.run(marks, memoryview(body), lambda _: None)

    def rehearse(self) -> None:
        """One document is drawn at a time, and waited for: there is nothing to hide."""

    def run(self, header: bytes, body: memoryview, reply: Callable[[bytes], None]) -> None:
        page, marks = told(header)
        try:
            document = open_document(bytes(body), _LIMITS, PdfOptions(existing=Existing.REDO))
            for leaf in document.leaves():
                if leaf.number == page and leaf.page is not None:
                    reply(self._drawn(leaf.page.pixels, marks))
                    return
        except DocumentError:
            return  # as if there were no such page: that there is no answer says so

    def _drawn(self, pixels: np.ndarray, marks: Sequence[Mark]) -> bytes:
        image = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
        # What differs stands out of a page that is paler than it was.
        image = Image.blend(image, Image.new("RGB", image.size, "white"), 0.35)
        overlay = ImageDraw.Draw(image)
        stroke = max(1, round(max(image.size) / 1000))
        for mark in sorted(marks, key=lambda mark: mark.side != Side.BOTH):
            colour = _COLOURS[mark.side]
            corners = list(zip(mark.quad[::2], mark.quad[1::2], strict=True))
            grown = stroke if mark.side == Side.CANDIDATE else 0
            left, top = min(x for x, _ in corners) - grown, min(y for _, y in corners) - grown
            right, bottom = max(x for x, _ in corners) + grown, max(y for _, y in corners) + grown
            if right < left or bottom < top:
                continue
            overlay.rectangle((left, top, right, bottom), outline=colour, width=stroke)
            if mark.text:
                self._write(overlay, mark, colour, (left, top, right, bottom))
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return buffer.getvalue()

    def _write(
        self,
        overlay: ImageDraw.ImageDraw,
        mark: Mark,
        colour: tuple[int, int, int],
        box: tuple[float, float, float, float],
    ) -> None:
        """What was read there: the control's above, the candidate's below."""
        left, top, _, bottom = box
        wanted = max(_SMALLEST_TEXT_PX, 0.6 * (bottom - top))
        size = max(size for size in _TEXT_SIZES_PX if size <= wanted)
        y = top - 1.2 * size if mark.side == Side.CONTROL else bottom + 0.1 * size
        font = self._fonts[size]
        overlay.rectangle(overlay.textbbox((left, y), mark.text, font), fill="white")
        overlay.text((left, y), mark.text, colour, font)
