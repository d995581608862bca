"""MLflow's side of the records: a run's folder goes in, records come out.

The folder is the truth; MLflow is told what it does not know yet, so that a run made without it, or while its server
was away, is recorded later by the same way. Local files in runs/ by default; any server by MLFLOW_TRACKING_URI.
"""

from __future__ import annotations

import json
import logging
import os
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from engines.scribe.training.lab.problems import ExtraError, LabError
from engines.scribe.training.lab.record import LOG, SETTINGS, Figures, Net, Record, Series, flat, from_folder
from engines.scribe.training.settings import RUNS

_URI = "MLFLOW_TRACKING_URI"
_TAG = "cloister."
_FIGURES = "figures/"
_MOST_METRICS = 1000
_FINISHED = "FINISHED"


class Store:
    """Records in MLflow. Making one opens it. Raises `ExtraError` where MLflow is not installed, else `LabError`."""

    def __init__(self) -> None:
        # It would count its users over the network, and wait minutes for a server that is away.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        try:
            import mlflow
        except ImportError as error:
            raise ExtraError(error) from error
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        RUNS.mkdir(exist_ok=True)
        self.uri = os.environ.get(_URI) or f"sqlite:///{(RUNS / 'mlflow.db').resolve()}"
        self._artifacts = None if os.environ.get(_URI) else (RUNS / "artifacts").resolve().as_uri()
        self._error = mlflow.exceptions.MlflowException
        self._client = self._asked(lambda: mlflow.MlflowClient(self.uri))

    def sync(self, folder: Path, *, ended: bool = False) -> None:
        """Tell MLflow what it does not know yet of the run in ``folder``. Raises LabError."""
        self._asked(lambda: self._sync(folder, ended))

    def learnt(self, name: str, text: str) -> bool:
        """Note what was learnt from the runs called ``name``; False where there is none."""
        runs = [run for run in self._asked(self._runs) if run.data.tags.get(f"{_TAG}name") == name]
        for run in runs:
            self._asked(lambda run=run: self._client.set_tag(run.info.run_id, f"{_TAG}learnt", text))
        return bool(runs)

    def records(self) -> list[Record]:
        """All of them, the oldest first. Raises LabError."""
        return self._asked(lambda: [self._record(run) for run in self._runs()])

    def _asked(self, what: Any) -> Any:
        try:
            return what()
        except (self._error, OSError) as error:
            raise LabError(f"MLflow at {self.uri} can't be asked: {error}") from error

    def _sync(self, folder: Path, ended: bool) -> None:
        record = from_folder(folder)
        run = self._run_of(record)
        run_id, tags = run.info.run_id, run.data.tags
        for name, value in record.settings.items():
            if name not in run.data.params:  # they can't be changed: those of later parts are in the artifacts
                self._client.log_param(run_id, name, value[:6000])
        told = {"goal": record.goal, "learnt": record.learnt, "commit": record.commit, "recipe": record.recipe}
        told |= {"settings": json.dumps(record.settings)}
        for name, value in told.items():
            if value and tags.get(_TAG + name) != value:
                self._client.set_tag(run_id, _TAG + name, value)
        rows = (folder / LOG).read_text().splitlines() if (folder / LOG).exists() else []
        known = int(tags.get(f"{_TAG}entries", "0"))
        if rows[known:]:
            self._measure(run_id, [json.loads(row) for row in rows[known:]])
            self._client.set_tag(run_id, f"{_TAG}entries", str(len(rows)))
        for where, figures in record.figures.items():
            for name, value in figures.items():
                self._client.log_metric(run_id, f"{_FIGURES}{where}/{name}", value, step=record.steps)
        if ended and run.info.status != _FINISHED:
            for path in (folder / SETTINGS, folder / LOG):
                if path.exists():
                    self._client.log_artifact(run_id, str(path))
            self._client.set_terminated(run_id, _FINISHED)

    def _measure(self, run_id: str, entries: list[dict[str, Any]]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, int(entry["step"])) for entry in entries for name, value in flat(entry)]
        for start in range(0, len(metrics), _MOST_METRICS):
            self._client.log_batch(run_id, metrics[start : start + _MOST_METRICS])

    def _experiment(self, net: Net) -> str:
        name = f"cloister-{net}"
        found = self._client.get_experiment_by_name(name)
        made = found.experiment_id if found else self._client.create_experiment(name, self._artifacts)
        return str(made)

    def _run_of(self, record: Record) -> Any:
        for run in self._runs():
            same = run.data.tags.get(f"{_TAG}name") == record.name and run.data.tags.get(f"{_TAG}net") == record.net
            # Folders may be thrown away and their names taken again: a run is its name and its beginning.
            if same and run.data.tags.get(f"{_TAG}started") == record.started:
                return run
        began = int(datetime.fromisoformat(record.started).timestamp() * 1000) if record.started else None
        tags = {f"{_TAG}name": record.name, f"{_TAG}net": record.net, f"{_TAG}started": record.started}
        return self._client.create_run(self._experiment(record.net), began, tags, record.name)

    def _runs(self) -> list[Any]:
        experiments = [self._client.get_experiment_by_name(f"cloister-{net}") for net in Net]
        ids = [experiment.experiment_id for experiment in experiments if experiment]
        found: list[Any] = []
        token = None
        while ids:
            page = self._client.search_runs(ids, order_by=["attributes.start_time ASC"], page_token=token)
            found += page
            token = page.token
            if not token:
                break
        return found

    def _record(self, run: Any) -> Record:
        tags = {name.removeprefix(_TAG): value for name, value in run.data.tags.items() if name.startswith(_TAG)}
        series: Series = {}
        figures: Figures = {}
        for name in run.data.metrics:
            history = self._client.get_metric_history(run.info.run_id, name)
            points = sorted({point.step: point.value for point in history}.items())
            if name.startswith(_FIGURES):
                where, _, measure = name.removeprefix(_FIGURES).rpartition("/")
                figures.setdefault(where, {})[measure] = points[-1][1]
            else:
                series[name] = points
        return Record(
            name=tags["name"],
            net=Net(tags["net"]),
            goal=tags.get("goal", ""),
            learnt=tags.get("learnt", ""),
            started=tags.get("started", ""),
            commit=tags.get("commit", ""),
            recipe=tags.get("recipe", ""),
            settings=json.loads(tags.get("settings", "{}")),
            series=series,
            figures=figures,
        )
