"""What Optuna is shown of a trial: pure, so that a replay shows the same again.

Other than what a sampler is told (`sweep.search.told`), this is for people: a trial is RUNNING until it is final,
and then COMPLETE, PRUNED, or FAIL with a user attribute ``reason`` that tells infeasible from failed. A trial that
Optuna holds as finished cannot be changed any more.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from sweep.lifecycle import Trial, TrialState
from sweep.lifecycle.exports import records_of, winner_of
from sweep.search.told import Teller

STATES: Final[Mapping[TrialState, OptunaState]] = {
    TrialState.COMPLETE: OptunaState.COMPLETE,
    TrialState.PRUNED: OptunaState.PRUNED,
    TrialState.INFEASIBLE: OptunaState.FAIL,
    TrialState.FAILED: OptunaState.FAIL,
}
"""The states of trials that are final; all others are RUNNING."""


def mirrored(teller: Teller, trial: Trial) -> FrozenTrial:
    """``trial`` as Optuna should hold it; its ``number`` is ours.

    Raises:
        ValueError: the trial is complete and lacks a figure that the study optimises.
    """
    shown = teller.tell(trial)
    shown.state = STATES.get(trial.state, OptunaState.RUNNING)
    shown.datetime_complete = datetime.fromtimestamp(trial.changed_at) if trial.state.is_final else None
    if trial.state is TrialState.PRUNED and trial.epochs and teller.objectives.is_score:
        shown.value = trial.epochs[-1].score  # as `optuna.Study.tell` has it
    shown.user_attrs |= _attributes(trial)
    return shown


def contradictions(held: FrozenTrial, wanted: FrozenTrial) -> Iterator[str]:
    """What Optuna holds of a trial and will never let go of, though it should hold something else."""
    if held.params != wanted.params:
        yield "other parameters"
    if not held.intermediate_values.keys() <= wanted.intermediate_values.keys():
        yield "epochs too many"
    if not held.state.is_finished():
        return
    if (held.state, held.values) != (wanted.state, wanted.values):
        yield f"{held.state.name} with {held.values}, not {wanted.state.name} with {wanted.values}"
    if changed(held.intermediate_values, wanted.intermediate_values):
        yield "other intermediate values"
    if attributes := changed(held.user_attrs, wanted.user_attrs):
        yield f"other {', '.join(attributes)}"
    if held.constraints != wanted.constraints:
        yield "other constraints"


def changed(held: Mapping[Any, Any], wanted: Mapping[Any, Any]) -> dict[Any, Any]:
    """The entries of ``wanted`` that ``held`` lacks or has otherwise."""
    return {key: value for key, value in wanted.items() if key not in held or held[key] != value}


def _attributes(trial: Trial) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "architecture_hash": trial.architecture_hash,
        "latency_ms": trial.latency_ms,
        "size_mb": trial.size_mb,
        "si_rmse": trial.completion.metrics.get("si_rmse") if trial.completion else None,
        "seed": trial.seed,
    }
    winner = winner_of(records_of(trial.completion.exports if trial.completion else ()))
    if winner is not None:
        figures |= {
            "variant": winner.variant,
            "threads": winner.threads,
            "delegate": winner.delegate,
            "output_upsampling": winner.output_upsampling,
        }
    known = {name: value for name, value in figures.items() if value is not None}
    if trial.reason and trial.state.is_final:
        known["reason"] = f"{trial.state}: {trial.reason}"
    return known
