"""The journal, shown in MLflow: sends what `plan` computes, once, into runs that are found by their tags.

The store is only a projection: a store that is broken, locked or gone never stops a sweep. What could not be
sent waits and goes along with the next record; `catch_up` brings any store to the journal's state.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sweep.lifecycle import Record, SweepState, fold
from sweep.lifecycle.events import SweepStarted
from sweep.tracking.addresses import normalised, scrubbed
from sweep.tracking.experiments import ensure_experiment, find_experiments
from sweep.tracking.plan import (
    SEQUENCE_TAG,
    SWEEP_ID_TAG,
    TRIAL_TAG,
    RunUpdate,
    merge,
    plan,
)
from sweep.tracking.store import open_client

PARENT_TAG: Final = "mlflow.parentRunId"
_METRICS_PER_CALL: Final = 800  # MLflow allows 1000 entities a call: these, 100 parameters and the tags
_PARAMS_PER_CALL: Final = 100
_PAGE: Final = 1000

_log = logging.getLogger(__name__)


class MlflowProjection:
    """One sweep's runs in an MLflow store; used from one thread.

    Attributes:
        name: whose view of the sweep this is.
        seconds: time spent inside calls of MLflow so far.
        problem: why something could not be sent and is waiting; None if the store is up to date.
    """

    name: Final = "MLflow"

    def __init__(self, uri: str, artifact_root: Path | str | None, sweep_directory: Path) -> None:
        """Connect to the store at ``uri``; see `store.prepare_store` for what that costs.

        Args:
            uri: ``sqlite:////abs/path``, ``postgresql://USER@HOST/DATABASE`` or ``http(s)://HOST:PORT``.
            artifact_root: absolute folder, or URI, for the artifacts of new experiments; None: where the
                tracking server puts them. See `addresses.artifact_root`.
            sweep_directory: what the paths in `TrialCompleted.files` are relative to.

        Raises:
            ValueError: ``uri`` names no store.
            ConnectionError: no database answers there.
        """
        self.seconds = 0.0
        self.problem: str | None = None
        self._uri = uri
        self._artifact_root = artifact_root.as_uri() if isinstance(artifact_root, Path) else artifact_root
        self._directory = sweep_directory
        self._started: SweepStarted | None = None
        self._experiment: str | None = None
        self._runs: dict[int | None, _KnownRun] = {}
        self._waiting: dict[int | None, RunUpdate] = {}
        with self._timed():
            self._client: Any = open_client(uri)

    def apply(self, state: SweepState, record: Record) -> None:
        """Show one more record; ``state`` is the sweep's state after it."""
        self.apply_all([(state, record)])

    def apply_all(self, changes: Sequence[tuple[SweepState, Record]]) -> None:
        """Show further records, each with the sweep's state after it, in one batch per run.

        Records come in order, from `SweepStarted` on or after `catch_up` with all records before. With none, what
        could not be sent is tried once more.

        Raises:
            LookupError: records before these are missing in the store.
        """
        for state, record in changes:
            for update in plan(state, record):
                self._enqueue(update)
            self._started = state.started
        self._send_all()

    def catch_up(self, records: Sequence[Record]) -> None:
        """Bring the store to the state after ``records``, the whole journal from its first record on.

        Runs that are there already are gone on with; what they lack is added; nothing counts twice.
        """
        state = SweepState()
        for record in records:
            state = fold(state, record.event, record.time)
            for update in plan(state, record):
                self._enqueue(update)
        self._started = state.started
        self._send_all()

    def close(self) -> None:
        """Give up what still waits, with a warning; the next `catch_up` adds it."""
        if self._waiting:
            _log.warning("MLflow lacks the latest of %d runs: %s", len(self._waiting), self.problem)

    def _enqueue(self, update: RunUpdate) -> None:
        waiting = self._waiting.get(update.run)
        self._waiting[update.run] = merge(waiting, update) if waiting else update

    def _send_all(self) -> None:
        if self._started is None or not self._waiting:
            return
        try:
            with self._timed():
                if self._experiment is None:
                    self._find_runs(self._started)
                for run in sorted(self._waiting, key=_parent_first):
                    self._send(self._waiting[run], self._started)
                    del self._waiting[run]
        except LookupError:
            raise
        except Exception as error:  # databases, servers and artifact stores raise what they like
            self._postpone(scrubbed(str(error), self._uri))
        else:
            self.problem = None

    def _postpone(self, problem: str) -> None:
        """Keep what waits for the next time, and ask the store anew then: a call that failed may have counted."""
        if self.problem is None:
            _log.warning("MLflow is behind; the sweep goes on, its journal has everything: %s", problem)
        self.problem = problem
        self._experiment = None
        self._runs.clear()

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start

    def _find_runs(self, started: SweepStarted) -> None:
        """Learn which experiment is ours, and which runs of the sweep exist, deleted ones included."""
        from mlflow.entities import ViewType

        experiment = ensure_experiment(self._client, started, self._artifact_root)
        everywhere = [found.experiment_id for found in find_experiments(self._client, started.identity)]
        token = None
        while True:
            page = self._client.search_runs(
                everywhere,
                f"tags.`{SWEEP_ID_TAG}` = '{started.sweep_id}'",
                run_view_type=ViewType.ALL,
                max_results=_PAGE,
                page_token=token,
            )
            for run in page:
                self._learn(run)
            token = page.token
            if not token:
                break
        parent = self._runs.get(None)
        self._experiment = parent.experiment if parent else experiment

    def _learn(self, found: Any) -> None:
        """Note a run of the store. Of two of one trial, which a repeated call can make, one is deleted."""
        tags = found.data.tags
        trial = int(tags[TRIAL_TAG]) if TRIAL_TAG in tags else None
        run = _KnownRun(
            found.info.run_id,
            found.info.experiment_id,
            int(tags.get(SEQUENCE_TAG, -1)),
            found.info.lifecycle_stage == "deleted",
        )
        other = self._runs.get(trial)
        if other is None or other.deleted:
            self._runs[trial] = run
        elif not run.deleted:
            more, less = (run, other) if run.sequence > other.sequence else (other, run)
            self._client.delete_run(less.run_id)
            self._runs[trial] = more

    def _send(self, update: RunUpdate, started: SweepStarted) -> None:
        run = self._runs.get(update.run) or self._create(started, update)
        if run.deleted or run.sequence >= update.sequence:
            return
        try:
            self._publish_files(run.run_id, update)
            self._set_status(run.run_id, update)
            self._log_values(run.run_id, update)
        except Exception:
            if self._client.get_run(run.run_id).info.lifecycle_stage != "deleted":
                raise
            run.deleted = True  # somebody deleted the run in the dashboard, and it stays deleted
        run.sequence = update.sequence

    def _create(self, started: SweepStarted, update: RunUpdate) -> "_KnownRun":
        if update.name is None:
            raise LookupError(f"no MLflow run for trial {update.run}: catch_up with the journal comes first")
        tags = {SWEEP_ID_TAG: started.sweep_id}
        if update.run is not None:
            tags |= {TRIAL_TAG: str(update.run), PARENT_TAG: self._runs[None].run_id}
        created = self._client.create_run(
            self._experiment, start_time=update.started_ms, tags=tags, run_name=update.name
        )
        run = _KnownRun(created.info.run_id, created.info.experiment_id, -1, deleted=False)
        self._runs[update.run] = run
        return run

    def _publish_files(self, run_id: str, update: RunUpdate) -> None:
        for path in update.files.values():
            file = self._directory / path
            if file.is_file():  # else it was removed meanwhile to bound the disk
                self._client.log_artifact(run_id, str(file))
        for name, text in update.texts.items():
            self._client.log_text(run_id, text, name)
        if update.removed:
            self._remove_files(run_id, update)

    def _remove_files(self, run_id: str, update: RunUpdate) -> None:
        from mlflow.store.artifact.artifact_repository_registry import (
            get_artifact_repository,
        )

        published = {info.path for info in self._client.list_artifacts(run_id)}
        root = self._client.get_run(run_id).info.artifact_uri
        repository = get_artifact_repository(root, tracking_uri=normalised(self._uri))
        for path in update.removed.values():
            if Path(path).name in published:
                repository.delete_artifacts(Path(path).name)

    def _set_status(self, run_id: str, update: RunUpdate) -> None:
        if update.ended_ms is not None:
            self._client.set_terminated(run_id, update.status, end_time=update.ended_ms)
        elif update.status is not None:
            self._client.update_run(run_id, update.status)

    def _log_values(self, run_id: str, update: RunUpdate) -> None:
        """All values in as few calls as possible; the sequence tag comes last, so it vouches for the rest."""
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(point.key, point.value, point.time_ms, point.step) for point in update.metrics]
        params = [Param(key, value) for key, value in update.params.items()]
        tags = [RunTag(k, v) for k, v in {**update.tags, SEQUENCE_TAG: str(update.sequence)}.items()]
        calls = max(1, -(-len(metrics) // _METRICS_PER_CALL), -(-len(params) // _PARAMS_PER_CALL))
        for call in range(calls):
            self._client.log_batch(
                run_id,
                metrics=metrics[call * _METRICS_PER_CALL : (call + 1) * _METRICS_PER_CALL],
                params=params[call * _PARAMS_PER_CALL : (call + 1) * _PARAMS_PER_CALL],
                tags=tags if call == calls - 1 else (),
            )


class _KnownRun:
    """A run in the store, and up to which record it is known to be complete."""

    def __init__(self, run_id: str, experiment: str, sequence: int, deleted: bool) -> None:
        self.run_id = run_id
        self.experiment = experiment
        self.sequence = sequence
        self.deleted = deleted


def _parent_first(run: int | None) -> int:
    return -1 if run is None else run
