"""What can go wrong in the lab."""

from __future__ import annotations


class LabError(Exception):
    """Something the lab needs is not there, or can't be read. Says what, and what to do."""


class ExtraError(LabError):
    """A package of the training extra is not installed."""

    def __init__(self, error: ImportError) -> None:
        super().__init__(f"{error}; the lab needs the training extra: pip install -e '.[training]'")
