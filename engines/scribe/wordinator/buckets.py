"""The three buckets of confidence, which belong to the weights: they are in `word.json`, and found by `cloister lab
buckets`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

KEY = "buckets"
"""Their key in `word.json`."""


class BucketsError(Exception):
    """`word.json` has no buckets, or none that can be right; says which file."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """From where words are noise and from where they are sure; what lies between may be repaired. All in 0..1 but
    ``temperature``, which divides the logarithm of a word's confidence once all is decided, and makes it calibrated.
    """

    noise: float
    """Words are noise for which less speaks than this (`engines.scribe.wordinator.noise.evidence`)."""
    noise_known: float
    """So are words of the lexicon for which less speaks than this,"""
    noise_short: float
    """and words of one character."""
    sure: float
    """Words of higher confidence stay as they are."""
    temperature: float

    @classmethod
    def load(cls, directory: Path) -> Buckets:
        """Those of the weights in ``directory``. Raises BucketsError."""
        path = directory / "word.json"
        try:
            given = json.loads(path.read_text(encoding="utf-8"))[KEY]
            buckets = cls(**{field.name: float(given[field.name]) for field in fields(cls)})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BucketsError(f"no usable {KEY} in {path}: {error!r}; `cloister lab buckets` finds them") from error
        shares = (buckets.noise, buckets.noise_known, buckets.noise_short, buckets.sure)
        if not all(0 <= share <= 1 for share in shares):
            raise BucketsError(f"{path}: {KEY} out of 0..1: {buckets}")
        if not buckets.temperature > 0:
            raise BucketsError(f"{path}: the temperature of words must be above 0, not {buckets.temperature}")
        return buckets

    def save(self, directory: Path) -> None:
        """Keep these with the weights in ``directory``."""
        path = directory / "word.json"
        card = json.loads(path.read_text(encoding="utf-8")) | {KEY: self.as_json()}
        path.write_text(json.dumps(card, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    def as_json(self) -> dict[str, float]:
        """As they stand in `word.json`."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


START = Buckets(noise=0.6, noise_known=0.4, noise_short=0.85, sure=0.9, temperature=1.0)
"""Where weights have none yet. Those for noise were chosen with weights 1.2 on receipts, forms, letters, books and
tables, each of which alone would have them about a tenth higher; then words read wrong would go too, for which there is
often a use, and lines of photos with them."""
