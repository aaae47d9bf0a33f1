"""The proposer over Optuna's samplers: a pure function of the sweep's state, the seed and the space.

Each proposal has a sampler of its own, whose seed depends on the sweep's seed and the trial's number alone, and
which looks at the history as it stands. So a resumed sweep proposes what an uninterrupted one would have.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import optuna
from optuna.trial import TrialState as OptunaState

from sweep.lifecycle import SweepState
from sweep.search.history import STUDY_NAME, History, HistoryStorage
from sweep.search.ports import Network, Proposal, SearchSpace, Start
from sweep.search.samplers import Method
from sweep.search.seeds import mixed_seed
from sweep.space import Assignment, FixedSuggest, ImpossibleCandidate, Primitive, RandomSuggest, Suggest

RANDOM_TRIES = 200
"""Uniform draws after the sampler knows nothing new. If none of them is new either, then with 95 % confidence
less than 1.5 % of the space (by the chance of a draw) is."""

Found = tuple[Assignment, Network]


class OptunaProposer:
    """Proposes candidates of a space that the sweep has not seen.

    Args:
        space: the search space.
        method: an Optuna sampler and how it is told; see `sweep.search.samplers`.
        seed: the sweep's seed, at least 0.
        starts: the first trials, in order; one that is impossible or known leaves its turn to the sampler.
    """

    def __init__(self, space: SearchSpace, method: Method, seed: int, starts: Sequence[Start] = ()) -> None:
        self._space = space
        self._method = method
        self._seed = seed
        self._starts = tuple(starts)
        self._history = History(method.tell)
        self._in_library = Stopwatch()

    @property
    def optuna_seconds(self) -> float:
        """Time spent inside Optuna so far."""
        return self._in_library.seconds

    def propose(self, state: SweepState) -> Proposal | None:
        """The next candidate.

        None if neither the sampler nor `RANDOM_TRIES` random draws hold one that is possible and new.
        """
        number = len(state.trials)
        seen = {trial.candidate_hash for trial in state.trials.values()}
        study = self.study(state)
        if number < len(self._starts):
            start = self._starts[number]
            if found := self._ask(study, start.assignment, seen):
                return Proposal(*found, start.origin, start.seed)
        found = self._ask(study, {}, seen) or self._draw(RandomSuggest(mixed_seed(self._seed, number)), seen)
        return Proposal(*found, "sampler") if found else None

    def study(self, state: SweepState) -> optuna.Study:
        """A study of all that has happened, with the sampler of the next trial."""
        told = self._history.update(state.trials)
        storage = HistoryStorage(told, self._method.objectives.directions)
        with self._in_library:
            sampler = self._method.sampler(mixed_seed(self._seed, len(told)))
            study = optuna.load_study(study_name=STUDY_NAME, storage=storage, sampler=sampler)
            self._method.prepare(study, told)
        return study

    def _ask(self, study: optuna.Study, fixed: Mapping[str, Primitive], seen: set[str]) -> Found | None:
        """A new candidate from the sampler, with the values that are ``fixed``."""
        for _ in range(self._method.tries):
            with self._in_library:
                asked = study.ask()
            suggest = FixedSuggest(fixed, _Asked(asked, self._in_library))
            assignment = self._space.sample(suggest)
            if found := self._new(assignment, seen):
                return found
            if len(fixed) == len(assignment):
                return None  # nothing is left to the sampler: it would be the same again
            with self._in_library:
                study.tell(asked, state=OptunaState.FAIL)
        return None

    def _draw(self, suggest: Suggest, seen: set[str]) -> Found | None:
        draws = (self._new(self._space.sample(suggest), seen) for _ in range(RANDOM_TRIES))
        return next((found for found in draws if found), None)

    def _new(self, assignment: Assignment, seen: set[str]) -> Found | None:
        """The candidate of ``assignment``, if it is possible and new."""
        try:
            candidate = self._space.candidate(assignment)
        except ImpossibleCandidate:
            return None
        return None if candidate.hash in seen else (assignment, candidate)


class Stopwatch:
    """Adds up the time spent inside it."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.seconds = 0.0
        self._now = now
        self._started = 0.0

    def __enter__(self) -> None:
        self._started = self._now()

    def __exit__(self, *_: object) -> None:
        self.seconds += self._now() - self._started


class _Asked:
    """The space's `Suggest` port over one asked Optuna trial."""

    def __init__(self, trial: optuna.Trial, in_library: Stopwatch) -> None:
        self._trial = trial
        self._in_library = in_library

    def categorical(self, name: str, options: Sequence[Primitive]) -> Primitive:
        with self._in_library:
            chosen = self._trial.suggest_categorical(name, tuple(options))
        return cast(Primitive, chosen)  # Optuna's type allows None, our options do not

    def integer(self, name: str, low: int, high: int, step: int, log: bool) -> int:
        with self._in_library:
            return self._trial.suggest_int(name, low, high, step=step, log=log)

    def real(self, name: str, low: float, high: float, log: bool) -> float:
        with self._in_library:
            return self._trial.suggest_float(name, low, high, log=log)
