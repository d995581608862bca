"""An engine at work: what it is, its pool of cells, and who may come in."""

from __future__ import annotations

from dataclasses import dataclass

from jail.pool import Pool
from server.admission import Admission
from server.catalogue import EngineEntry


@dataclass(frozen=True, slots=True)
class EngineHost:
    """One engine of a server. ``pool`` has started."""

    entry: EngineEntry
    pool: Pool
    admission: Admission
