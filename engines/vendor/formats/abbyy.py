"""ABBYY FineReader's XML, namespaces FineReader6-schema-v1 to FineReader10-schema-v1.

    document > page > block > text > par > line > formatting > charParams

What the attributes mean is in the vendor's "XML Schema Description". With the export option for characters switched
off, ``formatting`` holds plain text, and only lines have boxes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from engines.boxes import Box, BoxedWord
from engines.errors import ProgramError
from engines.vendor.formats import xml
from engines.vendor.formats.recognised import Recognised, number, size

_ROTATIONS = {"Normal": 0, "RotatedClockwise": 90, "RotatedUpsideDown": 180, "RotatedCounterclockwise": 270}
_TRUE = frozenset({"1", "true"})
_SURE = 100
"""``charConfidence`` runs from 0 to this; beyond (255) it is undefined."""
_REMOVED_HYPHEN = "\u00ac"
"""What FineReader writes for a printed hyphen that it takes for a mere line break."""


@dataclass(frozen=True, slots=True)
class _Character:
    text: str
    box: Box
    confidence: float | None


def read(data: bytes) -> Recognised:
    """The first page of a file. Raises `ProgramError`."""
    root = xml.parse(data)
    if xml.name(root) != "document":
        raise ProgramError("the program's output is not ABBYY XML")
    page = next(xml.all_named(root, "page"), None)
    if page is None:
        return Recognised(())
    rotation = page.get("rotation")
    if rotation is not None and rotation not in _ROTATIONS:
        raise ProgramError("the program's ABBYY XML states a rotation that is not known")
    return Recognised(
        lines=tuple(
            tuple(_words(line))
            for block in xml.all_named(page, "block")
            # What a bar code says is not what is printed.
            if block.get("blockType") != "Barcode"
            for line in xml.all_named(block, "line")
        ),
        width=size(page.get("width"), "page width"),
        height=size(page.get("height"), "page height"),
        upright_by=None if rotation is None else _ROTATIONS[rotation],
        on_turned=page.get("originalCoords") not in _TRUE,
    )


def _words(line: Element) -> Iterator[BoxedWord]:
    formatted = [element for element in line if xml.name(element) == "formatting"]
    characters = [character for element in formatted for character in _characters(element)]
    if not characters:
        text = "".join(element.text or "" for element in formatted)
        if text.strip():
            yield BoxedWord(_printed(text), None, _box(line))
        return
    word: list[_Character] = []
    for character in characters:
        if character.text.strip():
            word.append(character)
        elif word:
            yield _joined(word)
            word = []
    if word:
        yield _joined(word)


def _characters(formatting: Element) -> Iterator[_Character]:
    """Direct children alone: the variants of a word hold further ones."""
    for element in formatting:
        if xml.name(element) == "charParams":
            # Its own variants may stand before the character.
            text = (element.text or "") + "".join(child.tail or "" for child in element)
            stated = element.get("charConfidence")
            confidence = None if stated is None else number(stated, "charConfidence")
            yield _Character(
                text.strip(),
                _box(element) if text.strip() else Box(0, 0, 0, 0),
                confidence / _SURE if confidence is not None and 0 <= confidence <= _SURE else None,
            )


def _joined(characters: list[_Character]) -> BoxedWord:
    known = [character.confidence for character in characters if character.confidence is not None]
    return BoxedWord(
        _printed("".join(character.text for character in characters)),
        sum(known) / len(known) if known else None,
        Box.around([character.box for character in characters]),
    )


def _printed(text: str) -> str:
    return text.replace(_REMOVED_HYPHEN, "-")


def _box(element: Element) -> Box:
    left, top, right, bottom = (number(element.get(side), f"{xml.name(element)} {side}") for side in "ltrb")
    return Box(left, top, right, bottom)
