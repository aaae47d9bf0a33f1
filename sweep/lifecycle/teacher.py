"""A sweep's teacher: what its events, one after another, say of its training.

Attempts train it epoch by epoch, as they train trials; then it is ready, for good. A teacher that was trained
before the sweep is ready at once.
"""

from dataclasses import dataclass, replace

from sweep.lifecycle.events import (
    TeacherAttemptEnded,
    TeacherAttemptStarted,
    TeacherEpochTrained,
    TeacherEvent,
    TeacherReady,
)
from sweep.lifecycle.trial import IllegalEvent


@dataclass(frozen=True)
class Teacher:
    """How far the teacher is.

    Attributes:
        epochs: of its whole training, once that has begun.
        epoch: epochs trained so far.
        training: an attempt is under way.
        attempts: attempts started.
        crashes, losses: how often one crashed, or was lost without one more epoch, since the run started.
        si_rmse: the partial one after the last epoch; None before the first.
        checkpoint: of the last epoch, relative to the sweep's folder.
        reason: why the latest attempt ended.
        ready: what it is, once it can teach.
    """

    epochs: int = 0
    epoch: int = 0
    training: bool = False
    attempts: int = 0
    crashes: int = 0
    losses: int = 0
    si_rmse: float | None = None
    checkpoint: str | None = None
    reason: str = ""
    ready: TeacherReady | None = None


def advance_teacher(teacher: Teacher, event: TeacherEvent) -> Teacher:
    """The teacher after ``event``.

    Raises:
        IllegalEvent: it cannot happen now.
    """
    match event:
        case TeacherAttemptStarted():
            expected = (teacher.attempts + 1, teacher.epoch)
            _check(event, not (teacher.training or teacher.ready))
            _check(event, (event.attempt, event.from_epoch) == expected and event.from_epoch < event.epochs)
            return replace(teacher, training=True, attempts=event.attempt, epochs=event.epochs)
        case TeacherEpochTrained():
            _check(event, teacher.training and event.attempt == teacher.attempts)
            _check(event, event.epoch == teacher.epoch + 1 <= teacher.epochs)
            return replace(
                teacher, epoch=event.epoch, si_rmse=event.si_rmse, checkpoint=event.checkpoint, losses=0
            )
        case TeacherAttemptEnded():
            _check(event, teacher.training and event.attempt == teacher.attempts)
            return replace(
                teacher,
                training=False,
                crashes=teacher.crashes + (event.outcome == "crashed"),
                losses=teacher.losses + (event.outcome == "lost"),
                reason=event.reason,
            )
        case TeacherReady():
            _check(event, teacher.ready is None and teacher.epoch == teacher.epochs)
            return replace(
                teacher, training=False, si_rmse=event.si_rmse, checkpoint=event.checkpoint, ready=event
            )


def interrupted(teacher: Teacher | None, *, new_run: bool) -> Teacher | None:
    """The teacher when a run ends or begins: what was training goes back to its last checkpoint.

    A person starts a new run, and may have mended what went wrong: it gets all of its chances again.
    """
    if teacher is None:
        return None
    stopped = replace(teacher, training=False)
    return replace(stopped, crashes=0, losses=0) if new_run else stopped


def _check(event: TeacherEvent, legal: bool) -> None:
    if not legal:
        raise IllegalEvent(f"{event} cannot happen to the teacher now")
