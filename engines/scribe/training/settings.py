"""Every setting of data and training in one place; a run records all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DataSettings:
    """How synthetic windows are made. Shares are relative."""

    seed: int = 20
    shard: int = 4096
    """Windows in a shard."""
    kinds: dict[str, float] = field(
        default_factory=lambda: {
            "sentence": 0.34, "heading": 0.08, "receipt": 0.17, "numbers": 0.07, "date": 0.05, "code": 0.06,
            "contact": 0.07, "rare": 0.05, "jumble": 0.035, "single": 0.025, "leaders": 0.01, "item": 0.02,
            "brief": 0.10, "negative": 0.04,
        }
    )  # fmt: skip
    looks: dict[str, float] = field(
        default_factory=lambda: {"clean": 0.30, "bitonal": 0.27, "receipt": 0.23, "photo": 0.20},
    )


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How the net is trained."""

    seed: int = 7
    batch: int = 64
    steps: int = 12_000
    peak_rate: float = 3e-3
    warmup: int = 400
    weight_decay: float = 0.02
    clip: float = 2.0
    ema: float = 0.998
    real_share: float = 0.35
    small: bool = False
    """Whether it is the small net that is trained."""
    teacher: str = ""
    """Weights of the large net, whose readings are the truth instead of what windows say; none if empty."""
    threads: int = 2
    checkpoint_every: int = 250
    evaluate_every: int = 500


SHARDS = Path("shards")
RUNS = Path("runs")
