"""``cloister lab`` on records of training runs: list, show, plot, notebook, learnt, import."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from server.cli.common import errors
from server.cli.lab_errors import explained

if TYPE_CHECKING:
    from engines.scribe.training.lab.notebook import Entry
    from engines.scribe.training.lab.record import Record

app = typer.Typer(add_completion=False)

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's name.")]
EntryArgument = Annotated[str, typer.Argument(metavar="N", help="A number in the notebook, or a run's name.")]


@app.command("list")
def list_() -> None:
    """All runs: numbered ones are in the notebook, the others in MLflow or in runs/ alone."""
    with explained():
        known, recorded, unrecorded = _all()
        table = Table("", "run", "net", "begun", "steps", "goal", "last", box=None)
        names = {(entry.record.name, entry.record.started) for entry in known}
        for entry in known:
            table.add_row(str(entry.number), *_row(entry.record))
        for record in recorded:
            if (record.name, record.started) not in names:
                table.add_row("", *_row(record))
        for record in unrecorded:
            if (record.name, record.started) not in names:
                table.add_row("", *_row(record), style="yellow")
        Console().print(table)
        if unrecorded:
            errors.print(
                f"not in MLflow: {', '.join(one.name for one in unrecorded)}; cloister lab import RUN records it"
            )


@app.command("show")
def show(which: EntryArgument) -> None:
    """One run: settings, commit, data, the last of its curves by category, figures, what was learnt."""
    with explained():
        entry, record = _found(which)
        told = {"run": record.name, "net": record.net, "begun": record.started, "commit": record.commit}
        told |= {"data": record.recipe, "goal": record.goal, "learnt": record.learnt, **record.settings}
        if entry is not None:
            told |= {"number": str(entry.number), "title": entry.title, "made": entry.made}
            told |= {"results": entry.results, "next": entry.next}
        table = Table(show_header=False, box=None)
        for name, value in told.items():
            if value:
                table.add_row(name, value)
        for name, number in sorted(record.last().items()):
            table.add_row(f"last {name}", f"{number:.4g}")
        for where, figures in record.figures.items():
            table.add_row(where, ", ".join(f"{name} {value:.4g}" for name, value in figures.items()))
        Console().print(table)


@app.command("plot")
def plot(
    which: Annotated[list[str], typer.Argument(metavar="N...", help="Numbers in the notebook, or names of runs.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The PNG to write.")] = Path("runs/curves.png"),
) -> None:
    """Curves of one or several runs, in one plot."""
    with explained():
        from engines.scribe.training.lab import plots

        plots.curves([_found(one)[1] for one in which], output)
        typer.echo(output)


@app.command("notebook")
def notebook_(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Runs to take in, though nothing was learnt yet.")
    ] = None,
) -> None:
    """Make engines/scribe/training/NOTEBOOK.md anew, with all runs from which something was learnt."""
    with explained():
        from engines.scribe.training.lab import notebook
        from engines.scribe.training.lab.problems import LabError

        known, recorded, unrecorded = _all()
        records = [*recorded, *unrecorded]
        missing = set(runs or ()) - {record.name for record in records}
        if missing:
            raise LabError(f"there is no run {', '.join(sorted(missing))}, neither in MLflow nor in runs/")
        notebook.write(notebook.taken_in(known, records, runs or ()))
        typer.echo(notebook.PAGE)


@app.command("learnt")
def learnt(
    run: RunArgument, text: Annotated[str, typer.Argument(metavar="TEXT", help="In a sentence or two.")]
) -> None:
    """Note what was learnt from a run; `cloister lab notebook` then takes it in."""
    with explained():
        from engines.scribe.training.lab import notebook
        from engines.scribe.training.lab.problems import ExtraError, LabError
        from engines.scribe.training.lab.record import folder_of, note
        from engines.scribe.training.lab.store import Store

        noted = []
        try:
            note(folder_of(run), learnt=text)
            noted.append("its folder")
        except LabError as error:
            missing = error
        try:
            noted += ["MLflow"] if Store().learnt(run, text) else []
        except ExtraError as error:
            errors.print(f"not noted in MLflow: {error}")
        noted += ["the notebook"] if notebook.noted(run, text) else []
        if not noted:
            raise missing
        typer.echo(f"noted in {' and '.join(noted)}")


@app.command("import")
def import_(
    run: RunArgument,
    *,
    figures: Annotated[
        Path | None, typer.Option("--figures", help="JSON of python -m bench.words: figures of the weights it gave.")
    ] = None,
    going: Annotated[bool, typer.Option("--going", help="The run has not ended yet.")] = False,
) -> None:
    """Record a run from its folder in runs/ in MLflow: one that was made without it, or that has gone on since."""
    with explained():
        from engines.scribe.training.lab.record import folder_of, note
        from engines.scribe.training.lab.store import Store

        folder = folder_of(run)
        if figures is not None:
            note(folder, figures=_figures(figures))
        store = Store()
        store.sync(folder, ended=not going)
        typer.echo(f"{folder} is recorded at {store.uri}")


def _all() -> tuple[list[Entry], list[Record], list[Record]]:
    """The notebook's entries, MLflow's records, and those in runs/ that MLflow does not have."""
    from engines.scribe.training.lab import notebook
    from engines.scribe.training.lab.problems import ExtraError
    from engines.scribe.training.lab.record import folders, from_folder
    from engines.scribe.training.lab.store import Store

    try:
        recorded = Store().records()
    except ExtraError:
        recorded = []
    names = {(record.name, record.net, record.started) for record in recorded}
    here = [from_folder(folder) for folder in folders()]
    return notebook.entries(), recorded, [one for one in here if (one.name, one.net, one.started) not in names]


def _found(which: str) -> tuple[Entry | None, Record]:
    """What is known of a run: its own record where there is one, for the notebook's is thinned."""
    from engines.scribe.training.lab import notebook
    from engines.scribe.training.lab.problems import LabError

    known, recorded, unrecorded = _all()
    entry = notebook.find(which, known)
    name = entry.record.name if entry is not None else which
    records = [
        record
        for record in (*unrecorded, *recorded)
        if record.name == name and (entry is None or record.started == entry.record.started)
    ]
    if records:
        return entry, records[-1]
    if entry is not None:
        return entry, entry.record
    raise LabError(f"there is no run {which}; cloister lab list shows all")


def _row(record: Record) -> tuple[str, ...]:
    last = record.last() | {f"{where}/words": one["words"] for where, one in record.figures.items() if "words" in one}
    shown = ("real/words", "synthetic/words", "crops", "upright_pages", "loss")
    figures = ", ".join(f"{name} {last[name]:.3f}" for name in shown if name in last)
    return record.name, record.net, record.started, str(record.steps or ""), record.goal, figures


def _figures(path: Path) -> dict[str, dict[str, float]]:
    values = json.loads(path.read_text())
    return {
        where: {name: float(value) for name, value in figures.items() if isinstance(value, int | float)}
        for where, figures in values.items()
        if isinstance(figures, dict)
    }
