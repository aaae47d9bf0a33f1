"""A sweep's teacher in words."""

from collections.abc import Mapping

from sweep.lifecycle import SweepState, Teacher
from sweep.lifecycle.events import (
    Json,
    TeacherAttemptEnded,
    TeacherAttemptStarted,
    TeacherEpochTrained,
    TeacherEvent,
    TeacherReady,
)
from sweep.report.text import count, number, one_line


def teacher_title(settings: Mapping[str, Json]) -> str | None:
    """The teacher's name by a run's settings, and what it is a substitute for; None if there is no teacher."""
    chosen = settings.get("teacher")
    return _title(str(chosen["name"]), chosen.get("stands_for")) if chosen else None


def teacher_state(state: SweepState, settings: Mapping[str, Json], runs: bool) -> str | None:
    """What the teacher does, such as ``training epoch 3 of 6``; None if there is none.

    ``runs``: a process runs the sweep.
    """
    chosen = settings.get("teacher")
    if not chosen:
        return None
    teacher = state.teacher or Teacher()
    if teacher.ready is not None:
        return _ready(teacher.ready)
    if chosen.get("checkpoint"):
        return "to be looked at"
    if teacher.training and runs:
        return f"training epoch {teacher.epoch + 1} of {teacher.epochs}"
    if teacher.epoch:
        return f"{teacher.epoch} of {count(teacher.epochs, 'epoch')} trained"
    return f"to be trained for {count(int(chosen['epochs']), 'epoch')}"


def teacher_line(before: SweepState, event: TeacherEvent) -> str:
    """What ``event`` tells, without saying that it is of the teacher."""
    match event:
        case TeacherAttemptStarted():
            begun = before.teacher is not None and before.teacher.epoch > 0
            return f"{'goes on' if begun else 'training':<12}from epoch {event.from_epoch} to {event.epochs}"
        case TeacherEpochTrained():
            of = before.teacher.epochs if before.teacher else event.epoch
            return (
                f"epoch {f'{event.epoch}/{of}':<6}si-RMSE {number(event.si_rmse, 4)} (partial), "
                f"{event.seconds:.1f} s"
            )
        case TeacherAttemptEnded():
            done = before.teacher.epoch if before.teacher else 0
            return f"{event.outcome:<12}after epoch {done}" + (
                f": {one_line(event.reason)}" if event.reason else ""
            )
        case TeacherReady():
            return _ready(event)


def _ready(ready: TeacherReady) -> str:
    title = _title(ready.name, ready.stands_for)
    trained = count(ready.epochs, "epoch") if ready.epochs else "trained before"
    return f"ready: {title}, si-RMSE {number(ready.si_rmse, 4)} (partial), {trained}"


def _title(name: str, stands_for: str | None) -> str:
    return name if stands_for is None else f"{name} (stands for {stands_for})"
