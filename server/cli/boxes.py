"""``cloister boxes``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from cloister.v1.ocr_pb2 import RecognizeResponse
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
    explained,
    read_document,
)
from server.errors import CloisterError


def boxes(
    file: Annotated[str, typer.Argument(help="The document; - is standard input.", metavar="FILE")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The PNG to write.")],
    *,
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

    with explained():
        try:
            document = read_document(file)
            access = access_of(ca, certificate, key, token_file)
            response = asyncio.run(_recognize(document, server, access, engine, config))
            output.write_bytes(drawing.draw(document, response.pages))
        except (CloisterError, OSError) as error:
            complain(file, error)
            raise typer.Exit(Exit.FAILED) from error


async def _recognize(
    document: bytes, server: str | None, access: Access, engine: str, config: Path | None
) -> RecognizeResponse:
    async with connected(server, config, access=access) as client:
        return await client.recognize(document, engine=engine)
