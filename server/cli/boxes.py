"""``cloister boxes``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from cloister.v1 import ocr_pb2
from server.access import Access
from server.cli.common import (
    CaOption,
    CertificateOption,
    ConfigOption,
    EngineOption,
    Exit,
    KeyOption,
    ServerOption,
    TokenFileOption,
    access_of,
    complain,
    connected,
    errors,
    explained,
    read_document,
)
from server.errors import CloisterError

_TRACED = (ocr_pb2.OUTPUT_WORDS, ocr_pb2.OUTPUT_TRACE)


def boxes(
    file: Annotated[str, typer.Argument(help="The document; - is standard input.", metavar="FILE")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The PNG to write.")],
    trace: Annotated[
        bool, typer.Option("--trace", help="Draw how the words came about: windows, cuts, merges, splits, drops.")
    ] = False,
    server: ServerOption = None,
    ca: CaOption = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    token_file: TokenFileOption = None,
    engine: EngineOption = "",
    config: ConfigOption = None,
) -> None:
    """Draw the words that were read onto the document. It is decoded here, outside any jail: for files you trust."""
    # The one place where this process touches pixels, for the caller who asked to see them.
    from engines.documents import boxes as drawing
    from engines.documents import tracing

    with explained():
        try:
            document = read_document(file)
            access = access_of(ca, certificate, key, token_file)
            response = asyncio.run(
                _recognize(document, server, access, engine, config, outputs=_TRACED if trace else ())
            )
            if trace and not response.pages[0].HasField("trace"):
                errors.print(
                    f"cloister: {file}: the engine {response.provenance.engine} can't say how it read its page"
                )
                raise typer.Exit(Exit.FAILED)
            drawn = tracing.draw(document, response.pages[0]) if trace else drawing.draw(document, response.pages)
            output.write_bytes(drawn)
        except (CloisterError, OSError) as error:
            complain(file, error)
            raise typer.Exit(Exit.FAILED) from error


async def _recognize(
    document: bytes,
    server: str | None,
    access: Access,
    engine: str,
    config: Path | None,
    *,
    outputs: tuple[ocr_pb2.Output.ValueType, ...],
) -> ocr_pb2.RecognizeResponse:
    async with connected(server, config, access=access) as client:
        return await client.recognize(document, engine=engine, outputs=outputs)
