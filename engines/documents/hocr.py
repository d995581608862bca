"""What was read, as hOCR 1.2 (http://kba.github.io/hocr-spec/1.2/): XHTML with boxes in its titles."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from cloister.v1 import ocr_pb2
from engines.documents.markup import escaped
from engines.documents.upright import Box

_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
<head>
<title></title>
<meta http-equiv="Content-Type" content="text/html;charset=utf-8"/>
<meta name="ocr-system" content="{system}"/>
<meta name="ocr-capabilities" content="ocr_page ocr_carea ocr_par ocr_line ocrx_word"/>
</head>
<body>
"""


def render(pages: Iterable[ocr_pb2.Page], system: str) -> str:
    """The whole file. ``system`` names what read the document, and its version."""
    lines = (line for page in pages for line in _page(page))
    return _HEAD.format(system=escaped(system)) + "\n".join((*lines, "</body>", "</html>", ""))


def _page(page: ocr_pb2.Page) -> Iterator[str]:
    number = page.number
    whole = f"bbox 0 0 {page.width} {page.height}; ppageno {number - 1}"
    resolution = f"; scan_res {page.dpi:.0f} {page.dpi:.0f}" if page.dpi else ""
    yield f'<div class="ocr_page" id="page_{number}" title="{whole}{resolution}">'
    if page.lines:
        text = _bbox(Box.around((line.quad for line in page.lines), page))
        yield f'<div class="ocr_carea" id="block_{number}_1" title="{text}">'
        yield f'<p class="ocr_par" id="par_{number}_1" title="{text}">'
        for index, line in enumerate(page.lines, 1):
            yield from _line(line, page, f"{number}_{index}")
        yield "</p>"
        yield "</div>"
    yield "</div>"


def _line(line: ocr_pb2.Line, page: ocr_pb2.Page, place: str) -> Iterator[str]:
    box = Box.around([line.quad], page)
    yield f'<span class="ocr_line" id="line_{place}" title="{_bbox(box)}{_baseline(line, box)}">'
    last = len(line.words)
    for index, word in enumerate(line.words, 1):
        title = f"{_bbox(Box.around([word.quad], page))}; x_wconf {100 * word.confidence:.0f}"
        end = "" if index == last else " "
        text = escaped(word.text)
        yield f'<span class="ocrx_word" id="word_{place}_{index}" title="{title}">{text}</span>{end}'
    yield "</span>"


def _bbox(box: Box) -> str:
    return f"bbox {box.left} {box.top} {box.right} {box.bottom}"


def _baseline(line: ocr_pb2.Line, box: Box) -> str:
    """Slope and offset of the line's lower edge from the box's bottom left corner; the turn of lines that stand."""
    left, right = line.quad.bottom_left, line.quad.bottom_right
    across, down = right.x - left.x, right.y - left.y
    if across < abs(down):
        return f"; textangle {math.degrees(math.atan2(-down, across)) % 360:.1f}"
    slope = down / across if across else 0.0
    offset = left.y - slope * (left.x - box.left) - box.bottom
    return f"; baseline {slope:.4f} {offset:.1f}"
