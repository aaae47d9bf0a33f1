"""Which MLflow experiment a sweep belongs to: one per identity, so that only comparable scores share a table."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from sweep.lifecycle.events import Json, SweepStarted
from sweep.report.facts import facts_of
from sweep.report.score_label import ScoreLabel
from sweep.tracking.plan import cut

IDENTITY_TAG: Final = "depth_sweep.identity"
VIEW: Final = "scores"
"""Key of the shared view of the runs table that every experiment gets: trials by score."""

_MAX_NAME: Final = 400
_METRICS: Final = ("si_rmse", "runtime_ms", "rmse", "log10", "rel")


def ensure_experiment(client: Any, started: SweepStarted, artifact_root: str | None) -> str:
    """The id of the sweep's experiment, made or taken out of MLflow's bin if need be.

    Args:
        client: an `mlflow.MlflowClient`.
        started: the sweep's first event.
        artifact_root: URI of a folder; a new experiment's artifacts go into a folder of their own in it. None:
            where the tracking server puts them.
    """
    if not find_experiments(client, started.identity):
        _create(client, started, artifact_root)
    # Asked again: where sweeps share a store, another one may have made the experiment at the same moment.
    oldest = find_experiments(client, started.identity)[0]
    if oldest.lifecycle_stage == "deleted":
        client.restore_experiment(oldest.experiment_id)
    return str(oldest.experiment_id)


def find_experiments(client: Any, identity: Mapping[str, Json]) -> list[Any]:
    """Every `mlflow.entities.Experiment` of ``identity``, deleted or not; the oldest, which counts, first."""
    from mlflow.entities import ViewType

    wanted = f"tags.`{IDENTITY_TAG}` = '{_digest(identity)}'"
    found = client.search_experiments(view_type=ViewType.ALL, filter_string=wanted)
    return sorted(found, key=lambda experiment: (experiment.creation_time, int(experiment.experiment_id)))


def _create(client: Any, started: SweepStarted, artifact_root: str | None) -> None:
    facts = facts_of(started)
    digest = _digest(started.identity)
    name = cut(f"{facts.space} on {facts.data}, {facts.max_epochs} epochs, {facts.target}", _MAX_NAME)
    if client.get_experiment_by_name(name) is not None:
        name = f"{name} ({digest[:6]})"
    note = (
        "Sweeps whose scores are comparable: the same search space, data, full fidelity and target. "
        f"{facts.latency_statement}"
    )
    if facts.score.is_own:
        note += f" The score is {facts.score.name}."
    tags = {
        IDENTITY_TAG: digest,
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.note.content": note,
        f"mlflow.sharedViewState.{VIEW}": json.dumps(_view(facts.score)),
    }
    location = f"{artifact_root.rstrip('/')}/{digest}" if artifact_root else None
    client.create_experiment(name, artifact_location=location, tags=tags)


def _view(score: ScoreLabel) -> dict[str, Json]:
    """The state of the dashboard's runs table: trials only, best first, with the figures that matter."""
    figures = (score.key, *_METRICS, score.partial_key)
    columns = ["attributes.`Created`", *(f"metrics.`{key}`" for key in figures), "tags.`state`"]
    return {
        "searchFilter": "tags.kind = 'trial'",
        "orderByKey": f"metrics.`{score.key}`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": columns,
        "columnOrder": columns,
    }


def _digest(identity: Mapping[str, Json]) -> str:
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
