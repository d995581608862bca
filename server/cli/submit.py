"""``cloister submit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cloister.v1 import ocr_pb2
from server import catalogue
from server.cli.common import STDIN, ConfigOption, EngineOption, Exit, complain, explained, read_document
from server.cli.ocr import ExistingText
from server.cli.queue import queued
from server.errors import CloisterError
from server.queue import helper
from server.queue.job import engines_of
from server.renderings import Rendering
from server.settings import Settings, load


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
    with explained():
        settings = load(config)
        engines = engines_here(settings, engine)
        with queued(settings) as queue:
            for name in files:
                try:
                    document = read_document(name)
                    stem = "stdin" if name == STDIN else Path(name).name
                    job = queue.submit(document, options, engines=engines, name=stem)
                except (CloisterError, OSError) as error:
                    failed = True
                    complain(name, error)
                else:
                    typer.echo(job.id)
            helper.start(settings.queue, config)
    if failed:
        raise typer.Exit(Exit.FAILED)


def engines_here(settings: Settings, engine: str) -> str:
    """The engines that a document may be read by, as the settings have them. Raises `SettingsError`."""
    known = ((entry.name, entry.version, entry.model_version) for entry in catalogue.installed(settings))
    return engines_of(engine, known)
