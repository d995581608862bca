"""Pages drawn here: what a zygote warms up on, what a cell rehearses on, and what tests read."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from engines.api import Pixels

RECEIPT_LINES = (
    "Corner Grocery",
    "17 Harbour Street",
    "Tel 555 0142",
    "Receipt No 20417",
    "Date 14.03.2026  18:42",
    "Oat Milk 1L           2.49",
    "Rye Bread             3.20",
    "2 x Lemons            1.10",
    "Dark Chocolate        2.95",
    "Olive Oil 500ml       8.75",
    "Subtotal             18.49",
    "VAT 7%                1.29",
    "Total                19.78",
    "Thank you for shopping here",
)


def receipt(height: int = 1000, width: int = 640, *, text_px: int = 26) -> Pixels:
    """Draw a receipt in black on white: uint8 (height, width, 3). The font comes with Pillow."""
    image = Image.new("L", (width, height), 250)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(text_px)
    for number, line in enumerate(RECEIPT_LINES):
        draw.text((width // 10, height // 20 + number * text_px * 2), line, font=font, fill=20)
    draw.line((width // 10, height // 2, width * 9 // 10, height // 2), fill=60, width=2)
    return np.repeat(np.asarray(image)[:, :, None], 3, axis=2)


def letter(height: int = 1400, width: int = 1000, *, text_px: int = 22) -> Pixels:
    """Draw a page full of long and short lines, uint8 (height, width, 3): a document's usual amount of work.

    Its lower two thirds are smeared, as an engine may take a second look at what is hard to read."""
    image = Image.new("L", (width, height), 245)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(text_px)
    words = " ".join(RECEIPT_LINES).split()
    for number, top in enumerate(range(text_px, height - 2 * text_px, 2 * text_px)):
        count = (2, 9, 5, 1, 7, 3, 9)[number % 7]
        line = " ".join(words[(number * 5 + i) % len(words)] for i in range(count))
        draw.text((text_px * 2, top), line, font=font, fill=30)
    lower = (0, height // 3, width, height)
    image.paste(image.crop(lower).filter(ImageFilter.GaussianBlur(text_px / 9)), lower)
    return np.repeat(np.asarray(image)[:, :, None], 3, axis=2)
