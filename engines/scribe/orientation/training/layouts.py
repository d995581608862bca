"""Layouts of pages: each function here fills a sheet with one kind of page, of letters ``unit`` px high."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image, ImageDraw

from engines.scribe.orientation.training.sheet import Rng, Sheet, barcode, face_of, logo, picture
from engines.scribe.orientation.training.writing import RealLines, Writer

REAL_SHARE = 0.5
"""Share of the receipts that are put together from real lines."""


def receipt(writer: Writer, rng: Rng, sheet: Sheet, unit: float) -> None:
    if writer.lines is not None and rng.random() < REAL_SHARE:
        _real_receipt(rng, sheet, writer.lines)
        return
    font = writer.font(rng, str(rng.choice(["mono", "printer", "sans", "sans"])))
    face, large = face_of(font, unit), face_of(font, unit * rng.uniform(1.2, 2.2))
    left, right = sheet.width * 0.06, sheet.width * 0.94
    pitch = unit * rng.uniform(1.2, 1.8)
    y = unit * 3
    capitals = rng.random() < 0.5
    end = sheet.height * (rng.uniform(0.3, 1) if rng.random() < 0.4 else 1)
    middle = sheet.width / 2
    for number in range(int(rng.integers(2, 7))):
        text = writer.text(rng, str(rng.choice(["heading", "contact", "code", "date"])), 3, font)
        writer.write(sheet, (middle, y), text.upper() if capitals else text, large if number == 0 else face, "ms")
        y += pitch * (1.6 if number == 0 else 1)
    while y < end - unit:
        roll = rng.random()
        if roll < 0.08:
            mark = str(rng.choice(["-", "=", "*", "_", "."])) * 60
            while face.getlength(mark) > right - left:
                mark = mark[:-2]
            writer.write(sheet, (left, y), mark, face)
        elif roll < 0.65:
            text = writer.text(rng, "receipt", 3, font)
            writer.write(sheet, (left, y), text.upper() if capitals else text, face)
            writer.write(sheet, (right, y), writer.text(rng, "numbers", 1, font)[:12], face, "rs")
        elif roll < 0.85:
            text = writer.text(rng, str(rng.choice(["contact", "date", "code", "sentence"])), 5, font)
            writer.write(sheet, (left, y), text.upper() if capitals else text, face)
        elif roll < 0.9:
            barcode(rng, sheet, (int(sheet.width * 0.2), int(y), int(sheet.width * 0.8), int(y + 4 * unit)))
            y += 4 * unit
        y += pitch


def _real_receipt(rng: Rng, sheet: Sheet, lines: RealLines) -> None:
    height = float(np.clip(sheet.width / rng.uniform(12, 26), 11, 48))
    y = rng.uniform(1, 3) * height
    end = sheet.height * (rng.uniform(0.3, 1) if rng.random() < 0.4 else 1) - height
    pitch = rng.uniform(0.9, 1.3)
    centred = rng.random() < 0.3
    while y < end:
        x = sheet.width * 0.04
        for _ in range(1 if rng.random() < 0.6 else 2):
            ink = lines.draw(rng)
            scale = height / ink.shape[0]
            size = (max(1, round(ink.shape[1] * scale)), max(1, round(height)))
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            ink = np.clip(np.asarray(cv2.resize(ink, size, interpolation=how)), 0, 1)
            if centred:
                x = max(x, (sheet.width - size[0]) / 2)
            strip = Image.fromarray((ink * 255).astype(np.uint8))
            sheet.image.paste(255, (int(x), int(y)), strip)
            sheet.words += 2
            x += size[0] + rng.uniform(0.5, 6) * height
            if x > sheet.width * 0.7:
                break
        y += height * pitch * (1 if rng.random() < 0.9 else 2)


def letter(writer: Writer, rng: Rng, sheet: Sheet, unit: float) -> None:
    font = writer.font(rng)
    face = face_of(font, unit)
    left, right = sheet.width * rng.uniform(0.07, 0.16), sheet.width * rng.uniform(0.84, 0.94)
    y = sheet.height * rng.uniform(0.03, 0.1)
    head = writer.font(rng)
    anchor, x = (("ms", sheet.width / 2), ("ls", left), ("rs", right))[int(rng.integers(3))]
    big = face_of(head, unit * rng.uniform(1.3, 2.8))
    writer.write(sheet, (x, y), writer.text(rng, "heading", 2, head), big, anchor)
    if rng.random() < 0.3:
        logo(rng, sheet, unit)
    y += unit * 2
    for _ in range(int(rng.integers(0, 4))):
        writer.write(sheet, (x, y), writer.text(rng, "contact", 3, font), face, anchor)
        y += unit * 1.3
    y += unit * rng.uniform(1, 5)
    for _ in range(int(rng.integers(0, 6))):
        writer.write(sheet, (left, y), writer.text(rng, str(rng.choice(["contact", "heading"])), 3, font), face)
        y += unit * 1.3
    if rng.random() < 0.7:
        writer.write(sheet, (right, y), writer.text(rng, "date", 1, font), face, "rs")
    y += unit * 2
    end = sheet.height * (rng.uniform(0.35, 0.7) if rng.random() < 0.4 else 0.93)
    while y < end:
        kind = int(rng.integers(2, 9))
        y = writer.paragraph(rng, sheet, (left, y, right, end), font, unit, kind) + unit * rng.uniform(0, 1.2)
    if rng.random() < 0.5:
        writer.write(sheet, (left, y + unit * 3), writer.text(rng, "heading", 2, font), face)


def book(writer: Writer, rng: Rng, sheet: Sheet, unit: float) -> None:
    font = writer.font(rng, "serif" if rng.random() < 0.8 else None)
    left, right = sheet.width * rng.uniform(0.05, 0.16), sheet.width * rng.uniform(0.84, 0.95)
    face = face_of(font, unit)
    writer.write(sheet, (left, sheet.height * 0.05), str(int(rng.integers(1, 900))), face)
    writer.write(sheet, (right, sheet.height * 0.05), writer.text(rng, "heading", 3, font).upper(), face, "rs")
    y = sheet.height * (0.07 if rng.random() < 0.8 else rng.uniform(0.15, 0.4))
    end = sheet.height * (0.95 if rng.random() < 0.8 else rng.uniform(0.3, 0.9))
    while y < end:
        y = writer.paragraph(rng, sheet, (left, y, right, end), font, unit, int(rng.integers(3, 16)))


def columns(writer: Writer, rng: Rng, sheet: Sheet, unit: float) -> None:
    font, head = writer.font(rng), writer.font(rng)
    count = int(rng.integers(2, 5))
    y = sheet.height * rng.uniform(0.03, 0.08)
    big = face_of(head, unit * rng.uniform(1.8, 4))
    writer.write(sheet, (sheet.width * 0.05, y + 2 * unit), writer.text(rng, "heading", 4, head), big)
    y += 4 * unit
    pitch = sheet.width * 0.92 / count
    for number in range(count):
        x = sheet.width * 0.04 + number * pitch
        top = y
        end = sheet.height * rng.uniform(0.5, 0.97)
        while top < end:
            if rng.random() < 0.12:
                picture(rng, sheet, (int(x), int(top), int(x + pitch * 0.92), int(top + pitch * 0.6)))
                top += pitch * 0.65
            most = int(rng.integers(2, 14))
            top = writer.paragraph(rng, sheet, (x, top, x + pitch * 0.92, end), font, unit, most)


def table(writer: Writer, rng: Rng, sheet: Sheet, unit: float) -> None:
    font = writer.font(rng)
    face = face_of(font, unit)
    left, right = sheet.width * 0.05, sheet.width * 0.95
    y = sheet.height * rng.uniform(0.03, 0.15)
    writer.write(sheet, (left, y), writer.text(rng, "heading", 5, font), face_of(font, unit * 1.5))
    y += 2 * unit
    count = int(rng.integers(3, 8))
    edges = np.sort(np.concatenate([[left, right], rng.uniform(left + 3 * unit, right, count - 1)]))
    rules = rng.random()
    pitch = unit * rng.uniform(1.3, 2.4)
    upright_heads = rng.random() < 0.12
    if upright_heads:  # column heads that stand on end
        for x in edges[:-1]:
            strip = Image.new("L", (int(6 * unit), int(1.4 * unit)), 0)
            words = writer.text(rng, "heading", 1, font)
            ImageDraw.Draw(strip).text((0, unit), words, fill=255, font=face, anchor="ls")
            sheet.image.paste(255, (int(x), int(y)), strip.rotate(90, expand=True))
        y += 6.5 * unit
    end = sheet.height * (0.95 if rng.random() < 0.6 else rng.uniform(0.35, 0.9))
    kinds = [str(rng.choice(["numbers", "numbers", "date", "code", "single", "sentence"])) for _ in edges[1:]]
    top = y
    numeric = rng.random() < 0.5
    while y < end - pitch:
        for number, (x, after, kind) in enumerate(zip(edges[:-1], edges[1:], kinds, strict=True)):
            if after - x < 1.5 * unit or rng.random() < 0.1:
                continue
            what = "sentence" if number == 0 else ("numbers" if numeric else kind)
            text = writer.text(rng, what, 2, font)
            while text and face.getlength(text) > after - x - unit:
                text = text[: -max(1, len(text) // 6)].rstrip()
            if not text:
                continue
            if number and what == "numbers":
                writer.write(sheet, (after - 0.4 * unit, y + pitch * 0.7), text, face, "rs")
            else:
                writer.write(sheet, (x + 0.4 * unit, y + pitch * 0.7), text, face)
        y += pitch
        if rules < 0.5:
            sheet.draw.line((left, y, right, y), fill=220, width=max(1, int(unit / 14)))
    if rules < 0.3:
        for x in edges:
            sheet.draw.line((x, top, x, y), fill=220, width=max(1, int(unit / 14)))


def form(writer: Writer, rng: Rng, sheet: Sheet, unit: float) -> None:
    labels, filled = writer.font(rng, "sans" if rng.random() < 0.7 else None), writer.font(rng)
    small, face = face_of(labels, unit * rng.uniform(0.7, 1)), face_of(filled, unit * rng.uniform(0.9, 1.3))
    left, right = sheet.width * 0.05, sheet.width * 0.95
    y = sheet.height * 0.06
    title = writer.text(rng, "heading", 4, labels)
    writer.write(sheet, (left, y), title.upper(), face_of(labels, unit * rng.uniform(1.2, 2)))
    y += 2 * unit
    boxed = rng.random() < 0.5
    end = sheet.height * (0.95 if rng.random() < 0.7 else rng.uniform(0.4, 0.9))
    while y < end:
        cells = int(rng.integers(1, 4))
        high = unit * rng.uniform(2, 3.5)
        for number in range(cells):
            x, after = left + (right - left) * number / cells, left + (right - left) * (number + 1) / cells
            if boxed:
                sheet.draw.rectangle((x, y, after, y + high), outline=230, width=max(1, int(unit / 12)))
            label = writer.text(rng, "heading", 2, labels)
            writer.write(sheet, (x + unit * 0.3, y + unit), label, small)
            if rng.random() < 0.6:
                kind = str(rng.choice(["contact", "date", "code", "numbers", "heading"]))
                writer.write(sheet, (x + unit * 0.5, y + high - unit * 0.2), writer.text(rng, kind, 2, filled), face)
            elif rng.random() < 0.3:
                sheet.draw.rectangle((x + unit, y + unit * 1.3, x + 2 * unit, y + unit * 2.3), outline=255)
            if not boxed:
                sheet.draw.line((x, y + high, after - unit, y + high), fill=200, width=1)
        y += high + unit * rng.uniform(0, 1)
        if rng.random() < 0.1:
            y = writer.paragraph(rng, sheet, (left, y, right, end), labels, unit * 0.8, 3) + unit


def slide(writer: Writer, rng: Rng, sheet: Sheet, unit: float) -> None:
    font = writer.font(rng)
    y = sheet.height * rng.uniform(0.1, 0.25)
    left = sheet.width * rng.uniform(0.05, 0.2)
    big = face_of(font, unit * rng.uniform(1.4, 2.2))
    writer.write(sheet, (left, y), writer.text(rng, "heading", 4, font), big)
    y += 3 * unit
    while y < sheet.height * rng.uniform(0.5, 0.95):
        writer.write(sheet, (left, y), writer.text(rng, "item", 5, font), face_of(font, unit))
        y += unit * rng.uniform(1.4, 2.2)
    if rng.random() < 0.5:
        side = int(min(sheet.width, sheet.height) * 0.35)
        box = (int(sheet.width * 0.6), int(sheet.height * 0.55), int(sheet.width * 0.6) + side, 0)
        picture(rng, sheet, (*box[:3], min(sheet.height - 4, box[1] + side)))


def chart(writer: Writer, rng: Rng, sheet: Sheet, unit: float) -> None:
    font = writer.font(rng, "sans" if rng.random() < 0.7 else None)
    face = face_of(font, unit)
    left, right = sheet.width * 0.15, sheet.width * 0.92
    top, bottom = sheet.height * 0.15, sheet.height * rng.uniform(0.5, 0.8)
    title = writer.text(rng, "heading", 5, font)
    writer.write(sheet, (sheet.width / 2, top - unit), title, face_of(font, unit * 1.4), "ms")
    sheet.draw.line((left, top, left, bottom, right, bottom), fill=255, width=2)
    bars = int(rng.integers(4, 12))
    for number in range(bars):
        x = left + (right - left) * (number + 0.2) / bars
        after = x + (right - left) * 0.6 / bars
        high = bottom - (bottom - top) * float(rng.uniform(0.1, 0.95))
        sheet.draw.rectangle((x, high, after, bottom), fill=int(rng.integers(60, 255)))
        label = writer.text(rng, str(rng.choice(["single", "numbers"])), 1, font)[:6]
        writer.write(sheet, (x, bottom + 1.4 * unit), label, face)
        tick = bottom - (bottom - top) * number / bars
        writer.write(sheet, (left - unit * 0.5, tick), str(number * 10), face, "rs")
    if rng.random() < 0.5:
        writer.paragraph(
            rng, sheet, (left, bottom + 3 * unit, right, sheet.height * 0.95), font, unit, int(rng.integers(2, 9))
        )


def sparse(writer: Writer, rng: Rng, sheet: Sheet, unit: float) -> None:
    """A page with a few lines somewhere: titles, labels, notes."""
    font = writer.font(rng)
    y = sheet.height * rng.uniform(0.05, 0.7)
    x = sheet.width * rng.uniform(0.05, 0.4)
    for _ in range(int(rng.integers(2, 7))):
        kind = str(rng.choice(["sentence", "heading", "contact", "code", "date", "numbers"]))
        writer.write(sheet, (x, y), writer.text(rng, kind, 4, font), face_of(font, unit * rng.uniform(0.8, 1.5)))
        y += 1.8 * unit
    if rng.random() < 0.4:
        left, top = int(sheet.width * rng.uniform(0, 0.5)), int(sheet.height * rng.uniform(0, 0.5))
        right, bottom = left + int(sheet.width * 0.4), top + int(sheet.height * 0.3)
        if bottom < y - 12 * unit or top > y:
            picture(rng, sheet, (left, top, right, bottom))


Layout = Callable[[Writer, Rng, Sheet, float], None]

LAYOUTS: dict[str, tuple[float, Layout]] = {
    "receipt": (0.24, receipt),
    "letter": (0.15, letter),
    "book": (0.1, book),
    "columns": (0.09, columns),
    "table": (0.13, table),
    "form": (0.12, form),
    "slide": (0.05, slide),
    "chart": (0.05, chart),
    "sparse": (0.07, sparse),
}
"""Each with its share of the pages."""
