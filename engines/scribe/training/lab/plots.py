"""Plots as small PNGs: a run's curves, all runs beside each other, and how true confidence is."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from engines.scribe.training.lab.problems import ExtraError
from engines.scribe.training.lab.record import Record

_DPI = 80
_COLOURS = 32
"""Of a PNG's palette: plots are flat, and are committed."""
_MANY = (
    *("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown", "tab:pink", "black"),
    *("gold", "navy", "lime", "tomato", "teal", "peru", "deeppink", "gray"),
)
"""Colours of more curves than matplotlib has by itself."""
_LEAST = 0.5
"""Sets of which less is always read, as handwriting, are left out of the plot of all runs."""
_EVALUATED = ("real/words", "synthetic/words", "crops", "upright_pages")


def curves(records: Sequence[Record], path: Path) -> None:
    """Loss, and words (of the turn net: crops and pages) read right on held-back data, by step. Raises ExtraError."""
    figure, (left, right) = _figure(2)
    for record in records:
        said = f"{record.name} " if len(records) > 1 else ""
        if points := record.series.get("loss"):
            left.plot(*zip(*points, strict=True), linewidth=1, label=f"{said}loss")
        for name in _EVALUATED:
            if points := record.series.get(name):
                right.plot(*zip(*points, strict=True), marker="o", markersize=3, linewidth=1, label=f"{said}{name}")
    _title(left, "loss", "step")
    _title(right, "share right, held back", "step")
    _save(figure, path)


def progress(series: Mapping[str, Sequence[tuple[int, float]]], path: Path) -> None:
    """What each numbered run ended with, by set: name -> (number, value). Raises ExtraError."""
    figure, (axes,) = _figure(1, wide=2)
    axes.set_prop_cycle(color=_MANY)
    for name, points in series.items():
        if max(value for _, value in points) >= _LEAST:
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, linewidth=1, label=name)
    axes.xaxis.get_major_locator().set_params(integer=True)
    _title(axes, "share of words right", "run", loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set_ylim(_LEAST, 1)
    _save(figure, path, 4 * _COLOURS)


def reliability(curves_: Mapping[str, Sequence[tuple[float, float, int]]], title: str, path: Path) -> None:
    """Share right against confidence for (mean confidence, share right, words) of each bin, by curve; beside it how
    many words the bins of the first have. Raises ExtraError."""
    figure, (left, right) = _figure(2)
    left.plot([0, 1], [0, 1], color="0.7", linewidth=1, linestyle="--", label="true confidence")
    for name, bins in curves_.items():
        sure, hits, _ = zip(*bins, strict=True)
        left.plot(sure, hits, marker="o", markersize=3, linewidth=1.2, label=name)
    sure, _, counts = zip(*next(iter(curves_.values())), strict=True)
    right.bar(sure, counts, width=0.05)
    right.set_yscale("log")
    _title(left, title, "confidence")
    _title(right, "words", "confidence")
    _save(figure, path)


def symbols(characters: str, shares: Mapping[str, Sequence[float]], path: Path) -> None:
    """How common each of ``characters`` is, by curve, on a log scale: shares of 0 are left out. Raises ExtraError."""
    figure, (axes,) = _figure(1, wide=4.2)
    places = range(len(characters))
    for name, values in shares.items():
        points = [(place, value) for place, value in zip(places, values, strict=True) if value]
        axes.plot(*zip(*points, strict=True), marker="o", markersize=2.5, linewidth=0, label=name)
    axes.set_yscale("log")
    axes.set_xticks(places, list(characters))
    _title(axes, "share of all characters", "")
    axes.tick_params(axis="x", labelsize=5.5)
    _save(figure, path)


def _figure(count: int, wide: float = 1) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ExtraError(error) from error
    figure = Figure(figsize=(4.6 * count * wide, 3), dpi=_DPI, layout="constrained")
    return figure, [figure.add_subplot(1, count, place + 1) for place in range(count)]


def _title(axes: Any, title: str, below: str, **legend: object) -> None:
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(below, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7, **legend)


def _save(figure: Any, path: Path, colours: int = _COLOURS) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.open(buffer).convert("RGB").quantize(colours).save(path, "PNG", optimize=True)
