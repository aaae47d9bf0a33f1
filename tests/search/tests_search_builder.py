"""Sweeps as they stand after some events, built by the real state machine."""

from collections.abc import Mapping, Sequence

from sweep.lifecycle import Event, SweepState, fold
from sweep.lifecycle.events import (
    AttemptEnded,
    AttemptStarted,
    EpochTrained,
    SweepStarted,
    TrialAdmitted,
    TrialCompleted,
    TrialProposed,
)

MAX_EPOCHS = 6
EPOCH_S = 10.0


class SweepBuilder:
    """Records events at a clock that the test moves."""

    def __init__(self) -> None:
        self.time = 0.0
        self.state = SweepState()
        self.record(SweepStarted("s", "id", {"max_epochs": MAX_EPOCHS}, {}, {}, {}))

    def record(self, *events: Event) -> "SweepBuilder":
        for event in events:
            self.state = fold(self.state, event, self.time)
        return self

    def propose(
        self, assignment: Mapping[str, object] | None = None, candidate_hash: str | None = None
    ) -> int:
        number = len(self.state.trials)
        name = candidate_hash or f"candidate-{number}"
        self.record(TrialProposed(number, assignment or {}, {}, name, name, "sampler"))
        return number

    def admit(self, latency_ms: float = 5.0) -> int:
        number = self.propose()
        self.record(TrialAdmitted(number, latency_ms, {}, {}))
        return number

    def train(self, number: int, to_epoch: int, scores: Sequence[float], *, end: bool = True) -> None:
        """Train from where the trial is, an epoch per score."""
        trial = self.state.trials[number]
        attempt = trial.attempts + 1
        self.record(AttemptStarted(number, attempt, trial.epoch, to_epoch, trial.checkpoint))
        for epoch, score in enumerate(scores, start=trial.epoch + 1):
            self.time += EPOCH_S
            self.record(EpochTrained(number, attempt, epoch, 0.5, 0.3, score, 0.01, EPOCH_S, f"{epoch}.pt"))
        if end:
            reached = self.state.trials[number].epoch == to_epoch
            self.record(AttemptEnded(number, attempt, "reached" if reached else "interrupted"))

    def at_rung(self, score: float, rung: int = 2) -> int:
        """A new trial that stands at ``rung`` with ``score``."""
        number = self.admit()
        self.train(number, rung, [score] * rung)
        return number

    def complete(self, number: int, score: float, seconds: float = 8.0) -> None:
        self.time += seconds
        self.record(TrialCompleted(number, {"si_rmse": 0.3}, 5.0, score, {}, {}, {}, {}))
