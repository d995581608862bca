"""Errors of the lab's commands, in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from server.cli.common import Exit, errors


@contextmanager
def explained() -> Iterator[None]:
    """End the command with a message instead of a traceback where something it needs is not there."""
    try:
        from engines.scribe.recogniser.card import WeightsError
        from engines.scribe.training.lab.problems import LabError
        from engines.scribe.wordinator.buckets import BucketsError

        yield
    except ImportError as error:
        errors.print(f"cloister: {error}; the lab needs the training extra: pip install -e '.[training]'")
        raise typer.Exit(Exit.FAILED) from error
    except (LabError, WeightsError, BucketsError, OSError) as error:
        errors.print(f"cloister: {error}")
        raise typer.Exit(Exit.FAILED) from error
