"""Packages beside ours, installed by tests as anyone's would be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
VANDALS = Path(__file__).parent / "vandals"
EXAMPLE = ROOT / "deploy" / "examples" / "engine"


def install(package: Path, folder: Path) -> None:
    """Install a package's source into ``folder``, with what is here alone: pip fetches nothing."""
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--no-build-isolation", "--no-index", "--target", folder, package),
        ],
        check=True,
        timeout=100,
    )
