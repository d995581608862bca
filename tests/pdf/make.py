"""PDFs of one page around an image, with everything about them that can be odd."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pikepdf
from numpy.typing import NDArray
from pikepdf import Array, Dictionary, Name, Stream


def noise(height: int, width: int, channels: int = 1, seed: int = 1) -> NDArray[np.uint8]:
    """Pixels no two of which can be mistaken for each other: uint8 (height, width, channels)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def scan(
    pixels: NDArray[np.uint8],
    *,
    box: tuple[float, float, float, float] = (0, 0, 300, 200),
    turn: int = 0,
    unit: float = 1.0,
    crop: tuple[float, float, float, float] | None = None,
    content: bytes = b"",
    **trailer: object,
) -> bytes:
    """A page ``box`` that ``pixels`` fill; ``content`` is drawn over it. ``trailer``: entries of the catalogue."""
    pdf = pikepdf.new()
    height, width, channels = pixels.shape
    image = Stream(
        pdf,
        zlib.compress(pixels.tobytes()),
        Type=Name.XObject,
        Subtype=Name.Image,
        Width=width,
        Height=height,
        BitsPerComponent=8,
        ColorSpace=Name.DeviceGray if channels == 1 else Name.DeviceRGB,
        Filter=Name.FlateDecode,
    )
    left, bottom, right, top = box
    draw = f"q {right - left} 0 0 {top - bottom} {left} {bottom} cm /Scan Do Q\n".encode()
    font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
    page = Dictionary(
        Type=Name.Page,
        MediaBox=Array(box),
        Resources=Dictionary(XObject=Dictionary(Scan=pdf.make_indirect(image)), Font=Dictionary(F1=font)),
        Contents=pdf.make_indirect(Stream(pdf, draw + content)),
    )
    if turn:
        page.Rotate = turn
    if unit != 1:
        page.UserUnit = unit
    if crop:
        page.CropBox = Array(crop)
    pdf.pages.append(pikepdf.Page(pdf.make_indirect(page)))
    for key, value in trailer.items():
        pdf.Root[f"/{key}"] = value
    return saved(pdf)


def saved(pdf: pikepdf.Pdf, **options: object) -> bytes:
    buffer = io.BytesIO()
    pdf.save(buffer, deterministic_id="encryption" not in options, **options)
    return buffer.getvalue()
