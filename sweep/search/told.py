"""How a trial is told to Optuna: as what it is.

| trial                               | state in Optuna | what a sampler learns from                      |
|-------------------------------------|-----------------|-------------------------------------------------|
| under way, or an attempt cut short  | RUNNING         | its place is taken                              |
| at its rung, or waiting for a judge | PRUNED          | its partial scores at their epochs              |
| complete                            | COMPLETE        | the objectives, and how far it keeps the limits |
| pruned                              | PRUNED          | its partial scores at their epochs, if any      |
| infeasible: it breaks a constraint  | PRUNED          | by how much it breaks the constraint            |
| infeasible: it cannot work          | FAIL            | nothing, but it is never proposed again         |
| failed                              | FAIL            | nothing, but it is never proposed again         |

An interrupted attempt is none of these: its trial is under way. A candidate that breaks a constraint is PRUNED,
because Optuna's samplers pass over what has failed, and rank PRUNED trials whose constraints are above 0 by
their violation, behind all that keep them. (Those that look at complete trials alone are told a bit more: see
`sweep.search.pareto` and `sweep.search.samplers`.) The user attribute ``outcome`` holds the trial's own state.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from sweep.judging.score import FinalScore, Score
from sweep.lifecycle import Trial, TrialState
from sweep.search.ports import SearchSpace
from sweep.space import Domain, IntegerRange, Options, RealRange
from sweep.space.constraint import Constraint, Metric

_STATES: Mapping[TrialState, OptunaState] = {
    TrialState.PROPOSED: OptunaState.RUNNING,
    TrialState.ADMITTED: OptunaState.RUNNING,
    TrialState.TRAINING: OptunaState.RUNNING,
    TrialState.PAUSED: OptunaState.PRUNED,
    TrialState.TRAINED: OptunaState.PRUNED,
    TrialState.COMPLETE: OptunaState.COMPLETE,
    TrialState.PRUNED: OptunaState.PRUNED,
    TrialState.INFEASIBLE: OptunaState.FAIL,
    TrialState.FAILED: OptunaState.FAIL,
}


@dataclass(frozen=True)
class Objectives:
    """What a study optimises: names of figures of a complete trial, and their directions.

    ``shown`` is what the study calls them; empty: by their names.
    """

    names: tuple[str, ...]
    directions: tuple[StudyDirection, ...]
    shown: tuple[str, ...] = ()

    @property
    def is_score(self) -> bool:
        """Whether the sweep's score is all that is optimised."""
        return self.names == FINAL_SCORE.names

    def of(self, trial: Trial) -> list[float]:
        """The objectives of a complete trial.

        Raises:
            ValueError: the trial lacks one of them.
        """
        figures = {
            "final_score": trial.final_score,
            "si_rmse": trial.completion.metrics["si_rmse"] if trial.completion else None,
            "latency_ms": trial.latency_ms,
            "size_mb": trial.size_mb,
        }
        return [_known(trial, name, figures[name]) for name in self.names]


FINAL_SCORE = Objectives(("final_score",), (StudyDirection.MAXIMIZE,))
"""The sweep's score, maximised; the challenge's, where it has no other name (see `objectives_of_score`)."""

PARETO_FRONT = Objectives(("si_rmse", "latency_ms", "size_mb"), (StudyDirection.MINIMIZE,) * 3)
"""Validation error, latency and size of the file, minimised together."""


def objectives_of_score(score: Score) -> Objectives:
    """The sweep's score, maximised, under its own name."""
    if isinstance(score, FinalScore):
        return FINAL_SCORE
    return replace(FINAL_SCORE, shown=(score.name,))


@dataclass(frozen=True)
class Teller:
    """Makes Optuna's trials of ours, for one space, under one study's objectives and constraints."""

    distributions: Mapping[str, BaseDistribution]
    objectives: Objectives
    constraints: tuple[Constraint, ...]

    @classmethod
    def of(cls, space: SearchSpace, objectives: Objectives, constraints: Iterable[Constraint]) -> "Teller":
        """The teller of ``space``."""
        distributions = {p.path: distribution(p.domain) for p in space.parameters()}
        return cls(distributions, objectives, tuple(constraints))

    def tell(self, trial: Trial) -> FrozenTrial:
        """The trial as it stands; the trial's number is Optuna's number and id."""
        state = optuna_state(trial, self.constraints)
        violations = constraint_values(trial, self.constraints)
        told = FrozenTrial(
            number=trial.number,
            trial_id=trial.number,
            state=state,
            value=None,
            values=self.objectives.of(trial) if state is OptunaState.COMPLETE else None,
            datetime_start=datetime.fromtimestamp(trial.proposed_at),
            datetime_complete=datetime.fromtimestamp(trial.changed_at) if state.is_finished() else None,
            params=dict(trial.assignment),
            distributions={path: self.distributions[path] for path in trial.assignment},
            user_attrs=_user_attrs(trial),
            system_attrs={},
            intermediate_values={record.epoch: record.score for record in trial.epochs},
        )
        for name, violation in violations.items():
            told.set_constraint(name, violation)
        return told


def frozen_trial(
    space: SearchSpace,
    trial: Trial,
    objectives: Objectives = FINAL_SCORE,
    constraints: Iterable[Constraint] = (),
) -> FrozenTrial:
    """What Optuna is told of ``trial`` as it stands; see `Teller` for telling many.

    Raises:
        ValueError: a complete trial lacks one of the objectives.
    """
    return Teller.of(space, objectives, constraints).tell(trial)


def optuna_state(trial: Trial, constraints: Iterable[Constraint]) -> OptunaState:
    """The state in which Optuna is told of ``trial``."""
    if trial.state is TrialState.PAUSED and trial.epoch < trial.target_epoch:
        return OptunaState.RUNNING  # its last attempt was cut short and goes on
    if trial.state is TrialState.INFEASIBLE and breaks_constraint(trial, constraints):
        return OptunaState.PRUNED
    return _STATES[trial.state]


def constraint_values(trial: Trial, constraints: Iterable[Constraint]) -> dict[str, float]:
    """By how much the trial exceeds each constraint (0 or less: it keeps it), by the constraint's text.

    Empty until everything that the constraints ask for has been measured.
    """
    figures: Mapping[Metric, float | None] = {"latency_ms": trial.latency_ms, "size_mb": trial.size_mb}
    values: dict[str, float] = {}
    for constraint in constraints:
        figure = figures[constraint.metric]
        if figure is None:
            return {}
        values[str(constraint)] = constraint.violation(figure)
    return values


def breaks_constraint(trial: Trial, constraints: Iterable[Constraint]) -> bool:
    """Whether the trial is known to exceed one of ``constraints``."""
    return any(value > 0 for value in constraint_values(trial, constraints).values())


def distribution(domain: Domain) -> BaseDistribution:
    """A parameter's domain in Optuna's words."""
    match domain:
        case Options(values):
            return CategoricalDistribution(values)
        case IntegerRange(low, high, step, log):
            return IntDistribution(low, high, log=log, step=step)
        case RealRange(low, high, log):
            return FloatDistribution(low, high, log=log)


def _user_attrs(trial: Trial) -> dict[str, Any]:
    attrs = {
        "trial": trial.number,
        "outcome": str(trial.state),
        "candidate_hash": trial.candidate_hash,
        "origin": trial.origin,
    }
    return {**attrs, "reason": trial.reason} if trial.reason else attrs


def _known(trial: Trial, name: str, figure: float | None) -> float:
    if figure is None:
        raise ValueError(f"trial {trial.number} is {trial.state}, but its {name} is not known")
    return figure
