"""``cloister submit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cloister.v1 import ocr_pb2
from server.cli.common import (
    STDIN,
    CaOption,
    CertificateOption,
    ConfigOption,
    EngineOption,
    Exit,
    JobServerOption,
    KeyOption,
    TokenFileOption,
    access_of,
    complain,
    explained,
    read_document,
)
from server.cli.desk import desk
from server.cli.ocr import ExistingText
from server.errors import CloisterError
from server.queue.messages import id_of
from server.renderings import Rendering


def submit(
    files: Annotated[list[str], typer.Argument(help="Documents to hand in; - is standard input.", metavar="FILE")],
    *,
    to: Annotated[Rendering, typer.Option("--to", help="What is to be fetched.")] = Rendering.TEXT,
    existing_text: Annotated[
        ExistingText, typer.Option("--existing-text", help="Pages of a PDF that hold text: leave, read anew, add to.")
    ] = ExistingText.SKIP,
    break_signatures: Annotated[
        bool, typer.Option("--break-signatures", help="Write signed PDFs too: their signatures will not hold.")
    ] = False,
    server: JobServerOption = None,
    ca: CaOption = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    token_file: TokenFileOption = None,
    engine: EngineOption = "",
    config: ConfigOption = None,
) -> None:
    """Hand in documents to be read when there is room, and print the ids of their jobs, a line each.

    `cloister jobs` shows how far they are, `cloister fetch` writes what was read.
    """
    options = ocr_pb2.RecognizeOptions(
        engine=engine,
        outputs=to.outputs,
        pdf=ocr_pb2.PdfOptions(existing_text=existing_text.message, break_signatures=break_signatures),
    )
    failed = False
    with explained(), desk(config, server, access_of(ca, certificate, key, token_file), engine) as at:
        for name in files:
            try:
                document = read_document(name)
                stem = "stdin" if name == STDIN else Path(name).name
                job = at.submit(document, options, stem)
            except (CloisterError, OSError) as error:
                failed = True
                complain(name, error)
            else:
                typer.echo(id_of(job.name))
        at.begin()
    if failed:
        raise typer.Exit(Exit.FAILED)
