"""The trial's lifecycle: a pure state machine over events.

    PROPOSED -> ADMITTED -> TRAINING <-> PAUSED -> PRUNED
                               |
                               v
                            TRAINED -> COMPLETE

PRUNED can also follow PROPOSED and ADMITTED; INFEASIBLE follows PROPOSED, ADMITTED, TRAINING or TRAINED; FAILED
can follow every state that is not final. `TRANSITIONS` is the whole truth about which event is legal in which
state; `advance` computes the rest of a trial's record.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

from sweep.lifecycle.events import (
    AttemptEnded,
    AttemptStarted,
    EpochTrained,
    FilesRemoved,
    FinalistMeasured,
    Json,
    PretrainedLoaded,
    TrialAdmitted,
    TrialCompleted,
    TrialEvent,
    TrialFailed,
    TrialInfeasible,
    TrialProposed,
    TrialPruned,
)


class TrialState(StrEnum):
    """Where a trial stands."""

    PROPOSED = "proposed"
    ADMITTED = "admitted"
    TRAINING = "training"
    PAUSED = "paused"
    TRAINED = "trained"
    COMPLETE = "complete"
    PRUNED = "pruned"
    INFEASIBLE = "infeasible"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """True if nothing more can happen to the trial, its files' removal aside."""
        return self in FINAL_STATES


FINAL_STATES = frozenset({TrialState.COMPLETE, TrialState.PRUNED, TrialState.INFEASIBLE, TrialState.FAILED})
UNFINISHED_STATES = frozenset(TrialState) - FINAL_STATES

TRANSITIONS: Mapping[type[TrialEvent], frozenset[TrialState]] = {
    TrialAdmitted: frozenset({TrialState.PROPOSED}),
    AttemptStarted: frozenset({TrialState.ADMITTED, TrialState.PAUSED}),
    PretrainedLoaded: frozenset({TrialState.TRAINING}),
    EpochTrained: frozenset({TrialState.TRAINING}),
    AttemptEnded: frozenset({TrialState.TRAINING}),
    TrialCompleted: frozenset({TrialState.TRAINED}),
    FinalistMeasured: frozenset({TrialState.COMPLETE}),
    TrialPruned: frozenset({TrialState.PROPOSED, TrialState.ADMITTED, TrialState.PAUSED}),
    TrialInfeasible: frozenset(
        {TrialState.PROPOSED, TrialState.ADMITTED, TrialState.TRAINING, TrialState.TRAINED}
    ),
    TrialFailed: UNFINISHED_STATES,
    FilesRemoved: FINAL_STATES,
}


class IllegalEvent(Exception):
    """The event cannot happen to this trial now: a bug, or a journal that was tampered with."""


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch brought; ``si_rmse`` and ``score`` are partial."""

    epoch: int
    train_loss: float
    si_rmse: float
    score: float
    learning_rate: float
    seconds: float
    time: float


@dataclass(frozen=True)
class Trial:
    """Everything that is known of one trial; only `propose` and `advance` make one.

    ``changed_at`` is the time of the last event that was more than housekeeping. ``losses`` counts the attempts in
    a row that were lost without one more epoch. ``pretrained`` says what became of the weights
    that its training began with, if they came from elsewhere. ``pruned_by`` is the rule that stopped the trial,
    if one did.
    """

    number: int
    state: TrialState
    assignment: Mapping[str, Json]
    candidate: Mapping[str, Json]
    candidate_hash: str
    architecture_hash: str
    origin: str
    proposed_at: float
    changed_at: float
    max_epochs: int
    attempts: int = 0
    crashes: int = 0
    losses: int = 0
    seed: int | None = None
    target_epoch: int = 0
    pretrained: str | None = None
    epochs: tuple[EpochRecord, ...] = ()
    checkpoint: str | None = None
    admission_latency_ms: float | None = None
    admission: Mapping[str, Json] | None = None
    admission_export: Mapping[str, Json] | None = None
    admission_shared_with: int | None = None
    admission_exports: tuple[Mapping[str, Json], ...] = ()
    completion: TrialCompleted | None = None
    finals: tuple[FinalistMeasured, ...] = ()
    reason: str = ""
    pruned_by: str | None = None
    has_files: bool = True

    @property
    def epoch(self) -> int:
        """Epochs trained so far."""
        return self.epochs[-1].epoch if self.epochs else 0

    @property
    def partial_score(self) -> float | None:
        """The score after the last epoch trained, by the admission latency."""
        return self.epochs[-1].score if self.epochs else None

    @property
    def final_score(self) -> float | None:
        """The Final Score of the exported file; None unless the trial is complete."""
        return self.completion.final_score if self.completion else None

    @property
    def latency_ms(self) -> float | None:
        """The best-known latency: of the final file, else of the admission's.

        A finalist's rounds do not change it: they compare finalists with each other, and with nobody else.
        """
        return self.completion.latency_ms if self.completion else self.admission_latency_ms

    @property
    def size_mb(self) -> float | None:
        """Size of the TFLite file in 10^6 bytes, as exported at admission; None before.

        Of several files it is that of the fastest, and once the trial is complete, that of the best.
        """
        several = self.completion is not None and self.completion.exports
        export = self.completion.export if self.completion and several else self.admission_export
        size = (export or {}).get("size_bytes")
        return None if size is None else float(size) / 1e6

    @property
    def was_tried(self) -> bool:
        """False if the trial ended at admission, by its latency or size alone: it cost no training."""
        stopped = self.pruned_by == "admission" or (
            self.state is TrialState.INFEASIBLE and self.admission_latency_ms is not None
        )
        return bool(self.attempts) or not stopped

    @cached_property
    def si_rmse_curve(self) -> tuple[float, ...]:
        """The partial si-RMSE after each epoch."""
        return tuple(record.si_rmse for record in self.epochs)

    def score_at(self, epoch: int) -> float | None:
        """The partial score after ``epoch`` epochs, if the trial got there."""
        return next((record.score for record in self.epochs if record.epoch == epoch), None)


def propose(event: TrialProposed, time: float, max_epochs: int) -> Trial:
    """A new trial, in state PROPOSED."""
    return Trial(
        number=event.trial,
        state=TrialState.PROPOSED,
        assignment=event.assignment,
        candidate=event.candidate,
        candidate_hash=event.candidate_hash,
        architecture_hash=event.architecture_hash,
        origin=event.origin,
        seed=event.seed,
        proposed_at=time,
        changed_at=time,
        max_epochs=max_epochs,
    )


def advance(trial: Trial, event: TrialEvent, time: float) -> Trial:
    """The trial after ``event``.

    Raises:
        IllegalEvent: the event is not legal in the trial's state, or contradicts its record.
    """
    if trial.state not in TRANSITIONS.get(type(event), frozenset()):
        raise IllegalEvent(f"trial {trial.number} is {trial.state}: {type(event).__name__} is not legal")
    if isinstance(event, FilesRemoved):
        return replace(trial, has_files=False)
    return replace(_apply(trial, event, time), changed_at=time)


def _apply(trial: Trial, event: TrialEvent, time: float) -> Trial:
    match event:
        case TrialAdmitted():
            return replace(
                trial,
                state=TrialState.ADMITTED,
                admission_latency_ms=event.latency_ms,
                admission=event.measurement,
                admission_export=event.export,
                admission_shared_with=event.shared_with,
                admission_exports=tuple(event.exports),
            )
        case AttemptStarted():
            return _start_attempt(trial, event)
        case PretrainedLoaded():
            return replace(trial, pretrained=event.summary)
        case EpochTrained():
            return _train_epoch(trial, event, time)
        case AttemptEnded():
            return _end_attempt(trial, event)
        case TrialCompleted():
            return replace(trial, state=TrialState.COMPLETE, completion=event)
        case FinalistMeasured():
            return _measure_finalist(trial, event)
        case TrialPruned():
            return replace(trial, state=TrialState.PRUNED, reason=event.reason, pruned_by=event.rule)
        case TrialInfeasible():
            return replace(trial, state=TrialState.INFEASIBLE, reason=event.reason)
        case TrialFailed():
            return replace(trial, state=TrialState.FAILED, reason=event.reason)
        case _:
            raise IllegalEvent(f"{type(event).__name__} is not an event of an existing trial")


def _start_attempt(trial: Trial, event: AttemptStarted) -> Trial:
    expected = (trial.attempts + 1, trial.epoch)
    if (event.attempt, event.from_epoch) != expected or not trial.epoch < event.to_epoch <= trial.max_epochs:
        raise IllegalEvent(
            f"trial {trial.number}: attempt {event.attempt} from epoch {event.from_epoch} to "
            f"{event.to_epoch}; expected attempt {expected[0]} from epoch {expected[1]} to at most "
            f"{trial.max_epochs}"
        )
    return replace(trial, state=TrialState.TRAINING, attempts=event.attempt, target_epoch=event.to_epoch)


def _train_epoch(trial: Trial, event: EpochTrained, time: float) -> Trial:
    if event.attempt != trial.attempts or event.epoch != trial.epoch + 1 or event.epoch > trial.target_epoch:
        raise IllegalEvent(
            f"trial {trial.number}: epoch {event.epoch} of attempt {event.attempt}; expected epoch "
            f"{trial.epoch + 1} (up to {trial.target_epoch}) of attempt {trial.attempts}"
        )
    record = EpochRecord(
        epoch=event.epoch,
        train_loss=event.train_loss,
        si_rmse=event.si_rmse,
        score=event.partial_score,
        learning_rate=event.learning_rate,
        seconds=event.seconds,
        time=time,
    )
    return replace(trial, epochs=(*trial.epochs, record), checkpoint=event.checkpoint, losses=0)


def _measure_finalist(trial: Trial, event: FinalistMeasured) -> Trial:
    if event.round != len(trial.finals) + 1:
        raise IllegalEvent(
            f"trial {trial.number}: finalist's round {event.round}; expected round {len(trial.finals) + 1}"
        )
    return replace(trial, finals=(*trial.finals, event))


def _end_attempt(trial: Trial, event: AttemptEnded) -> Trial:
    if event.attempt != trial.attempts:
        raise IllegalEvent(
            f"trial {trial.number}: attempt {event.attempt} is not the running {trial.attempts}"
        )
    if (event.outcome == "reached") != (trial.epoch == trial.target_epoch):
        raise IllegalEvent(
            f"trial {trial.number}: {event.outcome} at epoch {trial.epoch} of {trial.target_epoch}"
        )
    state = TrialState.PAUSED
    if event.outcome == "reached" and trial.epoch == trial.max_epochs:
        state = TrialState.TRAINED
    return replace(
        trial,
        state=state,
        crashes=trial.crashes + (event.outcome == "crashed"),
        losses=trial.losses + (event.outcome == "lost"),
        reason=event.reason,
    )
