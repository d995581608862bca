"""ALTO, versions 2 to 4 (https://www.loc.gov/standards/alto/)."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from engines.boxes import Box, BoxedWord
from engines.errors import ProgramError
from engines.vendor.formats import xml
from engines.vendor.formats.recognised import Recognised, number, size

_PIXEL = "pixel"


def read(data: bytes) -> Recognised:
    """The first page of an ALTO file. Raises `ProgramError`."""
    root = xml.parse(data)
    if xml.name(root) != "alto":
        raise ProgramError("the program's output is not ALTO")
    page = next(xml.all_named(root, "Page"), None)
    if page is None:
        return Recognised(())
    width, height = size(page.get("WIDTH"), "Page WIDTH"), size(page.get("HEIGHT"), "Page HEIGHT")
    unit = next((element.text or "" for element in xml.all_named(root, "MeasurementUnit")), _PIXEL).strip()
    if unit != _PIXEL and (width is None or height is None):
        raise ProgramError("the program's ALTO is not in pixels and states no page size to scale by")
    lines = tuple(tuple(_words(line)) for line in xml.all_named(page, "TextLine"))
    return Recognised(lines, width, height)


def _words(line: Element) -> Iterator[BoxedWord]:
    word: BoxedWord | None = None
    for element in line:
        match xml.name(element):
            case "String":
                if word is not None:
                    yield word
                stated = element.get("WC")
                word = BoxedWord(
                    element.get("CONTENT", ""),
                    None if stated is None else number(stated, "String WC"),
                    _box(element) or _box(line) or _nowhere(),
                )
            case "HYP" if word is not None:
                # The hyphen as it is printed belongs to the word before it.
                box = _box(element)
                word = BoxedWord(
                    word.text + element.get("CONTENT", "-").replace("\u00ad", "-"),
                    word.confidence,
                    word.box if box is None else Box.around([word.box, box]),
                )
    if word is not None:
        yield word


def _box(element: Element) -> Box | None:
    if any(element.get(key) is None for key in ("HPOS", "VPOS", "WIDTH", "HEIGHT")):
        return None
    left, top = number(element.get("HPOS"), "HPOS"), number(element.get("VPOS"), "VPOS")
    return Box(left, top, left + number(element.get("WIDTH"), "WIDTH"), top + number(element.get("HEIGHT"), "HEIGHT"))


def _nowhere() -> Box:
    raise ProgramError("the program's ALTO has a String without a position")
