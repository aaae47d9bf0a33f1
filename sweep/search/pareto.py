"""NSGA-II over a history of complete trials, in spaces with conditional parameters too.

Optuna's NSGA-II (Deb et al. 2002) crosses over only parameters that every complete trial has; in a conditional
space the rest would be random for ever. So the genome here is flat: it has every parameter of the space, and
those that a candidate's choices leave closed carry dormant values. They do not count (the candidate and its
hash know nothing of them), but a child that opens the choice inherits them from the parent that had it open, or
starts from a random value. Dormant values are not in the journal: they are drawn from the sweep's seed and the
trial's number, so they are the same whenever they are needed.

A generation is ``population`` complete trials in order of proposal. Only complete trials breed: si-RMSE at
different fidelities cannot be compared.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from optuna import Study
from optuna.samplers import NSGAIISampler
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from sweep.lifecycle import Trial, TrialState
from sweep.search.ports import SearchSpace
from sweep.search.seeds import mixed_seed
from sweep.search.told import Teller, breaks_constraint
from sweep.space import Parameter, RandomSuggest

GENERATION_KEY = "NSGAIISampler:generation"
"""Where Optuna keeps a trial's generation; it is set when a trial is asked for."""


@dataclass(frozen=True)
class Breeder:
    """Tells trials to NSGA-II as individuals with a generation and a whole genome."""

    parameters: tuple[Parameter, ...]
    teller: Teller
    seed: int
    population: int

    @classmethod
    def of(cls, space: SearchSpace, teller: Teller, seed: int, population: int) -> "Breeder":
        """The breeder of ``space`` with generations of ``population`` complete trials."""
        return cls(space.parameters(), teller, seed, population)

    def tell(self, trial: Trial) -> FrozenTrial:
        """The trial as an individual.

        One that broke a constraint before it was trained is an individual too, with an infinite si-RMSE: among
        those that break constraints NSGA-II ranks by violation alone (Deb et al. 2002, section VI).
        """
        told = self.teller.tell(trial)
        if trial.state is TrialState.INFEASIBLE and breaks_constraint(trial, self.teller.constraints):
            figures = {"si_rmse": math.inf, "latency_ms": trial.latency_ms, "size_mb": trial.size_mb}
            told.state = OptunaState.COMPLETE
            told.values = [
                math.inf if (figure := figures[name]) is None else figure
                for name in self.teller.objectives.names
            ]
        if told.state is OptunaState.COMPLETE:
            self._add_dormant(told)
        return told

    def prepare(self, study: Study, told: Sequence[FrozenTrial]) -> None:
        """Number the generations, and choose their parents one after the other.

        Optuna would choose them too, but by recursion: thousands of trials exceed Python's depth.
        """
        complete = [trial for trial in told if trial.state is OptunaState.COMPLETE]
        for rank, trial in enumerate(complete):
            trial.system_attrs[GENERATION_KEY] = rank // self.population
        if isinstance(study.sampler, NSGAIISampler):
            for generation in range(1, len(complete) // self.population + 1):
                study.sampler.get_parent_population(study, generation)

    def _add_dormant(self, told: FrozenTrial) -> None:
        suggest = RandomSuggest(mixed_seed(self.seed, told.number))
        for parameter in self.parameters:
            value = parameter.domain.ask(suggest, parameter.path)
            if parameter.path not in told.params:
                told.params[parameter.path] = parameter.domain.coerce(value)
                told.distributions[parameter.path] = self.teller.distributions[parameter.path]
