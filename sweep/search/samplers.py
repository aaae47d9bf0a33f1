"""Optuna's samplers by name: how each is made, what it is told, and which spaces it cannot serve."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from sweep.judging.score import FINAL_SCORE, Score
from sweep.lifecycle import Trial, TrialState
from sweep.search.pareto import Breeder
from sweep.search.ports import SearchSpace
from sweep.search.told import PARETO_FRONT, Objectives, Teller, objectives_of_score
from sweep.space.constraint import Constraint
from sweep.space.samplers import GPSampler, NSGA2Sampler, RandomSampler, Sampler, TPESampler

SERVE_CONDITIONAL = ("composite", "tpe", "nsga2", "random")
"""Samplers for spaces in which some parameters exist only under a choice."""

OptunaSettings = TPESampler | GPSampler | NSGA2Sampler | RandomSampler


class SamplerRefused(ValueError):
    """The sampler cannot serve the space; the message says why, and which can."""


def check_sampler(space: SearchSpace, settings: Sampler) -> None:
    """Do nothing if the sampler that ``settings`` names can serve ``space``.

    Raises:
        SamplerRefused: the space has conditional parameters, and the sampler models only parameters that every
            candidate has.
    """
    if settings.kind in SERVE_CONDITIONAL:
        return
    conditional = next((p for p in space.parameters() if p.condition), None)
    if conditional:
        raise SamplerRefused(
            f"sampler {settings.kind} cannot serve a conditional space: {conditional.path} exists only with "
            f"{conditional.condition}; samplers that can: {', '.join(SERVE_CONDITIONAL)}"
        )


def objectives_of(settings: Sampler, score: Score = FINAL_SCORE) -> Objectives:
    """What a study with this sampler optimises, in a sweep for ``score``."""
    return PARETO_FRONT if isinstance(settings, NSGA2Sampler) else objectives_of_score(score)


@dataclass(frozen=True)
class Method:
    """An Optuna sampler, and how it is told of a sweep.

    Attributes:
        sampler: makes one from a seed.
        objectives: the study's.
        tell: a trial as the sampler learns from it.
        prepare: sets what depends on all trials together, before anything is asked.
        tries: how often the sampler is asked for a candidate that is possible and new.
    """

    sampler: Callable[[int], BaseSampler]
    objectives: Objectives
    tell: Callable[[Trial], FrozenTrial]
    prepare: Callable[[optuna.Study, Sequence[FrozenTrial]], None]
    tries: int = 50


def method_of(
    space: SearchSpace, settings: OptunaSettings, seed: int, constraints: Sequence[Constraint]
) -> Method:
    """The method that ``settings`` names.

    Raises:
        SamplerRefused: it cannot serve the space.
    """
    check_sampler(space, settings)
    objectives = objectives_of(settings)
    teller = Teller.of(space, objectives, constraints)
    lessons = Lessons(teller)
    match settings:
        case TPESampler():
            return Method(lambda s: _tpe(settings, s), objectives, lessons.tell, _nothing)
        case GPSampler():
            return Method(lambda s: _gp(settings, s), objectives, lessons.tell, impute_scores, tries=5)
        case NSGA2Sampler():
            breeder = Breeder.of(space, teller, seed, settings.population)
            return Method(lambda s: _nsga2(settings, s), objectives, breeder.tell, breeder.prepare)
        case RandomSampler():
            return Method(optuna.samplers.RandomSampler, objectives, lessons.tell, _nothing)


@dataclass(frozen=True)
class Lessons:
    """Tells trials to a sampler that maximises the score."""

    teller: Teller

    def tell(self, trial: Trial) -> FrozenTrial:
        """As everybody is told; but a trial that ran out of time untrained teaches nothing.

        A pruned trial without any score would count as worse than all others.
        """
        told = self.teller.tell(trial)
        if trial.state is TrialState.PRUNED and trial.pruned_by == "time" and not trial.epochs:
            told.state = OptunaState.FAIL
        return told


def impute_scores(_: optuna.Study, told: Sequence[FrozenTrial]) -> None:
    """Let a Gaussian process learn from candidates that broke a constraint before they were trained.

    Optuna's process of each constraint looks at complete trials alone, and wants a score of each. The mean of
    the known scores is what says least about the score: the prior's own expectation.
    """
    known = [trial.values[0] for trial in told if trial.state is OptunaState.COMPLETE and not _imputed(trial)]
    for trial in told:
        if _imputed(trial) or _broke_constraint(trial):
            trial.state = OptunaState.COMPLETE
            trial.values = [fmean(known) if known else 0.0]


def _broke_constraint(trial: FrozenTrial) -> bool:
    return trial.state is OptunaState.PRUNED and trial.user_attrs["outcome"] == TrialState.INFEASIBLE


def _imputed(trial: FrozenTrial) -> bool:
    return trial.state is OptunaState.COMPLETE and trial.user_attrs["outcome"] == TrialState.INFEASIBLE


def _nothing(_: optuna.Study, __: Sequence[FrozenTrial]) -> None:
    """For samplers that take the trials as they are told."""


def _tpe(settings: TPESampler, seed: int) -> BaseSampler:
    with warnings.catch_warnings():  # group is marked experimental
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=seed,
            n_startup_trials=settings.startup_trials,
            n_ei_candidates=settings.candidates,
            multivariate=settings.multivariate,
            group=settings.group,
            constant_liar=True,
        )


def _gp(settings: GPSampler, seed: int) -> BaseSampler:
    return optuna.samplers.GPSampler(
        seed=seed, n_startup_trials=settings.startup_trials, warn_independent_sampling=False
    )


def _nsga2(settings: NSGA2Sampler, seed: int) -> BaseSampler:
    return optuna.samplers.NSGAIISampler(
        seed=seed,
        population_size=settings.population,
        crossover_prob=settings.crossover_prob,
        mutation_prob=settings.mutation_prob,
    )
