"""``cloister lab``: records of training runs, and tools to look at fonts, misreadings and confidence.

Thin: the work is done in `engines.scribe.training.lab`, which is imported when it is asked for. Run from the
repository's root, where runs/ and shards/ are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from server.cli.common import Exit, errors

if TYPE_CHECKING:
    from engines.scribe.training.lab.notebook import Entry
    from engines.scribe.training.lab.record import Record

lab = typer.Typer(
    name="lab",
    help="Training runs, their notebook, and tools to look at fonts, misreadings and confidence.",
    no_args_is_help=True,
    add_completion=False,
)

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's name.")]
EntryArgument = Annotated[str, typer.Argument(metavar="N", help="A number in the notebook, or a run's name.")]
NetArgument = Annotated[
    str, typer.Argument(metavar="[RUN|WEIGHTS]", help="A run, or a folder of weights; by default those that ship.")
]
LimitOption = Annotated[int, typer.Option("--limit", help="Windows of a shard, or pages of a set, at most.", min=1)]
_HELD = ["real", "synthetic"]
SetsOption = Annotated[list[str], typer.Option("--set", help="Held-back shards or sets of pages; may be repeated.")]
WriteOption = Annotated[bool, typer.Option("--write", help="Keep them with the weights, in word.json.")]


@lab.command("list")
def list_() -> None:
    """All runs: numbered ones are in the notebook, the others in MLflow or in runs/ alone."""
    with _explained():
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


@lab.command("show")
def show(which: EntryArgument) -> None:
    """One run: settings, commit, data, the last of its curves by category, figures, what was learnt."""
    with _explained():
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


@lab.command("plot")
def plot(
    which: Annotated[list[str], typer.Argument(metavar="N...", help="Numbers in the notebook, or names of runs.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The PNG to write.")] = Path("runs/curves.png"),
) -> None:
    """Curves of one or several runs, in one plot."""
    with _explained():
        from engines.scribe.training.lab import plots

        plots.curves([_found(one)[1] for one in which], output)
        typer.echo(output)


@lab.command("notebook")
def notebook_(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Runs to take in, though nothing was learnt yet.")
    ] = None,
) -> None:
    """Make engines/scribe/training/NOTEBOOK.md anew, with all runs from which something was learnt."""
    with _explained():
        from engines.scribe.training.lab import notebook
        from engines.scribe.training.lab.problems import LabError

        known, recorded, unrecorded = _all()
        records = [*recorded, *unrecorded]
        missing = set(runs or ()) - {record.name for record in records}
        if missing:
            raise LabError(f"there is no run {', '.join(sorted(missing))}, neither in MLflow nor in runs/")
        notebook.write(notebook.taken_in(known, records, runs or ()))
        typer.echo(notebook.PAGE)


@lab.command("learnt")
def learnt(
    run: RunArgument, text: Annotated[str, typer.Argument(metavar="TEXT", help="In a sentence or two.")]
) -> None:
    """Note what was learnt from a run; `cloister lab notebook` then takes it in."""
    with _explained():
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


@lab.command("import")
def import_(
    run: RunArgument,
    *,
    figures: Annotated[
        Path | None, typer.Option("--figures", help="JSON of python -m bench.words: figures of the weights it gave.")
    ] = None,
    going: Annotated[bool, typer.Option("--going", help="The run has not ended yet.")] = False,
) -> None:
    """Record a run from its folder in runs/ in MLflow: one that was made without it, or that has gone on since."""
    with _explained():
        from engines.scribe.training.lab.record import folder_of, note
        from engines.scribe.training.lab.store import Store

        folder = folder_of(run)
        if figures is not None:
            note(folder, figures=_figures(figures))
        store = Store()
        store.sync(folder, ended=not going)
        typer.echo(f"{folder} is recorded at {store.uri}")


@lab.command("fonts")
def fonts_(
    output: Annotated[Path, typer.Option("--output", "-o", help="The PNG to write.")] = Path("runs/fonts.png"),
    *,
    look: Annotated[str, typer.Option("--look", help="sans, serif, mono, printer or rare; by default all.")] = "",
    family: Annotated[str, typer.Option("--family", help="Only families that match; all their files.")] = "",
    limit: LimitOption = 300,
) -> None:
    """A contact sheet of the fonts, with the glyphs that are struck out of each."""
    with _explained():
        from engines.scribe.training import fonts
        from engines.scribe.training.lab import fontsheet
        from engines.scribe.training.settings import RUNS

        every = fonts.load(RUNS / "fonts.json").fonts
        shown = fontsheet.chosen(every, look, family)
        fontsheet.draw(shown[:limit], output)
        typer.echo(f"{output}: {min(limit, len(shown))} of {len(shown)}, of {len(every)} files in all")


@lab.command("symbols")
def symbols_(
    output: Annotated[Path, typer.Option("--output", "-o", help="The PNG to write.")] = Path("runs/symbols.png"),
    *,
    lines: Annotated[int, typer.Option("--lines", help="Lines to count.", min=1)] = 20_000,
) -> None:
    """How often made lines hold each character, before and after rare ones are boosted: a plot, and which stay rare."""
    with _explained():
        from engines.scribe.training.corpus import Corpus
        from engines.scribe.training.lab import plots, symbols
        from engines.scribe.training.settings import RUNS, DataSettings

        found = symbols.histogram(Corpus(RUNS / "pools.json"), DataSettings().kinds, lines)
        plots.symbols(found.characters, {"before": found.before.tolist(), "after": found.after.tolist()}, output)
        for share in (1e-4, 1e-5):
            before, after = found.scarce(share)
            typer.echo(f"below {share:.3%} of all characters: {len(before)} before, {len(after)} after: {after}")
        typer.echo(output)


@lab.command("errors")
def errors_(
    net: NetArgument = "",
    *,
    sets: SetsOption = _HELD,
    out: Annotated[Path | None, typer.Option("--out", help="Folder; by default runs/errors.")] = None,
    limit: LimitOption = 1500,
    most: Annotated[int, typer.Option("--most", help="Lines on a sheet.", min=1)] = 40,
) -> None:
    """What a net misreads: the worst, typical and surest misreadings with their crops, confused characters, by kind."""
    with _explained():
        from engines.scribe.training.lab import misreadings, reading
        from engines.scribe.training.settings import RUNS

        recogniser, buckets = reading.recogniser(net)
        samples = reading.held_samples(sets, limit)
        found = misreadings.misreadings(recogniser, samples, buckets)
        page = misreadings.write(found, samples, out or RUNS / "errors" / recogniser.card.version, most)
        typer.echo(f"{page}: {len(found)} of {len(samples)} lines are misread")


@lab.command("calibrate")
def calibrate(
    net: NetArgument = "",
    *,
    sets: SetsOption = _HELD,
    limit: LimitOption = 3000,
    out: Annotated[Path | None, typer.Option("--out", help="Folder; by default that of the weights.")] = None,
    write: WriteOption = False,
) -> None:
    """How true words' confidences are on held-back data, by category: a plot, the figures, and a temperature."""
    with _explained():
        from dataclasses import asdict, replace

        from engines.scribe.training.lab import calibration, plots, reading

        recogniser, buckets = reading.recogniser(net)
        words = calibration.judged(recogniser, reading.held_samples(sets, limit), buckets)
        divisor, tempered = calibration.crossed(words)
        table = Table("", "words", "right", "confidence", "ECE as read", "ECE with temperature", box=None)
        rows = list(calibration.calibrations(words, tempered))
        for row in rows:
            shares = (f"{value:.4f}" for value in (row.right, row.confidence, row.error, row.tempered))
            table.add_row(row.name, str(row.words), *shares)
        Console().print(table)
        folder = out or reading.WEIGHTS
        curves = {
            "as read": calibration.binned(words.confidence, words.right),
            f"temperature {divisor:.2f}": calibration.binned(tempered, words.right),
        }
        plots.reliability(curves, "share of words right, held-back lines", folder / "reliability.png")
        told = {"version": recogniser.card.version, "sets": sets, "temperature": round(divisor, 4)}
        figures = [{name: _short(value) for name, value in asdict(row).items()} for row in rows]
        (folder / "reliability.json").write_text(json.dumps(told | {"categories": figures}, indent=1) + "\n")
        typer.echo(f"temperature of words {divisor:.3f}; {folder / 'reliability.png'}, {folder / 'reliability.json'}")
        if write:
            replace(buckets, temperature=divisor).save(_weights(net))


@lab.command("buckets")
def buckets_(
    net: NetArgument = "", *, count: Annotated[int, typer.Option("--windows", min=1)] = 3000, write: WriteOption = False
) -> None:
    """Find the thresholds of the Wordinator's buckets on made windows of every kind, negatives among them."""
    with _explained():
        from engines.scribe.training.lab import reading, thresholds

        recogniser, start = reading.recogniser(net)
        found = thresholds.found(recogniser, reading.held_samples(["synthetic"], count), start)
        typer.echo(f"before {start.as_json()}, F1 of words {found.before:.4f}")
        typer.echo(f"found  {found.buckets.as_json()}, F1 of words {found.after:.4f}")
        if write:
            found.buckets.save(_weights(net))


@contextmanager
def _explained() -> Iterator[None]:
    """End the command with a message instead of a traceback where something it needs is not there."""
    try:
        from engines.scribe.recogniser.card import WeightsError
        from engines.scribe.training.lab.problems import LabError
        from engines.scribe.wordinator.buckets import BucketsError

        yield
    except ImportError as error:
        errors.print(f"cloister: {error}; the lab needs the training extra: pip install -e '.[training]'")
        raise typer.Exit(Exit.FAILED) from error
    except (LabError, WeightsError, BucketsError, OSError) as error:
        errors.print(f"cloister: {error}")
        raise typer.Exit(Exit.FAILED) from error


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


def _weights(net: str) -> Path:
    """The folder of the weights ``net``. Raises LabError for a run, whose weights are not exported yet."""
    from engines.scribe.training.lab import reading
    from engines.scribe.training.lab.problems import LabError

    folder = Path(net) if net else reading.WEIGHTS
    if not (folder / "word.json").exists():
        raise LabError(f"{net} is a run; export it first: these belong to weights")
    return folder


def _short(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value
