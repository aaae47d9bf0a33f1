"""The proposer: Optuna's samplers over the sweep's own history.

The Optuna study is a projection of the journal. It is built anew for each proposal from the trials as they
stand, so a resumed sweep proposes what an uninterrupted one would have, and a trial is told as what it is:
complete with its Final Score, pruned (or paused) with its partial scores at their epochs, failed, or running.
The sampler's seed depends on the sweep's seed and the trial's number alone.
"""

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from sweep.lifecycle import Trial, TrialState
from sweep.space import Assignment, ImpossibleCandidate, Primitive, Space, document
from sweep.space.candidate import Candidate

TRIES = 50
"""Asks before the space counts as exhausted: a proposal must be possible and new."""

_OUTCOMES: Mapping[TrialState, OptunaState] = {
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
"""How a trial is told to Optuna. Paused and trained trials count by their partial scores until they end."""


@dataclass(frozen=True)
class Proposal:
    """A new candidate, with the assignment that spells it and whether a person asked for it."""

    assignment: Assignment
    candidate: Candidate
    origin: Literal["start", "sampler"]


class Proposer:
    """Proposes candidates of a space that the sweep has not seen."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._seed = seed
        self._told: dict[int, tuple[Trial, FrozenTrial]] = {}
        self._in_optuna = _Stopwatch()
        optuna.logging.set_verbosity(optuna.logging.WARNING)

    @property
    def optuna_seconds(self) -> float:
        """Time spent inside Optuna so far."""
        return self._in_optuna.seconds

    def propose(self, trials: Mapping[int, Trial]) -> Proposal | None:
        """The next candidate, or None if every try was impossible or known: the space is exhausted.

        The first trials are the ones that the space's ``start_from`` asks for; what they leave open is drawn.
        """
        study = self.study(trials)
        wanted = self._space.start_from[len(trials) : len(trials) + 1]
        for assignment in wanted:
            study.enqueue_trial(dict(assignment))
        return self._ask(study, {trial.candidate_hash for trial in trials.values()}, len(wanted))

    def study(self, trials: Mapping[int, Trial]) -> optuna.Study:
        """An in-memory study that maximises the Final Score and knows all of ``trials``."""
        told = [self._tell(trial) for trial in trials.values()]
        with self._in_optuna:
            study = optuna.create_study(direction="maximize", sampler=self._sampler(len(trials)))
            study.add_trials(told)
        return study

    def _tell(self, trial: Trial) -> FrozenTrial:
        """What Optuna is told of the trial as it stands; made once for each thing that happens to it."""
        known, told = self._told.get(trial.number, (None, None))
        if known is not trial or told is None:
            told = _frozen(self._space, trial)
            self._told[trial.number] = (trial, told)
        return told

    def _ask(self, study: optuna.Study, seen: set[str], wanted: int) -> Proposal | None:
        for attempt in range(TRIES):
            with self._in_optuna:
                asked = study.ask()
            try:
                assignment = self._space.sample(_OptunaSuggest(asked, self._in_optuna))
                candidate = self._space.candidate(assignment)
            except ImpossibleCandidate:
                study.tell(asked, state=OptunaState.FAIL)
                continue
            if candidate.hash not in seen:
                return Proposal(assignment, candidate, "start" if attempt < wanted else "sampler")
            study.tell(asked, state=OptunaState.FAIL)
        return None

    def _sampler(self, number: int) -> BaseSampler:
        seed = self._seed * 1_000_003 + number
        settings = self._space.document.sampler
        if isinstance(settings, document.RandomSampler):
            return RandomSampler(seed=seed)
        with warnings.catch_warnings():  # multivariate, group and constant_liar are marked experimental
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return TPESampler(
                seed=seed,
                n_startup_trials=settings.startup_trials,
                n_ei_candidates=settings.candidates,
                multivariate=settings.multivariate,
                group=settings.multivariate,
                constant_liar=True,
            )


def _frozen(space: Space, trial: Trial) -> FrozenTrial:
    replay = _Replay(trial.assignment)
    space.sample(replay)
    return optuna.trial.create_trial(
        state=_OUTCOMES[trial.state],
        value=trial.final_score if trial.state is TrialState.COMPLETE else None,
        params=dict(trial.assignment),
        distributions=replay.distributions,
        intermediate_values={record.epoch: record.score for record in trial.epochs},
        user_attrs={"trial": trial.number, "candidate_hash": trial.candidate_hash},
    )


class _Replay:
    """The space's `Suggest` port that answers from an assignment and notes each parameter's domain."""

    def __init__(self, assignment: Mapping[str, Primitive]) -> None:
        self._assignment = assignment
        self.distributions: dict[str, BaseDistribution] = {}

    def categorical(self, name: str, options: Sequence[Primitive]) -> Primitive:
        self.distributions[name] = CategoricalDistribution(tuple(options))
        return self._assignment[name]

    def integer(self, name: str, low: int, high: int, step: int, log: bool) -> int:
        self.distributions[name] = IntDistribution(low, high, log=log, step=step)
        return int(self._assignment[name])

    def real(self, name: str, low: float, high: float, log: bool) -> float:
        self.distributions[name] = FloatDistribution(low, high, log=log)
        return float(self._assignment[name])


class _Stopwatch:
    """Adds up the time spent inside it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._started = 0.0

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._started


class _OptunaSuggest:
    """The space's `Suggest` port over one asked Optuna trial."""

    def __init__(self, trial: optuna.Trial, in_optuna: _Stopwatch) -> None:
        self._trial = trial
        self._in_optuna = in_optuna

    def categorical(self, name: str, options: Sequence[Primitive]) -> Primitive:
        with self._in_optuna:
            chosen = self._trial.suggest_categorical(name, tuple(options))
        return cast(Primitive, chosen)  # Optuna's type allows None, our options do not

    def integer(self, name: str, low: int, high: int, step: int, log: bool) -> int:
        with self._in_optuna:
            return self._trial.suggest_int(name, low, high, step=step, log=log)

    def real(self, name: str, low: float, high: float, log: bool) -> float:
        with self._in_optuna:
            return self._trial.suggest_float(name, low, high, log=log)
