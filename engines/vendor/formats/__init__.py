"""What OCR programs write: ALTO, hOCR, ABBYY's XML, Tesseract's TSV; a module each, with one function ``read``.

All of it is untrusted: a program that a document took over writes what it likes. What can't be read is a
`engines.errors.ProgramError`, which never holds text of the document.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

from engines.vendor.formats import abbyy, alto, hocr, tsv
from engines.vendor.formats.recognised import Recognised


class Format(StrEnum):
    ALTO = "alto"
    HOCR = "hocr"
    ABBYY_XML = "abbyy-xml"
    TSV = "tsv"


READERS: Mapping[Format, Callable[[bytes], Recognised]] = {
    Format.ALTO: alto.read,
    Format.HOCR: hocr.read,
    Format.ABBYY_XML: abbyy.read,
    Format.TSV: tsv.read,
}
