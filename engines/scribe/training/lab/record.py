"""A record of a training run, as it is kept in the run's folder, in MLflow, and in the notebook."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from engines.scribe.training.lab.problems import LabError
from engines.scribe.training.settings import RUNS

NOTES = "notes.json"
SETTINGS = "settings.jsonl"
LOG = "log.jsonl"
_TURN = "orientation-"

Series = dict[str, list[tuple[int, float]]]
"""(step, value) by what is measured: ``loss``, ``real/words``, ``synthetic/by/receipt``..."""
Figures = dict[str, dict[str, float]]
"""Values by set and measure, of the weights that a run ended with."""


class Net(StrEnum):
    """Which net a run trains."""

    WORD = "word"
    TURN = "turn"


@dataclass(frozen=True, slots=True)
class Record:
    """One run. Texts are empty, and tables too, where nothing is known."""

    name: str
    net: Net
    goal: str = ""
    learnt: str = ""
    started: str = ""
    commit: str = ""
    recipe: str = ""
    """Hash of the data's recipe."""
    settings: dict[str, str] = field(default_factory=dict)
    """Of the run's last part, the seed among them."""
    series: Series = field(default_factory=dict)
    figures: Figures = field(default_factory=dict)

    @property
    def steps(self) -> int:
        return max((points[-1][0] for points in self.series.values() if points), default=0)

    def last(self) -> dict[str, float]:
        """The last value of each series."""
        return {name: points[-1][1] for name, points in self.series.items() if points}

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Record:
        series = {
            name: [(int(step), float(value)) for step, value in points] for name, points in values["series"].items()
        }
        return cls(**{**values, "net": Net(values["net"]), "series": series})


def folder_of(name: str) -> Path:
    """The folder of the run called ``name``, whichever net it trains. Raises LabError where there is none."""
    for folder in (RUNS / name, RUNS / f"{_TURN}{name}"):
        if (folder / SETTINGS).exists():
            return folder
    raise LabError(
        f"there is no run {name} in {RUNS}: {', '.join(f.name for f in folders()) or 'there is none at all'}"
    )


def folders() -> list[Path]:
    """The folders of all runs that are here."""
    return sorted(path.parent for path in RUNS.glob(f"*/{SETTINGS}"))


def from_folder(folder: Path) -> Record:
    """The record in a run's own folder. Raises LabError."""
    net = Net.TURN if folder.name.startswith(_TURN) else Net.WORD
    try:
        parts = [json.loads(row) for row in (folder / SETTINGS).read_text().splitlines()]
        noted = notes(folder)
        rows = (folder / LOG).read_text().splitlines() if (folder / LOG).exists() else []
        series = collected(json.loads(row) for row in rows)
    except (OSError, ValueError) as error:
        raise LabError(f"{folder} can't be read as a run: {error}") from error
    first, last = parts[0], parts[-1]
    goals = [part["goal"] for part in parts if part.get("goal")]
    settings = {"train." + name: str(value) for name, value in last["train"].items()}
    return Record(
        name=folder.name.removeprefix(_TURN) if net is Net.TURN else folder.name,
        net=net,
        goal=goals[-1] if goals else "",
        learnt=noted.get("learnt", ""),
        started=first.get("at", ""),
        commit=last.get("commit", ""),
        recipe=last.get("recipe", {}).get("hash", ""),
        settings=settings | {"start": str(last.get("start", "None"))},
        series=series,
        figures=noted.get("figures", {}),
    )


def notes(folder: Path) -> dict[str, Any]:
    """What was noted about a run after it: ``learnt``, ``figures``."""
    path = folder / NOTES
    return dict(json.loads(path.read_text())) if path.exists() else {}


def note(folder: Path, **values: object) -> None:
    """Add to a run's notes."""
    (folder / NOTES).write_text(json.dumps(notes(folder) | values, ensure_ascii=False, indent=1) + "\n")


def collected(entries: Iterator[dict[str, Any]]) -> Series:
    """Log entries as series; of two values for a step, as where a run went on from a checkpoint, the later."""
    by_step: dict[str, dict[int, float]] = {}
    for entry in entries:
        for name, value in flat(entry):
            by_step.setdefault(name, {})[int(entry["step"])] = value
    return {name: sorted(points.items()) for name, points in by_step.items()}


def flat(entry: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a log entry but its step, with the names they stand under, joined by slashes."""
    for name, value in entry.items():
        path = f"{prefix}{name}".replace(" ", "_")
        if isinstance(value, Mapping):
            yield from flat(value, f"{path}/")
        elif isinstance(value, int | float) and path != "step":
            yield path, float(value)


def thinned(record: Record, most: int = 120) -> Record:
    """The record with ``most`` points of each series, the first and the last among them, four digits each."""
    series = {}
    for name, points in record.series.items():
        stride = max(1, -(-len(points) // most))
        kept = points[::stride]
        kept += [] if not points or kept[-1] == points[-1] else [points[-1]]
        series[name] = [(step, float(f"{value:.4g}")) for step, value in kept]
    return replace(record, series=series)
