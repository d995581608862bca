"""Draws the demo's documents as scanners and phones would deliver them. ``python -m deploy.demo.draw`` makes them anew.

Needs the fonts of Debian's ``fonts-liberation`` and ``fonts-dejavu-core``. Names and numbers in them are invented.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

FOLDER = Path(__file__).parent / "pages"
_FONTS = Path("/usr/share/fonts/truetype")
_SERIF = _FONTS / "liberation/LiberationSerif-Regular.ttf"
_SANS = _FONTS / "liberation/LiberationSans-Regular.ttf"
_BOLD = _FONTS / "liberation/LiberationSans-Bold.ttf"
_MONO = _FONTS / "dejavu/DejaVuSansMono.ttf"
_MONO_BOLD = _FONTS / "dejavu/DejaVuSansMono-Bold.ttf"

_RECEIPT = """\
     HARBOUR STREET BAKERY
    14 Harbour Street, Newport
        Tel. 0555 014 277
      VAT No: GB 555 0142 99
--------------------------------
Receipt #004817   14/03/2026
Cashier: Maria        08:42:17
--------------------------------
Sourdough loaf 800g         4.20
2 x Butter croissant        5.00
Cinnamon bun                2.75
Flat white                  3.40
Orange juice 250ml          2.95
Discount 10%               -1.83
--------------------------------
SUBTOTAL                   16.47
VAT 20%                     2.75
TOTAL GBP                  16.47
--------------------------------
Visa **** **** **** 4417
Auth code 093325
   Thank you, see you again!
"""

_LETTER = (
    """\
Brindle & Frost Ltd.
Surveyors and Valuers
22 Canal Walk, Ashby-on-Wold

3 February 2026

Mrs. Eleanor Whitcombe
Old Mill House
Nether Poppleton

Dear Mrs. Whitcombe,

Thank you for your letter of 28 January. We have now
completed our inspection of the property known as Old
Mill House, and I am pleased to enclose our report.

The roof was re-slated in 1998 and remains in fair
condition, although several slates on the north side
have slipped and ought to be replaced before winter.
The walls are of local sandstone, some 450 mm thick,
and show no signs of movement. We found a little damp
(readings of 18-22%) beneath the kitchen window.

In our opinion the current market value, with vacant
possession, is £385,000 (three hundred and eighty-five
thousand pounds).
""",
    """\
Page 2

For insurance purposes we recommend that the building
be covered for at least £412,500, which allows for the
cost of clearing the site and for professional fees.

Our account for £640.00 plus VAT is attached; payment
within 30 days would be appreciated. Should you have
any questions, please telephone me on 0555 019 3340 or
write to j.frost@brindle-frost.example.

Yours sincerely,


Jonathan Frost, MRICS
Senior Partner
""",
)

_INVOICE_ROWS = (
    ("Description", "Qty", "Unit price", "Amount"),
    ("Steel bracket, 40 x 40 mm", "120", "1.85", "222.00"),
    ("Hex bolt M8 x 25, zinc", "1,000", "0.12", "120.00"),
    ("Aluminium profile 2.5 m", "36", "14.90", "536.40"),
    ("Rubber grommet 12 mm", "250", "0.09", "22.50"),
    ("Packing and carriage", "1", "38.00", "38.00"),
)


def receipt() -> Image.Image:
    """A till receipt, photographed at an angle on a wooden table, half in shadow."""
    rng = np.random.default_rng(7)
    paper = Image.new("L", (640, 900), 238)
    draw = ImageDraw.Draw(paper)
    for number, line in enumerate(_RECEIPT.splitlines()):
        font = ImageFont.truetype(_MONO_BOLD if line.startswith(("TOTAL", "     HARB")) else _MONO, 27)
        draw.text((52, 50 + number * 36), line, font=font, fill=52)
    table = _wood(rng, 1250, 1000)
    corners = np.float32([[212, 118], [822, 160], [790, 1112], [168, 1068]])  # type: ignore[arg-type]
    source = np.float32([[0, 0], [640, 0], [640, 900], [0, 900]])  # type: ignore[arg-type]
    matrix = cv2.getPerspectiveTransform(source, corners)
    size = (table.shape[1], table.shape[0])
    sheet = cv2.warpPerspective(np.asarray(paper), matrix, size, flags=cv2.INTER_AREA)
    mask = cv2.warpPerspective(np.full((900, 640), 255, np.uint8), matrix, size)[:, :, None] / 255.0
    photo = table * (1 - mask) + (sheet[:, :, None] * np.array([1.0, 0.985, 0.95])) * mask
    x = np.linspace(-1, 1, size[0])[None, :, None]
    photo *= 0.84 - 0.2 * np.tanh(4 * (x - 0.35))
    photo = cv2.GaussianBlur(photo, (0, 0), 0.8) + rng.normal(0, 4, photo.shape)
    return Image.fromarray(np.clip(photo, 0, 255).astype(np.uint8))


def letter() -> list[Image.Image]:
    """A letter of two pages, scanned a little askew at 200 dpi in black and white, with dust."""
    rng = np.random.default_rng(8)
    pages = []
    for number, text in enumerate(_LETTER):
        sheet = Image.new("L", (1654, 2339), 255)
        draw = ImageDraw.Draw(sheet)
        font = ImageFont.truetype(_SERIF, 46)
        for row, line in enumerate(text.splitlines()):
            draw.text((230, 210 + row * 66), line, font=font, fill=0)
        grey = np.asarray(sheet.rotate(0.7 - 1.2 * number, Image.Resampling.BICUBIC, fillcolor=255), np.float32)
        grey = cv2.GaussianBlur(grey, (0, 0), 0.9) + rng.normal(0, 16, grey.shape)
        bitonal = grey > 138
        for y, x in rng.integers((0, 0), bitonal.shape, (60, 2)):
            bitonal[y : y + 2, x : x + 2] = False
        pages.append(Image.fromarray(bitonal))
    return pages


def invoice() -> Image.Image:
    """An invoice with a table and a heading in white on blue, scanned at 150 dpi."""
    rng = np.random.default_rng(9)
    sheet = Image.new("RGB", (1240, 1400), (252, 252, 250))
    draw = ImageDraw.Draw(sheet)

    def font(path: Path, size: int) -> ImageFont.FreeTypeFont:
        return ImageFont.truetype(path, size)

    draw.rectangle((0, 0, 1240, 150), fill=(28, 62, 110))
    draw.text((90, 46), "NORTHGATE FASTENERS GMBH", font=font(_BOLD, 44), fill=(255, 255, 255))
    draw.text((90, 210), "Invoice No. 2026-00387", font=font(_BOLD, 34), fill=(20, 20, 20))
    details = ("Date: 12 January 2026", "Customer: Wexford Marine Ltd.", "Order ref: WM/7741-B", "Due: 11.02.2026")
    for row, line in enumerate(details):
        draw.text((90, 280 + 40 * row), line, font=font(_SANS, 26), fill=(30, 30, 30))
    columns = (90, 640, 790, 980)
    for row, cells in enumerate(_INVOICE_ROWS):
        y = 500 + 62 * row
        draw.line((80, y - 14, 1160, y - 14), fill=(90, 90, 90), width=2)
        for x, cell in zip(columns, cells, strict=True):
            draw.text((x, y), cell, font=font(_SANS if row else _BOLD, 26), fill=(25, 25, 25))
    bottom = 500 + 62 * len(_INVOICE_ROWS)
    for x in (80, 625, 775, 965, 1160):
        draw.line((x, 486, x, bottom - 14), fill=(90, 90, 90), width=2)
    draw.line((80, bottom - 14, 1160, bottom - 14), fill=(90, 90, 90), width=2)
    for row, (name, amount) in enumerate((("Net", "938.90"), ("VAT 19%", "178.39"), ("Total EUR", "1,117.29"))):
        draw.text((790, bottom + 20 + 46 * row), name, font=font(_BOLD, 28), fill=(20, 20, 20))
        draw.text((980, bottom + 20 + 46 * row), amount, font=font(_BOLD, 28), fill=(20, 20, 20))
    footer = "IBAN DE02 1203 0000 0000 2020 51 · payable within 30 days · info@northgate.example"
    draw.text((90, 1300), footer, font=font(_SANS, 22), fill=(90, 90, 90))
    scan = cv2.GaussianBlur(np.asarray(sheet).astype(np.float32), (0, 0), 0.7)
    scan += rng.normal(0, 5, scan.shape)
    return Image.fromarray(np.clip(scan, 0, 255).astype(np.uint8))


def _wood(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float64]:
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    warp = cv2.GaussianBlur(rng.normal(0, 1, (height, width)), (0, 0), 60) * 900
    rings = np.sin((x + warp) / 9) * 12 + np.sin((x + warp) / 2.3 + y / 90) * 5
    return np.clip(np.array([120.0, 84.0, 52.0]) + rings[:, :, None], 0, 255)


def main() -> None:
    """Write the documents into ``deploy/demo/pages``."""
    FOLDER.mkdir(exist_ok=True)
    receipt().save(FOLDER / "receipt-photo.jpg", quality=82, dpi=(96, 96))
    first, *rest = letter()
    first.save(FOLDER / "letter-fax.tif", compression="group4", save_all=True, append_images=rest, dpi=(200, 200))
    invoice().save(FOLDER / "invoice-scan.jpg", quality=80, dpi=(150, 150))


if __name__ == "__main__":
    main()
