"""Contact sheets of what the net is shown, as PNG: `python -m engines.scribe.training.samples OUT [real]`."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from engines.scribe.training import fonts
from engines.scribe.training.corpus import Corpus
from engines.scribe.training.settings import RUNS, DataSettings
from engines.scribe.training.windows import Maker


def main(out: Path, rows: int = 30) -> None:
    """One sheet for each look, ``rows`` x 3 windows, and their texts beside as .txt."""
    out.mkdir(parents=True, exist_ok=True)
    settings = DataSettings()
    maker = Maker(Corpus(RUNS / "pools.json"), fonts.load(RUNS / "fonts.json"), settings)
    for look in [*settings.looks, "negative"]:
        rng = np.random.default_rng([1, len(look)])
        kind = "negative" if look == "negative" else None
        made = [maker.make(rng, kind, None if kind else look) for _ in range(rows * 3)]
        sheet = np.hstack([np.vstack([np.pad(m[0], 1) for m in made[i::3]]) for i in range(3)])
        cv2.imwrite(str(out / f"{look}.png"), sheet)
        (out / f"{look}.txt").write_text(
            "\n".join(" | ".join(m[1] for m in made[i * 3 : i * 3 + 3]) for i in range(rows))
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
