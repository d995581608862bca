"""What documents are read and written with works where nothing can be opened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_a_loaded_job_opens_and_imports_nothing() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "tests.pdf.opens_nothing"],
        cwd=root,
        env={"PYTHONPATH": f"{root}:{root / 'proto'}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
