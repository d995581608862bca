"""What was read, as ALTO 4 (https://www.loc.gov/standards/alto/v4/): XML of boxes in px."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from cloister.v1 import ocr_pb2
from engines.documents.markup import escaped
from engines.documents.upright import Box

_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xsi:schemaLocation="http://www.loc.gov/standards/alto/ns-v4# https://www.loc.gov/standards/alto/v4/alto-4-3.xsd" \
SCHEMAVERSION="4.3">
<Description>
<MeasurementUnit>pixel</MeasurementUnit>
<Processing ID="reading">
<processingCategory>contentGeneration</processingCategory>
<processingSoftware><softwareName>{name}</softwareName><softwareVersion>{version}</softwareVersion></processingSoftware>
</Processing>
</Description>
<Layout>
"""


def render(pages: Iterable[ocr_pb2.Page], name: str, version: str) -> str:
    """The whole file. ``name`` and ``version`` are those of what read the document."""
    lines = (line for page in pages for line in _page(page))
    head = _HEAD.format(name=escaped(name), version=escaped(version))
    return head + "\n".join((*lines, "</Layout>", "</alto>", ""))


def _page(page: ocr_pb2.Page) -> Iterator[str]:
    number = page.number
    whole = Box(0, 0, page.width, page.height)
    yield f'<Page ID="page_{number}" PHYSICAL_IMG_NR="{number}" WIDTH="{page.width}" HEIGHT="{page.height}">'
    yield f"<PrintSpace {_place(whole)}>"
    if page.lines:
        yield f'<TextBlock ID="block_{number}" {_place(Box.around((line.quad for line in page.lines), page))}>'
        for index, line in enumerate(page.lines, 1):
            yield from _line(line, page, f"{number}_{index}")
        yield "</TextBlock>"
    yield "</PrintSpace>"
    yield "</Page>"


def _line(line: ocr_pb2.Line, page: ocr_pb2.Page, place: str) -> Iterator[str]:
    left, right = line.quad.bottom_left, line.quad.bottom_right
    baseline = f"{left.x:.1f},{left.y:.1f} {right.x:.1f},{right.y:.1f}"
    yield f'<TextLine ID="line_{place}" BASELINE="{baseline}" {_place(Box.around([line.quad], page))}>'
    boxes = [Box.around([word.quad], page) for word in line.words]
    for index, word in enumerate(line.words):
        if index:
            yield _space(boxes, index)
        yield (
            f'<String ID="word_{place}_{index + 1}" {_place(boxes[index])} WC="{word.confidence:.3f}"'
            f' CONTENT="{escaped(word.text)}"/>'
        )
    yield "</TextLine>"


def _space(boxes: Sequence[Box], index: int) -> str:
    """What lies between a word and the one before it; nothing, where they overlap."""
    before, after = boxes[index - 1], boxes[index]
    width = max(after.left - before.right, 0)
    return f'<SP HPOS="{before.right}" VPOS="{before.top}" WIDTH="{width}"/>'


def _place(box: Box) -> str:
    return f'HPOS="{box.left}" VPOS="{box.top}" WIDTH="{box.width}" HEIGHT="{box.height}"'
