"""Whether MLflow and Optuna show what the journal says: a pure comparison of everything that all three hold.

`sweep.tracking.readers` reads the two stores.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from sweep.lifecycle import SweepState, Trial, TrialState
from sweep.report.score_label import label_in
from sweep.tracking.plan import Status, sweep_status, trial_status

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

_T = TypeVar("_T")
_OPTUNA: Final[Mapping[TrialState, str]] = {
    TrialState.COMPLETE: "COMPLETE",
    TrialState.PRUNED: "PRUNED",
    TrialState.INFEASIBLE: "FAIL",
    TrialState.FAILED: "FAIL",
}


@dataclass(frozen=True)
class MlflowRow:
    """What an MLflow run that nobody deleted holds of a trial, or of the sweep itself (``trial`` None).

    ``scores`` are the partial scores by epoch.
    """

    trial: int | None
    status: str
    state: str
    final_score: float | None = None
    scores: Mapping[int, float] = field(default_factory=dict)


def agreement(
    state: SweepState,
    mlflow_rows: Iterable[MlflowRow] | None,
    optuna_trials: "Iterable[FrozenTrial] | None",
) -> tuple[str, ...]:
    """Every disagreement between the journal's state and the stores, one sentence each; empty: all agree.

    Numbers are compared exactly: every store holds double precision.

    Args:
        state: the sweep's state, after the projections caught up.
        mlflow_rows: the sweep's runs; None: it has no such projection.
        optuna_trials: the trials of its study, which optimises the score or several figures; None: likewise.
    """
    found: list[str] = []
    if mlflow_rows is not None:
        found += _in_mlflow(state, tuple(mlflow_rows))
    if optuna_trials is not None:
        found += _in_optuna(state, tuple(optuna_trials))
    return tuple(found)


def _in_mlflow(state: SweepState, rows: Sequence[MlflowRow]) -> Iterator[str]:
    sweep_rows = [row for row in rows if row.trial is None]
    if len(sweep_rows) != 1:
        yield f"MLflow has {len(sweep_rows)} runs of the sweep itself, not 1"
    for row in sweep_rows:
        if row.status != sweep_status(state):
            yield f"MLflow: the sweep is {row.status}, not {sweep_status(state)}"
    by_trial = _grouped((row.trial, row) for row in rows if row.trial is not None)
    yield from _counted("MLflow", by_trial, state)
    for number, copies in by_trial.items():
        for row in copies:
            if number in state.trials:
                trial = state.trials[number]
                yield from _row(row, trial, trial_status(state, trial), label_in(state).name)


def _row(row: MlflowRow, trial: Trial, status: Status, name: str) -> Iterator[str]:
    where = f"MLflow: trial {trial.number}"
    if (row.status, row.state) != (status, trial.state.value):
        yield f"{where} is {row.status} ({row.state}), not {status} ({trial.state.value})"
    if row.final_score != trial.final_score:
        yield f"{where} has the {name} {row.final_score}, not {trial.final_score}"
    yield from _epochs(where, row.scores, trial)


def _in_optuna(state: SweepState, trials: "Sequence[FrozenTrial]") -> Iterator[str]:
    by_trial = _grouped((t.user_attrs["trial"], t) for t in trials if "trial" in t.user_attrs)
    yield from _counted("Optuna", by_trial, state)
    for number, copies in by_trial.items():
        for shown in copies:
            if number in state.trials:
                yield from _shown(shown, state.trials[number])


def _shown(shown: "FrozenTrial", trial: Trial) -> Iterator[str]:
    where = f"Optuna: trial {trial.number}"
    wanted = _OPTUNA.get(trial.state, "RUNNING")
    if shown.state.name != wanted:
        yield f"{where} is {shown.state.name}, not {wanted}"
    outcome = shown.user_attrs.get("outcome")
    if outcome != trial.state.value:
        yield f"{where} has the outcome {outcome}, not {trial.state.value}"
    if shown.params != dict(trial.assignment):
        yield f"{where} has other parameters"
    several = shown.values is not None and len(shown.values) > 1
    if trial.state is TrialState.COMPLETE and not several and shown.values != [trial.final_score]:
        yield f"{where} has the values {shown.values}, not {[trial.final_score]}"
    yield from _epochs(where, shown.intermediate_values, trial)


def _epochs(where: str, scores: Mapping[int, float], trial: Trial) -> Iterator[str]:
    wanted = {record.epoch: record.score for record in trial.epochs}
    for epoch in sorted({*scores, *wanted}):
        if scores.get(epoch) != wanted.get(epoch):
            yield f"{where} has the score {scores.get(epoch)} at epoch {epoch}, not {wanted.get(epoch)}"


def _counted(store: str, by_trial: Mapping[int, Sequence[object]], state: SweepState) -> Iterator[str]:
    for number in state.trials:
        if number not in by_trial:
            yield f"{store} lacks trial {number}"
    for number, copies in by_trial.items():
        if number not in state.trials:
            yield f"{store} has trial {number}, which the journal lacks"
        if len(copies) > 1:
            yield f"{store} has trial {number} {len(copies)} times"


def _grouped(pairs: Iterable[tuple[int, _T]]) -> dict[int, list[_T]]:
    groups: dict[int, list[_T]] = {}
    for number, item in pairs:
        groups.setdefault(number, []).append(item)
    return groups
