"""A sweep of a small space with a known score, one trial after another, driven by any proposer."""

import math
from collections.abc import Mapping

from tests_search_builder import EPOCH_S, MAX_EPOCHS, SweepBuilder
from tests_search_spaces import ToySpace, record

from sweep.judging.score import final_score
from sweep.lifecycle import TrialState
from sweep.lifecycle.events import (
    AttemptEnded,
    AttemptStarted,
    EpochTrained,
    TrialAdmitted,
    TrialCompleted,
    TrialFailed,
)
from sweep.search.ports import Proposes
from sweep.space import Condition, IntegerRange, Options, Parameter, Primitive, RealRange

SPACE = ToySpace(
    (
        Parameter("architecture.block", Options(("dense", "separable", "shuffle"))),
        Parameter("architecture.width", IntegerRange(8, 64, step=8)),
        Parameter("recipe.optimizer", Options(("adam", "sgd"))),
        Parameter("recipe.optimizer.sgd.momentum", RealRange(0.0, 0.9), Condition("recipe.optimizer", "sgd")),
        Parameter("recipe.rate", RealRange(1e-4, 1e-1, log=True)),
    )
)
"""Wider blocks are better and slower; the best rate is 3e-3, and momentum moves it."""

RUNG = 2


def latency_ms(assignment: Mapping[str, Primitive]) -> float:
    per_channel = {"dense": 0.8, "separable": 0.3, "shuffle": 0.25}[str(assignment["architecture.block"])]
    return 4.0 + per_channel * float(assignment["architecture.width"])


def true_si_rmse(assignment: Mapping[str, Primitive], epoch: int = MAX_EPOCHS) -> float:
    width = float(assignment["architecture.width"])
    block = {"dense": 0.0, "separable": 0.01, "shuffle": 0.03}[str(assignment["architecture.block"])]
    momentum = float(assignment.get("recipe.optimizer.sgd.momentum", 0.0))
    off = math.log10(float(assignment["recipe.rate"]) / 3e-3) + 0.5 * momentum
    final = 0.26 + 0.8 / (width + 4) + block + 0.02 * off**2
    return final + 0.1 * (1 / epoch - 1 / MAX_EPOCHS)


def true_score(assignment: Mapping[str, Primitive]) -> float:
    return final_score(true_si_rmse(assignment), latency_ms(assignment))


class Runs:
    """Tells a `SweepBuilder` what becomes of proposals."""

    def __init__(self) -> None:
        self.sweep = SweepBuilder()

    def propose(self, proposer: Proposes) -> int:
        proposal = proposer.propose(self.sweep.state)
        assert proposal is not None
        self.sweep.time += 1.0
        return record(self.sweep, proposal)

    def admit(self, number: int, size_mb: float = 1.0) -> None:
        latency = latency_ms(self.sweep.state.trials[number].assignment)
        self.sweep.record(TrialAdmitted(number, latency, {}, {"size_bytes": round(size_mb * 1e6)}))

    def train(self, number: int, to_epoch: int) -> None:
        """From where the trial stands; at full fidelity it is completed."""
        trial = self.sweep.state.trials[number]
        attempt = trial.attempts + 1
        self.sweep.record(AttemptStarted(number, attempt, trial.epoch, to_epoch, trial.checkpoint))
        for epoch in range(trial.epoch + 1, to_epoch + 1):
            self.sweep.time += EPOCH_S
            si_rmse = true_si_rmse(trial.assignment, epoch)
            score = final_score(si_rmse, latency_ms(trial.assignment))
            self.sweep.record(
                EpochTrained(number, attempt, epoch, 0.5, si_rmse, score, 0.01, EPOCH_S, f"{epoch}.pt")
            )
        self.sweep.record(AttemptEnded(number, attempt, "reached"))
        if to_epoch == MAX_EPOCHS:
            metrics, score = {"si_rmse": true_si_rmse(trial.assignment)}, true_score(trial.assignment)
            latency = latency_ms(trial.assignment)
            self.sweep.record(TrialCompleted(number, metrics, latency, score, {}, {}, {}, {}))

    def fail(self, number: int) -> None:
        trial = self.sweep.state.trials[number]
        self.sweep.record(AttemptStarted(number, 1, 0, MAX_EPOCHS, trial.checkpoint))
        self.sweep.record(TrialFailed(number, "training diverged"))

    def whole_trials(self, proposer: Proposes, count: int) -> None:
        """Trials one after another: every third goes to full fidelity, the others stop at the first rung."""
        for _ in range(count):
            number = self.propose(proposer)
            self.admit(number)
            self.train(number, RUNG)
            if number % 3 == 0:
                self.train(number, MAX_EPOCHS)

    @property
    def assignments(self) -> list[Mapping[str, Primitive]]:
        return [trial.assignment for trial in self.sweep.state.trials.values()]

    @property
    def best(self) -> float:
        """The highest true score of a trial that was trained."""
        trained = [
            t for t in self.sweep.state.trials.values() if t.epochs and t.state is not TrialState.FAILED
        ]
        return max(true_score(trial.assignment) for trial in trained)
