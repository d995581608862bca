"""``cloister lab`` on data and weights: sheets of fonts and misreadings, symbols, calibration, thresholds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from server.cli.lab_errors import explained

app = typer.Typer(add_completion=False)

NetArgument = Annotated[
    str, typer.Argument(metavar="[RUN|WEIGHTS]", help="A run, or a folder of weights; by default those that ship.")
]
LimitOption = Annotated[int, typer.Option("--limit", help="Windows of a shard, or pages of a set, at most.", min=1)]
_HELD = ["real", "synthetic"]
SetsOption = Annotated[list[str], typer.Option("--set", help="Held-back shards or sets of pages; may be repeated.")]
WriteOption = Annotated[bool, typer.Option("--write", help="Keep them with the weights, in word.json.")]


@app.command("fonts")
def fonts_(
    output: Annotated[Path, typer.Option("--output", "-o", help="The PNG to write.")] = Path("runs/fonts.png"),
    *,
    look: Annotated[str, typer.Option("--look", help="sans, serif, mono, printer or rare; by default all.")] = "",
    family: Annotated[str, typer.Option("--family", help="Only families that match; all their files.")] = "",
    limit: LimitOption = 300,
) -> None:
    """A contact sheet of the fonts, with the glyphs that are struck out of each."""
    with explained():
        from engines.scribe.training import fonts
        from engines.scribe.training.lab import fontsheet
        from engines.scribe.training.settings import RUNS

        every = fonts.load(RUNS / "fonts.json").fonts
        shown = fontsheet.chosen(every, look, family)
        fontsheet.draw(shown[:limit], output)
        typer.echo(f"{output}: {min(limit, len(shown))} of {len(shown)}, of {len(every)} files in all")


@app.command("symbols")
def symbols_(
    output: Annotated[Path, typer.Option("--output", "-o", help="The PNG to write.")] = Path("runs/symbols.png"),
    *,
    lines: Annotated[int, typer.Option("--lines", help="Lines to count.", min=1)] = 20_000,
) -> None:
    """How often made lines hold each character, before and after rare ones are boosted: a plot, and which stay rare."""
    with explained():
        from engines.scribe.training.corpus import Corpus
        from engines.scribe.training.lab import plots, symbols
        from engines.scribe.training.settings import RUNS, DataSettings

        found = symbols.histogram(Corpus(RUNS / "pools.json"), DataSettings().kinds, lines)
        plots.symbols(found.characters, {"before": found.before.tolist(), "after": found.after.tolist()}, output)
        for share in (1e-4, 1e-5):
            before, after = found.scarce(share)
            typer.echo(f"below {share:.3%} of all characters: {len(before)} before, {len(after)} after: {after}")
        typer.echo(output)


@app.command("errors")
def errors_(
    net: NetArgument = "",
    *,
    sets: SetsOption = _HELD,
    out: Annotated[Path | None, typer.Option("--out", help="Folder; by default runs/errors.")] = None,
    limit: LimitOption = 1500,
    most: Annotated[int, typer.Option("--most", help="Lines on a sheet.", min=1)] = 40,
) -> None:
    """What a net misreads: the worst, typical and surest misreadings with their crops, confused characters, by kind."""
    with explained():
        from engines.scribe.training.lab import misreadings, reading
        from engines.scribe.training.settings import RUNS

        recogniser, buckets = reading.recogniser(net)
        samples = reading.held_samples(sets, limit)
        found = misreadings.misreadings(recogniser, samples, buckets)
        page = misreadings.write(found, samples, out or RUNS / "errors" / recogniser.card.version, most)
        typer.echo(f"{page}: {len(found)} of {len(samples)} lines are misread")


@app.command("calibrate")
def calibrate(
    net: NetArgument = "",
    *,
    sets: SetsOption = _HELD,
    limit: LimitOption = 3000,
    out: Annotated[Path | None, typer.Option("--out", help="Folder; by default that of the weights.")] = None,
    write: WriteOption = False,
) -> None:
    """How true words' confidences are on held-back data, by category: a plot, the figures, and a temperature."""
    with explained():
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


@app.command("buckets")
def buckets_(
    net: NetArgument = "", *, count: Annotated[int, typer.Option("--windows", min=1)] = 3000, write: WriteOption = False
) -> None:
    """Find the thresholds of the Wordinator's buckets on made windows of every kind, negatives among them."""
    with explained():
        from engines.scribe.training.lab import reading, thresholds

        recogniser, start = reading.recogniser(net)
        found = thresholds.found(recogniser, reading.held_samples(["synthetic"], count), start)
        typer.echo(f"before {start.as_json()}, F1 of words {found.before:.4f}")
        typer.echo(f"found  {found.buckets.as_json()}, F1 of words {found.after:.4f}")
        if write:
            found.buckets.save(_weights(net))


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
