"""The teacher's events, one after another: what each does, and which cannot happen."""

import pytest

from sweep.lifecycle import Event, IllegalEvent, SweepState, Teacher, replay
from sweep.lifecycle.events import (
    SweepEnded,
    SweepResumed,
    SweepStarted,
    TeacherAttemptEnded,
    TeacherAttemptStarted,
    TeacherEpochTrained,
    TeacherReady,
)

STARTED = SweepStarted("s", "id", {"max_epochs": 2}, {}, {}, {})
RESUMED = SweepResumed({}, {})
READY = TeacherReady("big", "c" * 16, 2, 0.25, "teacher/epoch-0002.pt", "f" * 64, "Swin")
ADOPTED = TeacherReady("big", "c" * 16, 0, 0.25, "teacher/epoch-0000.pt", "f" * 64)


def attempt(number: int, from_epoch: int = 0) -> TeacherAttemptStarted:
    checkpoint = f"teacher/epoch-{from_epoch:04d}.pt" if from_epoch else None
    return TeacherAttemptStarted(number, from_epoch, 2, checkpoint)


def epoch(number: int, of_attempt: int = 1) -> TeacherEpochTrained:
    return TeacherEpochTrained(
        of_attempt, number, 0.5, 0.5 / number, 0.1, 1.0, f"teacher/epoch-{number:04d}.pt"
    )


def after(*events: Event) -> SweepState:
    return replay((1.0, event) for event in (STARTED, *events))


def test_a_sweep_knows_nothing_of_a_teacher_until_something_happens_to_it() -> None:
    assert after().teacher is None


def test_the_whole_training_leaves_a_teacher_that_is_ready() -> None:
    assert after(attempt(1), epoch(1), epoch(2), READY).teacher == Teacher(
        epochs=2,
        epoch=2,
        attempts=1,
        si_rmse=0.25,
        checkpoint="teacher/epoch-0002.pt",
        ready=READY,
    )


def test_one_that_was_trained_before_is_ready_at_once() -> None:
    teacher = after(ADOPTED).teacher
    assert teacher == Teacher(si_rmse=0.25, checkpoint="teacher/epoch-0000.pt", ready=ADOPTED)


@pytest.mark.parametrize("event", [RESUMED, SweepEnded("stopped")])
def test_a_run_that_ends_or_begins_sends_it_back_to_its_last_checkpoint(event: Event) -> None:
    teacher = after(attempt(1), epoch(1), event).teacher
    assert teacher == Teacher(
        epochs=2, epoch=1, attempts=1, si_rmse=0.5, checkpoint="teacher/epoch-0001.pt", training=False
    )


def test_failures_are_counted_within_a_run_and_losses_between_epochs() -> None:
    crash = TeacherAttemptEnded(1, "crashed", "why")
    loss = TeacherAttemptEnded(2, "lost")
    both = after(attempt(1), crash, attempt(2), loss).teacher
    assert both is not None
    assert (both.crashes, both.losses, both.training) == (1, 1, False)
    trained = after(attempt(1), crash, attempt(2), loss, attempt(3), epoch(1, of_attempt=3)).teacher
    assert trained is not None
    assert (trained.crashes, trained.losses) == (1, 0)
    resumed = after(attempt(1), crash, attempt(2), loss, RESUMED).teacher
    assert resumed is not None
    assert (resumed.crashes, resumed.losses, resumed.attempts) == (0, 0, 2)


@pytest.mark.parametrize(
    "events",
    [
        (epoch(1),),
        (TeacherAttemptEnded(1, "lost"),),
        (attempt(2),),
        (attempt(1, from_epoch=1),),
        (attempt(1), attempt(2)),
        (attempt(1), epoch(2)),
        (attempt(1), epoch(1, of_attempt=2)),
        (attempt(1), epoch(1), epoch(1)),
        (attempt(1), epoch(1), epoch(2), epoch(3)),
        (attempt(1), epoch(1), READY),
        (attempt(1), TeacherAttemptEnded(1, "lost"), epoch(1)),
        (attempt(1), TeacherAttemptEnded(1, "lost"), TeacherAttemptEnded(1, "lost")),
        (attempt(1), epoch(1), epoch(2), READY, READY),
        (attempt(1), epoch(1), epoch(2), READY, attempt(2, from_epoch=2)),
        (ADOPTED, attempt(1)),
    ],
)
def test_what_makes_no_sense_cannot_happen(events: tuple[Event, ...]) -> None:
    after(*events[:-1])
    with pytest.raises(IllegalEvent, match="cannot happen to the teacher now"):
        after(*events)
