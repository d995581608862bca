"""The lab notebook: an entry for each run that taught something, and the page made of them.

Entries are JSON files in `engines/scribe/training/notebook`, committed with the plots beside them, so that the page can
be made anew by anyone; `cloister lab notebook` takes in what the records know meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from engines.scribe.training.lab import plots
from engines.scribe.training.lab.problems import LabError
from engines.scribe.training.lab.record import Net, Record, thinned

FOLDER = Path(__file__).parents[1] / "notebook"
PAGE = FOLDER.parent / "NOTEBOOK.md"
_PROGRESS = "progress.png"
_NETS = {Net.WORD: "Word Deep Net", Net.TURN: "orientation net"}
_WORDS = ("words", "upright_pages")
_HEAD = """# Lab notebook

Newest first. Made by `cloister lab notebook` from the records of the runs: mend `notebook/*.json`, not this page.
"Real" are held-back SROIE lines that fit a window (case folded), "made" or "synthetic" held-back synthetic windows of
every kind; both are shares of words.
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A numbered run. ``title``, ``made`` (how), ``results`` and ``next`` are words that only a person has."""

    number: int
    record: Record
    title: str = ""
    made: str = ""
    results: str = ""
    next: str = ""
    plot: str = field(init=False)
    """Name of its plot."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "plot", f"{self.stem}.png")

    @property
    def stem(self) -> str:
        return f"{self.number:03}-{self.record.name}"


def entries(folder: Path = FOLDER) -> list[Entry]:
    """All, the oldest first. Raises LabError."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            record = Record.from_json(values.pop("record"))
            found.append(Entry(record=record, **values))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LabError(f"{path} is no entry of the notebook: {error!r}") from error
    return sorted(found, key=lambda entry: entry.number)


def find(which: str, known: Iterable[Entry]) -> Entry | None:
    """The entry of that number or name; of several of one name the newest."""
    named = [entry for entry in known if which in (str(entry.number), entry.record.name)]
    return named[-1] if named else None


def taken_in(known: list[Entry], records: Iterable[Record], wanted: Iterable[str] = ()) -> list[Entry]:
    """The entries with what ``records`` know now, and new ones for runs in ``wanted`` and those that taught something,
    in the order they began."""
    out = list(known)
    names = set(wanted)
    for record in sorted(records, key=lambda record: record.started):
        same = [
            place
            for place, entry in enumerate(out)
            if (entry.record.name, entry.record.net, entry.record.started) == (record.name, record.net, record.started)
        ]
        if same:
            out[same[0]] = replace(out[same[0]], record=thinned(record))
        elif record.learnt or record.name in names:
            out.append(Entry(max((entry.number for entry in out), default=0) + 1, thinned(record)))
    return out


def noted(name: str, learnt: str, folder: Path = FOLDER) -> bool:
    """Note what was learnt from the run ``name`` in its entry; False where it has none."""
    entry = find(name, entries(folder))
    if entry is None:
        return False
    entry = replace(entry, record=replace(entry.record, learnt=learnt))
    (folder / f"{entry.stem}.json").write_text(_file(entry))
    return True


def write(known: list[Entry], folder: Path = FOLDER, page: Path = PAGE) -> None:
    """The entries' files, their plots, and the page. Raises ExtraError where plots can't be drawn."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in known:
        (folder / f"{entry.stem}.json").write_text(_file(entry))
        if _has_curve(entry):
            plots.curves([entry.record], folder / entry.plot)
    series = dict(progress(known))
    if series:
        plots.progress(series, folder / _PROGRESS)
    page.write_text(text(known, folder.name) + "\n")


def text(known: Iterable[Entry], folder: str = FOLDER.name) -> str:
    """The page. ``folder`` is where it finds its plots."""
    parts = [_HEAD]
    newest_first = sorted(known, key=lambda entry: -entry.number)
    if newest_first:
        parts.append(f"![What each run ended with]({folder}/{_PROGRESS})\n")
    parts += ["\n".join(_lines(entry, folder)) + "\n" for entry in newest_first]
    return "\n".join(parts).rstrip("\n")


def progress(known: Iterable[Entry]) -> Iterator[tuple[str, list[tuple[int, float]]]]:
    """By set, (number, share of words right) of the runs that have one; of windows without text none is."""
    series: dict[str, list[tuple[int, float]]] = {}
    for entry in known:
        if entry.record.net is Net.WORD:
            for where, figures in _ended_with(entry.record).items():
                if figures.get("words"):
                    series.setdefault(where, []).append((entry.number, figures["words"]))
    yield from series.items()


def _ended_with(record: Record) -> dict[str, dict[str, float]]:
    """A run's figures by set, those of its last evaluation among them; not its categories."""
    figures = {where: dict(values) for where, values in record.figures.items()}
    for name, value in record.last().items():
        where, _, measure = name.partition("/")
        if measure and "/" not in measure:
            figures.setdefault(where, {}).setdefault(measure, value)
        elif name in ("crops", "upright_pages"):
            figures.setdefault("held back", {}).setdefault(name, value)
    return figures


def _categories(record: Record) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for name, value in record.last().items():
        where, _, kind = name.partition("/by/")
        if kind:
            found.setdefault(where, {})[kind] = value
    return found


def _lines(entry: Entry, folder: str) -> Iterator[str]:
    record = entry.record
    yield f"## {entry.number} · {record.name}: {entry.title or _NETS[record.net]}"
    yield entry.made or _told(record)
    if record.goal:
        yield f"Goal: {record.goal}"
    if entry.results:
        yield entry.results
    elif figures := _ended_with(record):
        yield "\n" + _table(figures) + "\n"
        for where, by in _categories(record).items():
            yield (
                f"Windows right, {where}: "
                + ", ".join(f"{kind} {value:.3f}" for kind, value in sorted(by.items()))
                + ".\n"
            )
    if record.learnt:
        yield f"Learnt: {record.learnt}"
    if entry.next:
        yield f"Next: {entry.next}"
    if _has_curve(entry):
        yield f"\n![Curves of {record.name}]({folder}/{entry.plot})"


def _told(record: Record) -> str:
    settings = {name.removeprefix("train."): value for name, value in record.settings.items()}
    parts = [
        f"{record.steps:,} of {int(settings.get('steps', 0)):,} steps",
        f"peak rate {settings.get('peak_rate', '?')}",
    ]
    parts += [f"seed {settings['seed']}"] if "seed" in settings else []
    parts += [f"from {settings['start']}"] if settings.get("start", "None") != "None" else []
    parts += [f"commit {record.commit[:10]}"] if record.commit else []
    parts += [f"data {record.recipe}"] if record.recipe else []
    parts += [f"begun {record.started}"] if record.started else []
    return f"{', '.join(parts)}."


def _table(figures: dict[str, dict[str, float]]) -> str:
    columns = list(dict.fromkeys(name for values in figures.values() for name in values))
    rows = [f"| set | {' | '.join(columns)} |", f"| --- |{' --- |' * len(columns)}"]
    for where, values in figures.items():
        rows.append(f"| {where} | {' | '.join(f'{values[c]:.4g}' if c in values else '' for c in columns)} |")
    return "\n".join(rows)


def _has_curve(entry: Entry) -> bool:
    return any(len(points) > 1 for points in entry.record.series.values())


def _file(entry: Entry) -> str:
    words = {name: getattr(entry, name) for name in ("title", "made", "results", "next") if getattr(entry, name)}
    values = {"number": entry.number, **words, "record": entry.record.as_json()}
    return json.dumps(values, ensure_ascii=False, indent=1) + "\n"
