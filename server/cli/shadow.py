"""``cloister shadow``: what comparisons in the shadow of answers have shown."""

from __future__ import annotations

import asyncio
import getpass
import json
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy.exc import SQLAlchemyError

from cloister.v1 import ocr_pb2
from server import truth as truths
from server.cli.common import ConfigOption, Exit, errors, explained
from server.comparison import Rules, paired
from server.drawing import DrawingError, draw, numbered
from server.records.comparison import Comparison, Kept, Rightness
from server.records.opening import opened
from server.records.store import RecordsError, Store
from server.records.vault import VaultError
from server.report import html, text
from server.report.recommendation import Demands
from server.report.summary import Report, report
from server.settings import Settings, load

_DAY_S = 86_400
_MOST_SHOWN = 200

shadow = typer.Typer(
    name="shadow",
    help="What comparisons in the shadow of answers have shown.",
    no_args_is_help=True,
    add_completion=False,
)

WhyOption = Annotated[str, typer.Option("--why", help="Goes into the log of accesses, with your name.")]


@shadow.command("report")
def report_command(
    *,
    control: Annotated[str, typer.Option("--control", help="Only where this engine answered.")] = "",
    candidate: Annotated[str, typer.Option("--candidate", help="Only this candidate.")] = "",
    days: Annotated[float, typer.Option("--days", help="How far back.", min=0)] = 30.0,
    as_html: Annotated[Path | None, typer.Option("--html", help="Write one HTML file with plots.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON instead, a line a candidate.")] = False,
    config: ConfigOption = None,
) -> None:
    """Say how candidates do beside the control, and recommend to ramp, to hold or to stop, with reasons."""
    with recorded(config) as (settings, store):
        reports = list(reported(store.comparisons(control, candidate, since_s=time.time() - days * _DAY_S), settings))
        if not reports:
            raise RecordsError(f"nothing was compared in the last {days:g} days, by {store.place}")
    show(reports, as_html, as_json)


@shadow.command("diff")
def diff(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The request's id, as in its reply and in reports.")],
    *,
    png: Annotated[
        Path | None, typer.Option("--png", help="Draw both readings on the page, where it was kept.")
    ] = None,
    page: Annotated[int, typer.Option("--page", help="Number of the page; by default where most differs.", min=0)] = 0,
    why: WhyOption = "",
    config: ConfigOption = None,
) -> None:
    """Show how two readings of one document differ: counts, and where it was kept with consent, the words.

    To open what was kept is recorded, with your name.
    """
    with recorded(config) as (settings, store):
        comparison = store.comparison(id_)
        console = Console()
        _show_counts(comparison, console)
        try:
            kept = store.open_kept(id_, _who(), why)
        except RecordsError:
            if png is not None:
                raise
            console.print("\nIts words were not kept: that takes the caller's consent and a key.")
            return
        finally:
            store.close()
    rules = Rules(settings.shadow.ignore_case, settings.shadow.ignore_punctuation)
    number = page or _most_different(kept, rules)
    _show_words(numbered(kept.control, number), numbered(kept.candidate, number), rules, console)
    if png is not None:
        with explained():
            try:
                png.write_bytes(asyncio.run(draw(kept, number, rules, settings)))
            except (DrawingError, OSError) as error:
                errors.print(f"cloister: {id_}: {error}")
                raise typer.Exit(Exit.FAILED) from error
        console.print(f"\npage {number} drawn in {png}: control blue, candidate orange, alike green", markup=False)


@shadow.command("truth")
def truth(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The request's id.")],
    file: Annotated[Path, typer.Argument(help="The document's true text, UTF-8.", exists=True, dir_okay=False)],
    why: WhyOption = "the truth was given",
    config: ConfigOption = None,
) -> None:
    """Say what a kept document's text truly is: reports then say who is right. The text itself is not stored."""
    wanted = truths.Truth(file, (), tuple(file.read_text(encoding="utf-8").split()), None, (), no_spaces=False)
    with recorded(config) as (settings, store):
        kept = store.open_kept(id_, _who(), why)
        rules = Rules(settings.shadow.ignore_case, settings.shadow.ignore_punctuation)
        found = rightness(wanted, kept.control, kept.candidate, rules)
        store.set_truth(id_, found)
    typer.echo(f"F1 of the control {found.control_f1:.3f}, of the candidate {found.candidate_f1:.3f}")


@shadow.command("accesses")
def accesses(
    id_: Annotated[str, typer.Argument(metavar="[ID]", help="The request's id; all if none.")] = "",
    config: ConfigOption = None,
) -> None:
    """List who had kept documents opened."""
    with recorded(config) as (_, store):
        for access in store.accesses(id_):
            at = datetime.fromtimestamp(access.at_s, UTC)
            typer.echo(f"{at:%Y-%m-%d %H:%M:%S}  {access.id}  {access.who}  {access.why}")


@shadow.command("purge")
def purge(config: ConfigOption = None) -> None:
    """Delete kept documents that have expired. Servers do so by themselves; this is for where none runs."""
    with recorded(config) as (_, store):
        typer.echo(f"{store.purge()} deleted")


@contextmanager
def recorded(config: Path | None) -> Iterator[tuple[Settings, Store]]:
    """The settings and the store they name; ends the command with a message where it can't be used."""
    with explained():
        settings = load(config)
        store = opened(settings)
    if store is None:
        errors.print("cloister: shadow.database is empty: nothing is recorded")
        raise typer.Exit(Exit.FAILED)
    try:
        yield settings, store
    except (RecordsError, VaultError) as error:
        errors.print(f"cloister: {error}")
        raise typer.Exit(Exit.FAILED) from error
    except SQLAlchemyError as error:
        errors.print(f"cloister: {store.place}: {getattr(error, 'orig', None) or error}")
        raise typer.Exit(Exit.FAILED) from error
    finally:
        store.close()


def reported(comparisons: Sequence[Comparison], settings: Settings) -> Iterator[Report]:
    """A report for each pair of engines."""
    demands = Demands(**settings.ramp.model_dump())
    pairs = sorted({(one.control, one.candidate) for one in comparisons})
    for pair in pairs:
        yield report([one for one in comparisons if (one.control, one.candidate) == pair], demands)


def show(reports: Sequence[Report], as_html: Path | None, as_json: bool) -> None:
    """Print reports, or write them."""
    if as_html is not None:
        try:
            as_html.write_text(html.page(reports), encoding="utf-8")
        except OSError as error:
            errors.print(f"cloister: {as_html}: {error.strerror}")
            raise typer.Exit(Exit.FAILED) from error
    for one in reports:
        if as_json:
            typer.echo(json.dumps(text.as_json(one)))
        elif as_html is None:
            text.show(one, Console())
        else:
            typer.echo(f"{one.verdict}: {one.candidate} against {one.control}, {one.documents} documents: {as_html}")


def rightness(
    truth: truths.Truth, control: Sequence[ocr_pb2.Page], candidate: Sequence[ocr_pb2.Page], rules: Rules
) -> Rightness:
    """Both readings of a page or document against its truth."""
    mine, theirs = (truths.count(truth, truths.found(pages), rules.plain) for pages in (control, candidate))
    return Rightness(mine.wanted, mine.right, mine.found, theirs.right, theirs.found)


def _who() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"


def _most_different(kept: Kept, rules: Rules) -> int:
    numbers = sorted({page.number for page in (*kept.control, *kept.candidate)}) or [1]
    return max(
        numbers,
        key=lambda n: (
            sum(not p.same for p in paired(numbered(kept.control, n), numbered(kept.candidate, n), rules)),
            -n,
        ),
    )


def _show_counts(comparison: Comparison, console: Console) -> None:
    table = Table(title=Text(f"{comparison.candidate} against {comparison.control}"), show_header=False)
    rows: dict[str, object] = {
        "kind": comparison.document_kind,
        "pages": comparison.pages,
        "status": comparison.status,
        "seconds": f"{comparison.control_spent.seconds:.3f}, {comparison.candidate_spent.seconds:.3f}",
    }
    if comparison.agreement is not None:
        rows |= comparison.agreement.counts()
    for name, value in rows.items():
        table.add_row(name, Text(f"{value:g}" if isinstance(value, float) else str(value)))
    console.print(table)


def _show_words(control: ocr_pb2.Page, candidate: ocr_pb2.Page, rules: Rules, console: Console) -> None:
    table = Table("control", "candidate", title=f"page {control.number}: words that differ")
    different = [pair for pair in paired(control, candidate, rules) if not pair.same]
    for pair in different[:_MOST_SHOWN]:
        table.add_row(*(Text("" if word is None else word.text) for word in (pair.control, pair.candidate)))
    console.print(table)
    if len(different) > _MOST_SHOWN:
        console.print(f"and {len(different) - _MOST_SHOWN} more")
