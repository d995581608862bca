"""An engine at work: what it is, its pool of cells, and who may come in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from jail.pool import Pool
from server.admission import Admission
from server.catalogue import EngineEntry


class Label(StrEnum):
    """Which of an engine's two versions."""

    STABLE = "stable"
    CANARY = "canary"
    """The next one: for requests that flags choose for it or that ask for it, as ``NAME@canary``."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class EngineHost:
    """One engine of a server. ``pool`` has started. ``admission`` is one for both versions of an engine."""

    entry: EngineEntry
    pool: Pool
    admission: Admission
    label: Label = Label.STABLE

    @property
    def name(self) -> str:
        """What requests and flags call it: the engine's name, with ``@canary`` where it is the canary."""
        return self.entry.name if self.label is Label.STABLE else f"{self.entry.name}@{self.label}"
