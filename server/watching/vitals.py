"""What matters of a server between two readings of its metrics: a row for each version of each engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from server.watching.scrape import Scrape, quantile


@dataclass(frozen=True, slots=True)
class EngineVitals:
    """Rates are by the second, times in s, memory in bytes (proportional set size; None where it can't be seen).

    ``ends`` counts cells that ended otherwise than well, by status, and ``refusals`` requests by reason, both between
    the two readings. ``queue`` is the engine's, whichever version will read.
    """

    engine: str
    label: str
    version: str
    serving: bool
    requests: float
    pages: float
    queue: int
    queue_limit: int
    p50_s: float | None
    p95_s: float | None
    idle: int
    busy: int
    starting: int
    busy_limit: int
    confidence: float | None
    ends: Mapping[str, int]
    refusals: Mapping[str, int]
    zygote_bytes: int | None
    cells_bytes: int | None


@dataclass(frozen=True, slots=True)
class Vitals:
    """Of one server. ``reloads`` counts done and refused ones together, since it started."""

    serving: bool
    server_bytes: int
    layers_off: tuple[str, ...]
    retiring: int
    reloads: int
    engines: tuple[EngineVitals, ...]


def vitals(before: Scrape, now: Scrape) -> Vitals:
    """Of the time between two readings of one server. One that was started anew in between counts from its start."""
    if now.sum("process_start_time_seconds") != before.sum("process_start_time_seconds"):
        before = Scrape(before.at_s, {})
    off = {found["layer"] for found, value in now.series("cloister_jail_layer_off") if value}
    return Vitals(
        serving=bool(now.value("cloister_serving")),
        server_bytes=int(now.sum("process_resident_memory_bytes")),
        layers_off=tuple(sorted(off)),
        retiring=int(now.sum("cloister_versions_retiring")),
        reloads=int(now.sum("cloister_reloads_total")),
        engines=tuple(_engine(before, now, found) for found, _ in now.series("cloister_engine_info")),
    )


def _engine(before: Scrape, now: Scrape, info: Mapping[str, str]) -> EngineVitals:
    engine, label = info["engine"], info["label"]
    seconds = max(now.at_s - before.at_s, 1e-9)

    def grown(name: str, **labels: str) -> float:
        of = {"engine": engine, "label": label, **labels}
        return max(0.0, now.sum(name, **of) - before.sum(name, **of))

    def grown_by(name: str, key: str) -> dict[str, int]:
        kinds = {found[key] for found, _ in now.series(name)}
        return {kind: count for kind in sorted(kinds) if (count := round(grown(name, **{key: kind})))}

    def cells(state: str) -> int:
        return int(now.sum("cloister_cells", engine=engine, label=label, state=state))

    def held(process: str) -> int | None:
        found = now.value("cloister_memory_proportional_bytes", engine=engine, label=label, process=process)
        return None if found is None else int(found)

    pages = grown("cloister_page_confidence_count")
    of = {"engine": engine, "label": label}
    return EngineVitals(
        engine=engine,
        label=label,
        version=f"{info['version']} {info['model_version']}".strip(),
        serving=bool(now.value("cloister_engine_serving", **of)),
        requests=grown("cloister_requests_total") / seconds,
        pages=grown("cloister_pages_total") / seconds,
        queue=int(now.sum("cloister_queue_length", engine=engine)),
        queue_limit=int(now.sum("cloister_requests_limit", engine=engine) - now.sum("cloister_cells_limit", **of)),
        p50_s=quantile(0.5, before, now, "cloister_request_seconds", **of),
        p95_s=quantile(0.95, before, now, "cloister_request_seconds", **of),
        idle=cells("idle"),
        busy=cells("busy"),
        starting=cells("starting"),
        busy_limit=int(now.sum("cloister_cells_limit", **of)),
        confidence=grown("cloister_page_confidence_sum") / pages if pages else None,
        ends={
            status: count
            for status, count in grown_by("cloister_cells_ended_total", "status").items()
            if status != "ok"
        },
        refusals={reason: count for reason, count in grown_by("cloister_requests_total", "reason").items() if reason},
        zygote_bytes=held("zygote"),
        cells_bytes=held("cells"),
    )
