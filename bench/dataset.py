"""Where the pages for measuring are; `server.truth` says what they look like."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder() -> Path | None:
    """``$CLOISTER_DATA`` or ``../shared/data``, None where neither is there."""
    for candidate in (os.environ.get("CLOISTER_DATA"), Path(__file__).parents[2] / "shared" / "data"):
        if candidate is not None and Path(candidate).is_dir():
            return Path(candidate)
    return None
