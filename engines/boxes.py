"""From upright boxes, as most OCR programs state them, to the lines and quads of a `PageText`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from engines.api import Line, Quad, Word

UNSTATED = 0.5
"""The confidence of words for which none is stated: it says nothing either way."""


_CONTROLS = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), " ")
"""Control characters: a reply that held one would be refused."""


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle, px."""

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def around(cls, boxes: Sequence[Box]) -> Box:
        """The smallest box that holds ``boxes``, of which there is one at least."""
        return cls(
            min(box.left for box in boxes),
            min(box.top for box in boxes),
            max(box.right for box in boxes),
            max(box.bottom for box in boxes),
        )

    def scaled(self, x: float, y: float) -> Box:
        return Box(self.left * x, self.top * y, self.right * x, self.bottom * y)

    def within(self, width: float, height: float) -> Box:
        """The part inside a page of ``width`` x ``height`` px; corners in order even where the source's were not."""
        left, right = sorted((min(max(self.left, 0.0), width), min(max(self.right, 0.0), width)))
        top, bottom = sorted((min(max(self.top, 0.0), height), min(max(self.bottom, 0.0), height)))
        return Box(left, top, right, bottom)

    def unturned(self, degrees: int, width: float, height: float) -> Box:
        """The box on the page before it was turned clockwise by ``degrees`` into one of ``width`` x ``height`` px."""
        match degrees:
            case 90:
                return Box(self.top, width - self.right, self.bottom, width - self.left)
            case 180:
                return Box(width - self.right, height - self.bottom, width - self.left, height - self.top)
            case 270:
                return Box(height - self.bottom, self.left, height - self.top, self.right)
        return self

    def quad(self, degrees: int = 0) -> Quad:
        """Corners in reading order of text that is turned clockwise by ``degrees`` (0, 90, 180 or 270) on the page."""
        corners = (
            (self.left, self.top),
            (self.right, self.top),
            (self.right, self.bottom),
            (self.left, self.bottom),
        )
        first = degrees // 90
        return Quad(*(corners[(first + number) % 4] for number in range(4)))


@dataclass(frozen=True, slots=True)
class BoxedWord:
    """What a program says of a word. ``confidence`` is 0..1, or None where it states none; ``text`` may hold spaces."""

    text: str
    confidence: float | None
    box: Box
    degrees: int = 0
    """How far the text is turned clockwise on the page."""


def lines(found: Iterable[Sequence[BoxedWord]], width: float, height: float) -> tuple[Line, ...]:
    """Lines of a page of ``width`` x ``height`` px: boxes cut to the page, words parted at white space, none empty."""
    return tuple(_lines(found, width, height))


def _lines(found: Iterable[Sequence[BoxedWord]], width: float, height: float) -> Iterator[Line]:
    for words in found:
        parts = [part for word in words for part in _parted(word)]
        if parts:
            boxes = [part.box.within(width, height) for part in parts]
            yield Line(
                tuple(
                    Word(part.text, _probability(part.confidence), box.quad(part.degrees))
                    for part, box in zip(parts, boxes, strict=True)
                ),
                Box.around(boxes).quad(parts[0].degrees),
            )


def _parted(word: BoxedWord) -> Iterator[BoxedWord]:
    """Words of one that holds white space; each gets the part of the box that its characters have of the text."""
    pieces = word.text.translate(_CONTROLS).split()
    if len(pieces) == 1:
        yield BoxedWord(pieces[0], word.confidence, word.box, word.degrees)
        return
    position = 0
    for piece in pieces:
        start = word.text.index(piece, position)
        position = start + len(piece)
        yield BoxedWord(piece, word.confidence, _slice(word, start, position), word.degrees)


def _slice(word: BoxedWord, start: int, end: int) -> Box:
    box, length = word.box, len(word.text)
    first, last = (start / length, end / length) if word.degrees in (0, 90) else (1 - end / length, 1 - start / length)
    if word.degrees in (0, 180):
        width = box.right - box.left
        return Box(box.left + width * first, box.top, box.left + width * last, box.bottom)
    height = box.bottom - box.top
    return Box(box.left, box.top + height * first, box.right, box.top + height * last)


def _probability(confidence: float | None) -> float:
    return UNSTATED if confidence is None else min(1.0, max(0.0, confidence))
