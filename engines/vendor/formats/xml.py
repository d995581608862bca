"""XML of untrusted origin: no document type, hence no entities of its own, and nothing fetched."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from engines.errors import ProgramError


class _WithoutDoctype(TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Refuse: entities that grow or point elsewhere are declared there, and no OCR format needs one."""
        raise ProgramError("the program's output has a document type declaration, which is refused")


def parse(data: bytes) -> Element:
    """The root element. Raises `ProgramError`."""
    parser = XMLParser(target=_WithoutDoctype())
    try:
        parser.feed(data)
        root: Element = parser.close()
    except (ParseError, LookupError, ValueError) as error:
        # The position alone: expat's messages may quote the document.
        line = getattr(error, "position", ("unknown",))[0]
        raise ProgramError(f"the program's output is not well-formed XML (line {line})") from None
    return root


def name(element: Element) -> str:
    """The tag without its namespace."""
    return element.tag.rpartition("}")[2]


def all_named(element: Element, wanted: str) -> Iterator[Element]:
    """Elements below ``element``, itself included, of a name in whatever namespace, in document order."""
    return (below for below in element.iter() if name(below) == wanted)
