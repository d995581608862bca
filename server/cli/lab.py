"""``cloister lab``: records of training runs, and tools to look at fonts, symbols, misreadings and confidence.

Thin: the work is done in `engines.scribe.training.lab`, which is imported when it is asked for. Run from the
repository's root, where runs/ and shards/ are.
"""

from __future__ import annotations

import typer

from server.cli import lab_runs, lab_tools

lab = typer.Typer(
    name="lab",
    help="Training runs, their notebook, and tools to look at fonts, misreadings and confidence.",
    no_args_is_help=True,
    add_completion=False,
)
lab.add_typer(lab_runs.app)
lab.add_typer(lab_tools.app)
