"""Outputs that are files. The PDF comes from the cell; the others are written here, of pages that have been checked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence

from cloister.v1 import ocr_pb2
from engines.documents import alto, hocr, tsv

OUTPUTS = (ocr_pb2.OUTPUT_PDF, ocr_pb2.OUTPUT_HOCR, ocr_pb2.OUTPUT_ALTO, ocr_pb2.OUTPUT_TSV)
_OF_WORDS = frozenset(OUTPUTS) - {ocr_pb2.OUTPUT_PDF}
_PART_BYTES = 1 << 20


def asked_of_cell(outputs: Iterable[ocr_pb2.Output.ValueType]) -> list[ocr_pb2.Output.ValueType]:
    """What a cell must answer so that all of ``outputs`` can be made."""
    wanted = set(outputs)
    if wanted & _OF_WORDS:
        wanted.add(ocr_pb2.OUTPUT_WORDS)
    return sorted(wanted - _OF_WORDS)


def make(
    outputs: Iterable[ocr_pb2.Output.ValueType],
    pages: Sequence[ocr_pb2.Page],
    pdf: bytes,
    provenance: ocr_pb2.Provenance,
) -> list[ocr_pb2.File]:
    """The files among ``outputs``; ``pages`` have their words."""
    version = "-".join(filter(None, (provenance.engine_version, provenance.model_version)))
    files = []
    for output in OUTPUTS:
        if output not in outputs:
            continue
        match output:
            case ocr_pb2.OUTPUT_PDF:
                content = pdf
            case ocr_pb2.OUTPUT_HOCR:
                content = hocr.render(pages, f"cloister {provenance.engine} {version}").encode()
            case ocr_pb2.OUTPUT_ALTO:
                content = alto.render(pages, f"cloister {provenance.engine}", version).encode()
            case _:
                content = tsv.render(pages).encode()
        files.append(ocr_pb2.File(output=output, content=content))
    return files


async def made(
    outputs: Iterable[ocr_pb2.Output.ValueType],
    pages: Sequence[ocr_pb2.Page],
    pdf: bytes,
    provenance: ocr_pb2.Provenance,
) -> list[ocr_pb2.File]:
    """As `make`, and off the event loop where that writes words: of all that a cell may answer it takes minutes."""
    if _OF_WORDS.isdisjoint(outputs):
        return make(outputs, pages, pdf, provenance)
    return await asyncio.to_thread(make, outputs, pages, pdf, provenance)


def parts(files: Iterable[ocr_pb2.File]) -> Iterator[ocr_pb2.File]:
    """The files in messages of a mebibyte at most."""
    for file in files:
        for start in range(0, len(file.content), _PART_BYTES):
            yield ocr_pb2.File(output=file.output, content=file.content[start : start + _PART_BYTES])


def shown(page: ocr_pb2.Page, outputs: Iterable[ocr_pb2.Output.ValueType]) -> ocr_pb2.Page:
    """The page as its caller wants it: without its words, where only files were to be made of them."""
    if ocr_pb2.OUTPUT_WORDS in outputs or not page.lines:
        return page
    bare = ocr_pb2.Page()
    bare.CopyFrom(page)
    bare.ClearField("lines")
    return bare
