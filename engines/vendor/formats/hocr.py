"""hOCR 1.2 (https://kba.github.io/hocr-spec/1.2/), read by an HTML parser: much of it is not XML."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

from engines.boxes import Box, BoxedWord
from engines.errors import ProgramError
from engines.vendor.formats.recognised import Recognised, number

_LINES = frozenset({"ocr_line", "ocrx_line", "ocr_header", "ocr_footer", "ocr_caption", "ocr_textfloat"})
_WORDS = frozenset({"ocrx_word", "ocr_word"})
_PAGE = "ocr_page"
_VOID = frozenset({"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "param", "source", "wbr"})
_SURE = 100
_DEEPEST = 1000


def read(data: bytes) -> Recognised:
    """The first page of a file. Raises `ProgramError`."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ProgramError("the program's hOCR is not UTF-8") from None
    parser = _Parser()
    parser.feed(text)
    parser.close()
    if parser.page is None:
        raise ProgramError("the program's output has no ocr_page: it is not hOCR")
    page = parser.page
    # A page's box starts at 0, 0, unless it is cut from a larger image; words lie in the same coordinates.
    width, height = page.right, page.bottom
    return Recognised(tuple(map(tuple, parser.lines)), width or None, height or None)


@dataclass(slots=True)
class _Open:
    """An element that is not closed yet. ``text`` gathers what is in a word."""

    tag: str
    kind: str = ""
    properties: dict[str, list[str]] = field(default_factory=dict)
    text: list[str] = field(default_factory=list)


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page: Box | None = None
        self.lines: list[list[BoxedWord]] = []
        self._open: list[_Open] = []
        self._done = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _VOID or self._done:
            return
        if len(self._open) >= _DEEPEST:
            raise ProgramError("the program's hOCR is nested too deeply")
        attributes = dict(attrs)
        classes = (attributes.get("class") or "").split()
        kind = next((name for name in classes if name in _LINES | _WORDS | {_PAGE}), "")
        element = _Open(tag, kind, _properties(attributes.get("title") or "") if kind else {})
        self._open.append(element)
        if kind == _PAGE:
            self.page = _box(element)
        elif kind in _LINES:
            self.lines.append([])

    def handle_endtag(self, tag: str) -> None:
        if not any(element.tag == tag for element in self._open):
            return
        while self._open:
            element = self._open.pop()
            self._close(element)
            if element.tag == tag:
                return

    def handle_data(self, data: str) -> None:
        for element in reversed(self._open):
            if element.kind in _WORDS:
                element.text.append(data)
                return

    def close(self) -> None:
        """End, and with it what was left open."""
        super().close()
        while self._open:
            self._close(self._open.pop())

    def _close(self, element: _Open) -> None:
        if element.kind == _PAGE:
            self._done = True
        if element.kind not in _WORDS or self._done:
            return
        text = "".join(element.text).strip()
        if not text:
            return
        line = next((outer for outer in reversed(self._open) if outer.kind in _LINES), None)
        confidence = element.properties.get("x_wconf")
        word = BoxedWord(
            text,
            number(confidence[0], "x_wconf") / _SURE if confidence else None,
            _box(element),
            _degrees(line) if line else 0,
        )
        if line is None:
            self.lines.append([])
        self.lines[-1].append(word)


def _properties(title: str) -> dict[str, list[str]]:
    """Properties of a ``title``: names and their values, parted by semicolons. Quoted ones are of no interest here."""
    found = {}
    for part in title.split(";"):
        name, *values = part.split()[:5] or [""]
        found[name] = values
    return found


def _box(element: _Open) -> Box:
    values = element.properties.get("bbox", [])
    if len(values) != 4:
        raise ProgramError(f"the program's hOCR has an {element.kind} without a bbox")
    left, top, right, bottom = (number(value, "bbox") for value in values)
    return Box(left, top, right, bottom)


def _degrees(line: _Open) -> int:
    """How far a line's text is turned clockwise; ``textangle`` counts the other way."""
    angle = line.properties.get("textangle")
    return round(-number(angle[0], "textangle") / 90) % 4 * 90 if angle else 0
