"""The composite proposer: Bayesian optimisation of the score through si-RMSE and latency.

A proposal follows from the state, the seed and the space alone. Hyperparameters are fitted anew at trials of a
growing schedule, to what was known just before that trial was proposed: a resumed sweep arrives at the same
fits, and so at the same proposals, as an uninterrupted one.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # it comes without types

from sweep.judging.score import FINAL_SCORE, Score
from sweep.lifecycle import SweepState, Trial, TrialState
from sweep.search.composite.encoding import Coded, Encoding
from sweep.search.composite.knowledge import as_known, is_broken, most_telling
from sweep.search.composite.model import Evidence, Fits, ScoreModel, fit_models
from sweep.search.composite.pool import Promise, most_promising
from sweep.search.composite.settings import CompositeSettings
from sweep.search.composite.utility import utility_of
from sweep.search.ports import Network, Proposal, SearchSpace, Start
from sweep.search.seeds import mixed_seed
from sweep.space import Assignment, FixedSuggest, ImpossibleCandidate, Primitive, RandomSuggest
from sweep.space.constraint import Constraint

Floats = npt.NDArray[np.float64]

_WAITING = (TrialState.PROPOSED, TrialState.ADMITTED, TrialState.TRAINING, TrialState.PAUSED)
_RANDOM_TRIES = 200
_LEAST_TRAINED = 2

Found = tuple[Assignment, Network]


class CompositeProposer:
    """Proposes candidates of a space that the sweep has not seen; one object serves one sweep.

    Args:
        space: the search space, conditional or not.
        settings: how to search.
        seed: the sweep's seed, at least 0.
        max_epochs: full fidelity.
        starts: the first trials, in order; what they leave open is drawn. One that is impossible or known
            leaves its turn to the sampler.
        constraints: limits on latency and size that candidates should keep.
        score: what is maximised.
    """

    def __init__(
        self,
        space: SearchSpace,
        settings: CompositeSettings,
        seed: int,
        *,
        max_epochs: int,
        starts: Sequence[Start] = (),
        constraints: Sequence[Constraint] = (),
        score: Score = FINAL_SCORE,
    ) -> None:
        self._space, self._settings, self._seed = space, settings, seed
        self._max_epochs = max_epochs
        self._utility = utility_of(score)
        self._starts, self._constraints = tuple(starts), tuple(constraints)
        self._coded = Coded(Encoding(space.parameters()))
        self._fits: dict[int, Fits] = {}
        # Matrices of some hundred rows gain nothing from more threads, which wait for each other on a busy
        # machine; and the last digits of a sum, so the proposals, would depend on their number.
        self._threads = ThreadpoolController()

    @property
    def optuna_seconds(self) -> float:
        """No optimisation library is asked."""
        return 0.0

    def propose(self, state: SweepState) -> Proposal | None:
        """The next candidate.

        None if neither the pool nor 200 random draws hold one that is possible and new.
        """
        with self._threads.limit(limits=1, user_api="blas"):
            return self._propose(state)

    def _propose(self, state: SweepState) -> Proposal | None:
        number = len(state.trials)
        seen = {trial.candidate_hash for trial in state.trials.values()}
        suggest = RandomSuggest(mixed_seed(self._seed, number))
        if number < len(self._starts):
            start = self._starts[number]
            if found := self._first_new(self._draws(suggest, start.assignment), seen):
                return Proposal(*found, start.origin, start.seed)
        found = self._first_new(self._promising(state), seen)
        found = found or self._first_new(self._draws(suggest, {}), seen)
        return Proposal(*found, "sampler") if found else None

    def model(self, state: SweepState) -> ScoreModel | None:
        """What is believed of scores in this state; None while too little is known."""
        with self._threads.limit(limits=1, user_api="blas"):
            return self._model(state)

    def _model(self, state: SweepState) -> ScoreModel | None:
        trials = tuple(state.trials.values())
        evidence = Evidence.of(trials)
        fits = self._fits_of(trials)
        if fits is None or len(evidence.trained) < _LEAST_TRAINED:
            return None
        most = self._settings.most_trials
        evidence = Evidence(
            most_telling(evidence.trained, most),
            most_telling(evidence.measured, 2 * most),
            most_telling(evidence.tried, most),
        )
        return ScoreModel(
            self._coded,
            fits,
            evidence,
            max_epochs=self._max_epochs,
            constraints=self._constraints,
            utility=self._utility,
        )

    def _first_new(self, assignments: Iterator[Assignment], seen: set[str]) -> Found | None:
        """The first candidate that is possible and new."""
        for assignment in assignments:
            try:
                candidate = self._space.candidate(assignment)
            except ImpossibleCandidate:
                continue
            if candidate.hash not in seen:
                return assignment, candidate
        return None

    def _draws(self, suggest: RandomSuggest, fixed: Mapping[str, Primitive]) -> Iterator[Assignment]:
        """Random assignments that keep to what is ``fixed``."""
        for _ in range(_RANDOM_TRIES):
            assignment = self._space.sample(FixedSuggest(fixed, suggest))
            yield assignment
            if len(fixed) == len(assignment):
                return  # nothing was drawn

    def _promising(self, state: SweepState) -> Iterator[Assignment]:
        """The pool's assignments, the most promising first; none while the sweep starts."""
        working = sum(not is_broken(trial) for trial in state.trials.values())
        if working < self._settings.startup_trials:
            return
        model = self._model(state)
        if model is None:
            return
        number = len(state.trials)
        turns = self._settings.exploration
        promise = Promise(model, self._pending(state), turns[number % len(turns)])
        rng = np.random.default_rng((self._seed, number))
        for row in most_promising(self._coded.encoding, promise, self._settings, rng):
            yield self._coded.encoding.decode(row)

    def _pending(self, state: SweepState) -> Floats:
        """Code rows of the newest candidates of which nothing but the latency can be known yet."""
        waiting = [trial for trial in state.in_state(*_WAITING) if not trial.epochs]
        return self._coded.rows(waiting[-self._settings.most_pending :])

    def _fits_of(self, trials: Sequence[Trial]) -> Fits | None:
        """The newest fits that these trials allow; see the module's head."""
        due = takewhile(lambda trial: trial < len(trials), self._settings.fit_schedule())
        anchor = max(due, default=None)
        if anchor is None:
            return None
        if anchor not in self._fits:
            known = Evidence.of(as_known(trials[:anchor], trials[anchor].proposed_at))
            if len(known.trained) < _LEAST_TRAINED:
                return None
            most = self._settings.fit_trials
            known = Evidence(most_telling(known.trained, most), (), most_telling(known.tried, most))
            self._fits[anchor] = fit_models(self._coded, known, self._max_epochs)
        return self._fits[anchor]
