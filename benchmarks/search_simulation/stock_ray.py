"""Ray Tune's stock combination: `OptunaSearch` and ASHA, with the calls that Ray Tune's controller makes.

The controller of Ray 2.60 (`tune_controller.py`) is followed: a result goes to the scheduler first and to the
searcher only if the trial goes on; a trial that ASHA stops is told to the searcher as completed, with the score
at the epoch where it was stopped; a trial that raises is told as an error.
"""

from dataclasses import dataclass, field
from typing import Any

import optuna
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch

from sweep.space import Assignment

from .problems import MAX_EPOCHS, REDUCTION_FACTOR, RUNGS
from .rivals import define_by_run

METRIC = "final_score"


@dataclass
class StandInTrial:
    """As much of a Ray trial as searcher and scheduler look at."""

    trial_id: str
    last_result: dict[str, Any] = field(default_factory=dict)


class StockRay:
    """Serves `rivals.Rival`. The leaderboard is Ray's: the best last reported score of all trials.

    Rungs are ``grace_period`` epochs and its multiples by powers of ``reduction_factor``; Ray's own defaults are
    1 and 4.
    """

    def __init__(
        self, seed: int, *, grace_period: int = RUNGS[0], reduction_factor: float = REDUCTION_FACTOR
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._search = OptunaSearch(
            space=lambda trial: dict(define_by_run(trial)), metric=METRIC, mode="max", seed=seed
        )
        self._scheduler = ASHAScheduler(
            time_attr="training_iteration",
            metric=METRIC,
            mode="max",
            max_t=MAX_EPOCHS,
            grace_period=grace_period,
            reduction_factor=reduction_factor,
        )
        self._trials: list[StandInTrial] = []

    def ask(self, trial: int) -> Assignment:
        stand_in = StandInTrial(f"{trial:05d}")
        assignment: Assignment = self._search.suggest(stand_in.trial_id)
        self._scheduler.on_trial_add(None, stand_in)
        self._trials.append(stand_in)
        return assignment

    def report(self, trial: int, epoch: int, score: float) -> bool:
        stand_in = self._trials[trial]
        result = {"training_iteration": epoch, METRIC: score, "trial_id": stand_in.trial_id}
        decision = self._scheduler.on_trial_result(None, stand_in, result)
        if decision != TrialScheduler.STOP:
            self._search.on_trial_result(stand_in.trial_id, result)
        stand_in.last_result = result
        return bool(decision != TrialScheduler.STOP)

    def end(self, trial: int) -> None:
        stand_in = self._trials[trial]
        result = {**stand_in.last_result, "done": True}
        self._scheduler.on_trial_complete(None, stand_in, result)
        self._search.on_trial_complete(stand_in.trial_id, result=result)

    def fail(self, trial: int) -> None:
        stand_in = self._trials[trial]
        self._scheduler.on_trial_error(None, stand_in)
        self._search.on_trial_complete(stand_in.trial_id, error=True)
        stand_in.last_result = {}

    def best(self) -> int | None:
        scores = {n: t.last_result[METRIC] for n, t in enumerate(self._trials) if t.last_result}
        return max(scores, key=lambda number: scores[number], default=None)
