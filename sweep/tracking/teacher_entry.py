"""What a teacher's events add to the sweep's own MLflow run."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sweep.lifecycle.events import (
    TeacherAttemptEnded,
    TeacherAttemptStarted,
    TeacherEpochTrained,
    TeacherEvent,
    TeacherReady,
)


@dataclass(frozen=True)
class TeacherEntry:
    """Tags, and figures at ``step``, the teacher's epoch."""

    tags: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    step: int = 0


def teacher_entry(event: TeacherEvent) -> TeacherEntry:
    """The entry of one event."""
    match event:
        case TeacherAttemptStarted():
            return TeacherEntry({"teacher_state": "training"})
        case TeacherEpochTrained():
            figures = {
                "teacher_train_loss": event.train_loss,
                "teacher_si_rmse_partial": event.si_rmse,
                "teacher_epoch_seconds": event.seconds,
            }
            return TeacherEntry(figures=figures, step=event.epoch)
        case TeacherAttemptEnded():
            return TeacherEntry({"teacher_state": f"{event.outcome} {event.reason}".strip()})
        case TeacherReady():
            tags = {
                "teacher": event.name,
                "teacher_state": "ready",
                "teacher_candidate_hash": event.candidate_hash,
                "teacher_epochs": str(event.epochs),
                "teacher_si_rmse_partial": str(event.si_rmse),
                "teacher_sha256": event.sha256,
            }
            stands_for = {} if event.stands_for is None else {"teacher_stands_for": event.stands_for}
            return TeacherEntry({**tags, **stands_for})
