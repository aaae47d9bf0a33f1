"""Everything a store holds of one sweep, free of MLflow's own identifiers, so that stores can be compared."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

ENDED = ("FINISHED", "FAILED", "KILLED")


@dataclass(frozen=True)
class StoredRun:
    """One run; ``metrics`` has every point as (key, step, time in ms, value), sorted."""

    status: str
    start_ms: int
    end_ms: int | None
    parent: str | None
    params: dict[str, str]
    tags: dict[str, str]
    metrics: list[tuple[str, int, int, float]]
    files: dict[str, bytes]

    def series(self, key: str) -> list[tuple[int, float]]:
        return [(step, value) for name, step, _, value in self.metrics if name == key]


def dump(uri: str) -> dict[str, StoredRun]:
    """All runs of the store by name; fails if two have the same name."""
    client = MlflowClient(tracking_uri=uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments)
    names = {run.info.run_id: run.info.run_name for run in runs}
    assert len(set(names.values())) == len(names), f"runs were made twice: {sorted(names.values())}"
    return {run.info.run_name: _stored(client, run, names) for run in runs}


def _stored(client: MlflowClient, run: Any, names: dict[str, str]) -> StoredRun:
    tags = dict(run.data.tags)
    parent = tags.pop("mlflow.parentRunId", None)
    points = [
        (key, point.step, point.timestamp, point.value)
        for key in run.data.metrics
        for point in client.get_metric_history(run.info.run_id, key)
    ]
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    return StoredRun(
        status=run.info.status,
        start_ms=run.info.start_time,
        end_ms=run.info.end_time if run.info.status in ENDED else None,
        parent=names[parent] if parent else None,
        params=dict(run.data.params),
        tags=tags,
        metrics=sorted(points),
        files={path.name: path.read_bytes() for path in folder.glob("*")},
    )
