"""Pictures of what `bench.load` found, from its JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_QUANTILES = ("p50", "p95", "p99")
_DPI = 120


def draw(figures: Mapping[str, Any], folder: Path) -> Iterator[Path]:
    """Write a PNG for each part that is there; yields their paths."""
    import matplotlib as mpl

    mpl.use("Agg")
    for name, picture in (("peers", _peers), ("closed", _closed), ("open", _open), ("memory", _memory)):
        if name in figures:
            path = folder / f"{name}.png"
            figure = picture(figures[name])
            figure.savefig(path, dpi=_DPI)
            yield path


def _figure(columns: int) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5 * columns, 3.6), layout="constrained")
    return figure, figure.subplots(1, columns)


def _peers(sides: Mapping[str, Any]) -> Any:
    figure, (speed, memory) = _figure(2)
    names = list(sides)
    speed.bar(names, [side["pages_per_s"] for side in sides.values()])
    speed.set_ylabel("pages a second")
    memory.bar(names, [side["uses"]["all"]["pss_peak_mib"] for side in sides.values()])
    memory.set_ylabel("memory at most, MiB (PSS)")
    return figure


def _closed(steps: list[Any]) -> Any:
    figure, (speed, latency) = _figure(2)
    at_once = [step["at_once"] for step in steps]
    speed.plot(at_once, [step["outcome"]["answered_per_s"] for step in steps], marker="o")
    speed.set_ylabel("pages a second")
    _latencies(latency, at_once, [step["outcome"] for step in steps])
    for axes in (speed, latency):
        axes.set_xlabel("callers at a time")
        axes.set_xscale("log", base=2)
        axes.set_xticks(at_once, [str(count) for count in at_once])
    return figure


def _open(found: Mapping[str, Any]) -> Any:
    figure, (speed, latency) = _figure(2)
    outcomes = [rate["outcome"] for rate in found["rates"]]
    offered = [each["offered_per_s"] for each in outcomes]
    speed.plot(offered, [each["answered_per_s"] for each in outcomes], marker="o", label="answered")
    speed.axhline(found["capacity_per_s"], linestyle="--", color="grey", label="capacity")
    speed.set_ylabel("pages answered a second")
    speed.legend()
    _latencies(latency, offered, outcomes)
    for axes in (speed, latency):
        axes.set_xlabel("pages offered a second")
        axes.set_ylim(bottom=0)
    return figure


def _latencies(axes: Any, at: list[float], outcomes: list[Any]) -> None:
    there = [(x, each["latency_ms"]) for x, each in zip(at, outcomes, strict=True) if each["latency_ms"] is not None]
    for quantile in _QUANTILES:
        axes.plot([x for x, _ in there], [times[quantile] / 1e3 for _, times in there], marker="o", label=quantile)
    axes.set_ylabel("time to the answer, s")
    axes.legend()


def _memory(sizes: list[Any]) -> Any:
    figure, axes = _figure(1)
    busy = [size["busy"] for size in sizes]
    axes.plot(busy, [size["cloister_mib"] for size in sizes], marker="o", label="Cloister, all its processes")
    axes.plot(busy, [size["processes_mib"] for size in sizes], marker="o", label="processes with models each")
    axes.set_xlabel("pages read at a time")
    axes.set_ylabel("memory, MiB (PSS)")
    axes.set_xticks(busy)
    axes.set_ylim(bottom=0)
    axes.legend()
    return figure
