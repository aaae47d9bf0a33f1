"""The trial lifecycle once more, written from its description and without looking at the code: a simple model.

It knows numbers and phases only. `apply` says whether an event may happen, and if so what becomes of the sweep.
"""

from dataclasses import dataclass, field, replace

from sweep.lifecycle import Event
from sweep.lifecycle.events import (
    AttemptEnded,
    AttemptStarted,
    EpochTrained,
    FilesRemoved,
    FinalistMeasured,
    SweepEnded,
    SweepResumed,
    SweepStarted,
    TrialAdmitted,
    TrialCompleted,
    TrialFailed,
    TrialInfeasible,
    TrialProposed,
    TrialPruned,
    TrialsAdded,
)

FINAL = ("complete", "pruned", "infeasible", "failed")


@dataclass
class ModelTrial:
    phase: str = "proposed"
    epochs: list[float] = field(default_factory=list)
    attempts: int = 0
    crashes: int = 0
    losses: int = 0
    finals: list[float] = field(default_factory=list)
    pruned_by: str | None = None
    target: int = 0
    checkpoint: str | None = None
    score: float | None = None
    reason: str = ""
    has_files: bool = True


@dataclass
class Model:
    max_epochs: int | None = None
    trials: list[ModelTrial] = field(default_factory=list)
    resumes: int = 0
    added: int = 0
    requests: tuple[str, ...] = ()
    ended: str | None = None

    def apply(self, event: Event) -> "Model | None":
        """The sweep after ``event``; None if it must not happen."""
        trials = [replace(trial, epochs=[*trial.epochs], finals=[*trial.finals]) for trial in self.trials]
        after = replace(self, trials=trials)
        return after if after._happen(event) else None

    def _happen(self, event: Event) -> bool:
        if isinstance(event, SweepStarted):
            if self.max_epochs is not None:
                return False
            self.max_epochs = event.identity["max_epochs"]
            return True
        if self.max_epochs is None:
            return False
        if isinstance(event, SweepResumed | SweepEnded):
            self._stop_training()
            self.resumes += isinstance(event, SweepResumed)
            self.added = 0 if isinstance(event, SweepResumed) else self.added
            self.ended = event.reason if isinstance(event, SweepEnded) else None
            return True
        if isinstance(event, TrialsAdded):
            if event.request in self.requests:
                return False
            self.added, self.requests = self.added + event.trials, (*self.requests, event.request)
            return True
        if isinstance(event, TrialProposed):
            if event.trial != len(self.trials):
                return False
            self.trials.append(ModelTrial())
            return True
        if not 0 <= event.trial < len(self.trials):
            return False
        return self._happen_to(self.trials[event.trial], event)

    def _stop_training(self) -> None:
        for trial in self.trials:
            if trial.phase == "training":
                trial.phase = "trained" if len(trial.epochs) == self.max_epochs else "paused"
                trial.reason = ""

    def _happen_to(self, trial: ModelTrial, event: Event) -> bool:
        epoch, phase = len(trial.epochs), trial.phase
        if isinstance(event, TrialAdmitted):
            trial.phase = "admitted"
            return phase == "proposed"
        if isinstance(event, AttemptStarted):
            trial.phase, trial.target, trial.attempts = "training", event.to_epoch, trial.attempts + 1
            return (
                phase in ("admitted", "paused")
                and event.attempt == trial.attempts
                and event.from_epoch == epoch
                and epoch < event.to_epoch <= (self.max_epochs or 0)
            )
        if isinstance(event, EpochTrained):
            trial.epochs.append(event.partial_score)
            trial.checkpoint = event.checkpoint
            trial.losses = 0
            return (
                phase == "training"
                and event.attempt == trial.attempts
                and event.epoch == epoch + 1
                and event.epoch <= trial.target
            )
        if isinstance(event, AttemptEnded):
            done = epoch == trial.target
            trial.phase = "trained" if done and epoch == self.max_epochs else "paused"
            trial.crashes += event.outcome == "crashed"
            trial.losses += event.outcome == "lost"
            trial.reason = event.reason
            return (
                phase == "training"
                and event.attempt == trial.attempts
                and done == (event.outcome == "reached")
            )
        if isinstance(event, TrialCompleted):
            trial.phase, trial.score = "complete", event.final_score
            for other in self.trials:
                other.finals = []  # a newcomer: whoever the finalists are now, they take turns anew
            return phase == "trained"
        if isinstance(event, FinalistMeasured):
            trial.finals.append(event.latency_ms)
            return phase == "complete" and event.round == len(trial.finals)
        if isinstance(event, FilesRemoved):
            trial.has_files = False
            return phase in FINAL
        trial.reason = event.reason
        if isinstance(event, TrialPruned):
            trial.phase, trial.pruned_by = "pruned", event.rule
            return phase in ("proposed", "admitted", "paused")
        if isinstance(event, TrialInfeasible):
            trial.phase = "infeasible"
            return phase in ("proposed", "admitted", "trained")
        assert isinstance(event, TrialFailed)
        trial.phase = "failed"
        return phase not in FINAL
