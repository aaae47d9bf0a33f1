"""Sweeps from Python: what ``sweep run`` does, as a function, and what a sweep found, as an object.

``import sweep`` gives `run`, `load` and `SweepResult` without loading anything heavy.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweep.lifecycle import Record, SweepState, Trial
    from sweep.report.rows import LeaderboardRow


@dataclass(frozen=True)
class SweepResult:
    """A sweep, as its journal tells it.

    Attributes:
        directory: the sweep's folder, absolute.
        state: everything that happened, folded; see `sweep.lifecycle.SweepState`.
    """

    directory: Path
    state: "SweepState"

    @property
    def name(self) -> str:
        """The sweep's name."""
        return self.directory.name

    @property
    def score(self) -> str:
        """The name of what the sweep maximises, such as ``Final Score``."""
        from sweep.report.score_label import label_in

        return label_in(self.state).name

    @property
    def ended(self) -> str | None:
        """Why the latest run ended: ``finished``, ``time``, ``stopped`` or ``error``; None: it runs, or died."""
        return self.state.ended.reason if self.state.ended else None

    @property
    def trials(self) -> "tuple[Trial, ...]":
        """All trials, in the order in which they were proposed."""
        return tuple(self.state.trials.values())

    @cached_property
    def leaderboard(self) -> "tuple[LeaderboardRow, ...]":
        """All trials as ``sweep leaderboard`` has them: complete ones first, the best of them first.

        Raises:
            ScoreError: the sweep's score is one of another package, which cannot be loaded here.
        """
        from sweep.report.rows import leaderboard_rows

        return leaderboard_rows(self.state)

    @property
    def best(self) -> "Trial | None":
        """The trial at the leaderboard's top; None while no trial is complete.

        Raises:
            ScoreError: see `leaderboard`.
        """
        first = next(iter(self.leaderboard), None)
        return None if first is None or first.rank is None else self.state.trials[first.trial]

    def files(self, trial: int) -> Mapping[str, Path]:
        """The files that are kept of a complete trial, by kind: ``tflite``, ``onnx``, ``picture`` and others.

        Empty where they were removed, because the trial is not among the best, or never were.

        Raises:
            KeyError: there is no such trial.
        """
        found = self.state.trials[trial]
        if found.completion is None or not found.has_files:
            return {}
        return {kind: self.directory / path for kind, path in found.completion.files.items()}


def run(
    space: str | Path,
    *,
    data: str | Path | None = None,
    farm: str | None = None,
    trials: int | None = None,
    epochs: int | None = None,
    time_limit: str | None = None,
    name: str | None = None,
    seed: int = 0,
    runs: str | Path = "runs",
    import_from: Sequence[str | Path] = (),
    ray_address: str | None = None,
    cpus_per_trial: int | None = None,
    gpus_per_trial: float | None = None,
    lookahead: int | None = None,
    ship_code: bool = False,
    mlflow_uri: str | None = None,
    mlflow_artifacts: str | None = None,
    optuna_storage: str | None = None,
    on_record: "Callable[[SweepState, Record], None] | None" = None,
) -> SweepResult:
    """Search for the best network, as ``sweep run`` does, and return when the sweep has ended.

    Ctrl-C ends it cleanly, if this is the main thread; ``sweep resume NAME`` goes on with it. Ray is started and
    stopped, so it must not run in this process already.

    Args:
        space: file of a search space, folder of candidate files, or a bundled space by name.
        data: a folder in the challenge's layout, NYU Depth v2's labelled .mat file, or ``package.module:Class``
            of a source of one's own; None: generated demo data.
        farm: ``HOST:PORT`` of a device farm that measures latency; None: one on this machine.
        trials: candidates to try; None: as many as the space says, as for ``epochs`` and ``time_limit``.
        epochs: of a full training.
        time_limit: wall-clock limit, such as ``10m`` or ``1h30m``.
        name: the sweep's; None: the space's and a number.
        seed: of proposals, weights and augmentation, at least 0.
        runs: the folder of all sweeps.
        import_from: folders with code of one's own, beside the space's and the current one.
        ray_address: a Ray cluster to run on; None: one on this machine.
        cpus_per_trial: CPUs and threads for each training; None: decided from what is there.
        gpus_per_trial: GPUs for each training; 0.25 lets four share one.
        lookahead: candidates measured ahead of training; None: as many as trainings or devices, the larger.
        ship_code: send this program's code to the nodes of ``ray_address``.
        mlflow_uri: MLflow's store, a database or a server; None: a file in ``runs``.
        mlflow_artifacts: folder or URI for MLflow's files.
        optuna_storage: database for a copy of the Optuna study; None: no copy.
        on_record: called with the state after each record of the journal, and the record; one call at a time,
            in the thread that made it happen, and the sweep waits for it.

    Returns:
        What the sweep found. Its ``ended`` says whether it came to its end.

    Raises:
        UsageError, SpaceError, DatasetError, RunError: something that is asked for cannot be used.
        ConnectionError, FarmError, RayUnavailable: a store, a farm or a cluster does not answer.
    """
    from sweep.engine.launch import Asked, Views, planned, ray_for, run_on

    started_at = time.monotonic()
    asked = Asked(
        space=Path(space),
        runs=Path(runs),
        name=name,
        data=None if data is None else str(data),
        farm=farm,
        trials=trials,
        epochs=epochs,
        time_limit=time_limit,
        seed=seed,
        import_from=tuple(map(Path, import_from)),
        ray_address=ray_address,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
        lookahead=lookahead,
        ship_code=ship_code,
        mlflow_uri=mlflow_uri,
        mlflow_artifacts=mlflow_artifacts,
        optuna_storage=optuna_storage,
    )
    settings, chosen = planned(asked)
    views = Views(nullcontext(_unseen), nullcontext(on_record or _unseen), warn=_log_warning)
    with ray_for(settings) as plan:
        run_on(plan, settings, chosen, views, started_at, resume=False)
    return load(settings.runs / settings.name)


def load(directory: str | Path) -> SweepResult:
    """The sweep in ``directory``, such as ``runs/mobilenetv3-1``; it may be running.

    Raises:
        JournalError: there is no sweep, or its journal is damaged.
    """
    from sweep.engine.own_code import find_score_again
    from sweep.lifecycle import read_state

    state = read_state(Path(directory))
    find_score_again(state.started)
    return SweepResult(Path(directory).resolve(), state)


def _unseen(*_: object) -> None:
    """For a view that nobody asked for."""


def _log_warning(problem: str) -> None:
    import logging

    logging.getLogger(__name__).warning("%s", problem)
