"""Reads back what MLflow and Optuna hold of a sweep, for `agreement.agreement`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.lifecycle import read_state
from sweep.lifecycle.events import SweepStarted
from sweep.report.score_label import ScoreLabel, label_of
from sweep.tracking.agreement import MlflowRow, agreement
from sweep.tracking.experiments import find_experiments
from sweep.tracking.plan import SWEEP_ID_TAG, TRIAL_TAG
from sweep.tracking.store import open_client

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


def disagreements(directory: Path, mlflow_uri: str | None, optuna_url: str | None) -> tuple[str, ...]:
    """What the stores show otherwise than the journal of the sweep in ``directory``; None: no such store.

    Raises:
        JournalError: there is no sweep, or its journal is damaged.
        ValueError: an address names no store.
        ConnectionError: a database does not answer.
    """
    state = read_state(directory)
    if state.started is None:
        return ()
    rows = None if mlflow_uri is None else read_mlflow(mlflow_uri, state.started)
    trials = None if optuna_url is None else read_optuna(optuna_url, state.started)
    return agreement(state, rows, trials)


def read_mlflow(uri: str, started: SweepStarted) -> tuple[MlflowRow, ...]:
    """The sweep's runs in the store at ``uri``, those that were deleted left out."""
    client: Any = open_client(uri)
    experiments = [found.experiment_id for found in find_experiments(client, started.identity)]
    label = label_of(started.identity)
    rows: list[MlflowRow] = []
    token = None
    while experiments:
        page = client.search_runs(
            experiments, f"tags.`{SWEEP_ID_TAG}` = '{started.sweep_id}'", page_token=token
        )
        rows += [_row(client, run, label) for run in page]
        token = page.token
        if not token:
            break
    return tuple(rows)


def read_optuna(url: str, started: SweepStarted) -> "tuple[FrozenTrial, ...]":
    """The trials of the sweep's study in the database at ``url``; none if there is no such study."""
    from sweep.tracking.optuna_projection import open_storage, study_name

    storage = open_storage(url)
    try:
        study_id = storage.get_study_id_from_name(study_name(started))
        return tuple(storage.get_all_trials(study_id, deepcopy=False))
    except KeyError:
        return ()
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _row(client: Any, run: Any, label: ScoreLabel) -> MlflowRow:
    tags, metrics = run.data.tags, run.data.metrics
    scores = {}
    if label.partial_key in metrics:
        history = client.get_metric_history(run.info.run_id, label.partial_key)
        scores = {point.step: point.value for point in history}
    return MlflowRow(
        trial=int(tags[TRIAL_TAG]) if TRIAL_TAG in tags else None,
        status=run.info.status,
        state=tags.get("state", ""),
        final_score=metrics.get(label.key),
        scores=scores,
    )
