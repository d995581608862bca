"""Reads what a server shows to Prometheus, and compares two readings."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException

from prometheus_client.parser import text_string_to_metric_families

_TIMEOUT_S = 10.0
_MAX_BYTES = 16 << 20

Labels = Mapping[str, str]


class ScrapeError(Exception):
    """Nothing could be read there. Says where, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """One reading: each series' value, at ``at_s`` of `time.monotonic`."""

    at_s: float
    values: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    def value(self, name: str, **labels: str) -> float | None:
        """Of one series; None where it is not there."""
        return self.values.get((name, frozenset(labels.items())))

    def sum(self, name: str, **labels: str) -> float:
        """Of all series of that name that have these labels, whatever others they have."""
        return sum(value for found, value in self.series(name) if labels.items() <= found.items())

    def series(self, name: str) -> list[tuple[dict[str, str], float]]:
        return [(dict(labels), value) for (found, labels), value in self.values.items() if found == name]


def scrape(url: str) -> Scrape:
    """What the server at ``url`` shows now. Raises `ScrapeError`."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:
            text = response.read(_MAX_BYTES).decode()
        values = {
            (sample.name, frozenset(sample.labels.items())): float(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    except urllib.error.HTTPError as error:
        raise ScrapeError(f"{url}: HTTP status {error.code}; is it a Cloister server, and well?") from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ScrapeError(
            f"{url}: {reason}; start the server with metrics.address set, and name that address here"
        ) from error
    if not any(name == "cloister_serving" for name, _ in values):
        raise ScrapeError(f"{url}: these are not the metrics of a Cloister server that has started")
    return Scrape(time.monotonic(), values)


def url_of(address: str) -> str:
    """Of ``host:port`` the page with the metrics; a URL is left as it is."""
    return address if "://" in address else f"http://{address}/metrics"


def quantile(share: float, before: Scrape, now: Scrape, name: str, **labels: str) -> float | None:
    """Of what came into a histogram between two readings, as Prometheus' histogram_quantile has it; None for nothing.

    What lies above the last bound counts as that bound.
    """
    counts: dict[float, float] = {}
    for scraped, sign in ((now, 1), (before, -1)):
        for found, value in scraped.series(f"{name}_bucket"):
            if labels.items() <= found.items():
                bound = float(found["le"])
                counts[bound] = counts.get(bound, 0.0) + sign * value
    bounds = sorted(counts)
    if not bounds or counts[bounds[-1]] <= 0:
        return None
    wanted = share * counts[bounds[-1]]
    low, below = 0.0, 0.0
    for bound in bounds:
        if counts[bound] >= wanted:
            if bound == float("inf"):
                return low
            return low + (bound - low) * (wanted - below) / max(counts[bound] - below, 1e-12)
        low, below = bound, counts[bound]
    return low
