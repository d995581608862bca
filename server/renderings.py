"""The forms that what was read is written in by the command line."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from google.protobuf import json_format

from cloister.v1 import ocr_pb2

PAGE_BREAK = "\f"
"""Parts the pages of a document's text."""


class Rendering(StrEnum):
    """A form of output; its value is the name on the command line."""

    TEXT = "text"
    JSON = "json"
    TSV = "tsv"
    HOCR = "hocr"
    ALTO = "alto"
    PDF = "pdf"

    @property
    def suffix(self) -> str:
        return {Rendering.TEXT: ".txt", Rendering.HOCR: ".hocr.html", Rendering.ALTO: ".alto.xml"}.get(
            self, f".{self.value}"
        )

    @property
    def outputs(self) -> Sequence[ocr_pb2.Output.ValueType]:
        """What to ask the server for."""
        file = _FILES.get(self)
        return (ocr_pb2.OUTPUT_WORDS, ocr_pb2.OUTPUT_TEXT) if file is None else (file,)

    def render(self, response: ocr_pb2.RecognizeResponse) -> bytes:
        """The whole of ``response``, which was asked for with `outputs`; text ends in a line break."""
        match self:
            case Rendering.TEXT:
                return f"{response.text}\n".encode()
            case Rendering.JSON:
                return json_format.MessageToJson(response, indent=None, ensure_ascii=False).encode() + b"\n"
            case _:
                return next(file.content for file in response.files if file.output == _FILES[self])

    @classmethod
    def of_file(cls, name: str) -> Rendering | None:
        """The form that the name of a file asks for."""
        ending = name.rpartition(".")[2].lower()
        return _ENDINGS.get(ending)


_FILES = {
    Rendering.TSV: ocr_pb2.OUTPUT_TSV,
    Rendering.HOCR: ocr_pb2.OUTPUT_HOCR,
    Rendering.ALTO: ocr_pb2.OUTPUT_ALTO,
    Rendering.PDF: ocr_pb2.OUTPUT_PDF,
}
_ENDINGS = {
    "txt": Rendering.TEXT,
    "json": Rendering.JSON,
    "tsv": Rendering.TSV,
    "hocr": Rendering.HOCR,
    "html": Rendering.HOCR,
    "xml": Rendering.ALTO,
    "pdf": Rendering.PDF,
}
