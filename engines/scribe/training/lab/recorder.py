"""Records a run in MLflow while it trains: `Recorder(folder)` once its settings are written, `update` after each line
of its log, `finish` at its end. What is wrong with MLflow is said once and never stops a run: its folder holds all, and
`cloister lab import` records it later."""

from __future__ import annotations

from pathlib import Path

from engines.scribe.training.lab.problems import ExtraError, LabError
from engines.scribe.training.lab.store import Store


class Recorder:
    """Records the run in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._store: Store | None = None
        try:
            self._store = Store()
        except ExtraError:
            print(
                f"not recorded in MLflow, which is not installed; later: cloister lab import {folder.name}", flush=True
            )
        except LabError as error:
            self._give_up(error)
        self.update()

    def update(self) -> None:
        """Record what is new in the folder."""
        self._sync(ended=False)

    def finish(self) -> None:
        """Record that the run has ended."""
        self._sync(ended=True)

    def _sync(self, ended: bool) -> None:
        if self._store is None:
            return
        try:
            self._store.sync(self._folder, ended=ended)
        except LabError as error:
            self._give_up(error)

    def _give_up(self, error: LabError) -> None:
        self._store = None
        print(f"no longer recorded: {error}; later: cloister lab import {self._folder.name}", flush=True)
