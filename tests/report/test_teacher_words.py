"""What people read of a sweep's teacher: in the status, in the log and in MLflow."""

from typing import Any

import pytest

from sweep.lifecycle import Event, Record, SweepState, replay
from sweep.lifecycle.events import (
    SweepStarted,
    TeacherAttemptEnded,
    TeacherAttemptStarted,
    TeacherEpochTrained,
    TeacherReady,
)
from sweep.report.facts import facts_of
from sweep.report.history import history_of
from sweep.report.lines import event_line, opening_lines
from sweep.report.status import status_json, status_of
from sweep.report.status_view import status_line
from sweep.tracking.plan import plan

TEACHER = {"name": "big", "epochs": 6, "stands_for": "Swin", "checkpoint": None}
SETTINGS = {"trials": 8, "time_s": None, "farm": None, "teacher": TEACHER}
BEFORE = {**SETTINGS, "teacher": {**TEACHER, "epochs": 0, "checkpoint": "/weights.pt"}}
ATTEMPT = TeacherAttemptStarted(1, 0, 6, None)
EPOCHS = tuple(TeacherEpochTrained(1, n, 0.5, 0.25, 0.1, 2.0, f"teacher/{n}.pt") for n in range(1, 7))
READY = TeacherReady("big", "c" * 16, 6, 0.1234, "teacher/6.pt", "f" * 64, "Swin")
ADOPTED = TeacherReady("big", "c" * 16, 0, 0.1234, "teacher/0.pt", "f" * 64)


def started(settings: dict[str, Any]) -> SweepStarted:
    identity = {"space": "small", "data": "own", "max_epochs": 2, "target": {}}
    return SweepStarted("s", "id", identity, {}, settings, {})


def records(*events: Event, settings: dict[str, Any] = SETTINGS) -> list[Record]:
    return [Record(place, float(place), event) for place, event in enumerate((started(settings), *events))]


@pytest.mark.parametrize(
    ("events", "running", "settings", "words"),
    [
        ((), True, {**SETTINGS, "teacher": None}, None),
        ((), True, {"trials": 8}, None),
        ((), True, SETTINGS, "to be trained for 6 epochs"),
        ((ATTEMPT,), True, SETTINGS, "training epoch 1 of 6"),
        ((ATTEMPT, *EPOCHS[:2]), True, SETTINGS, "training epoch 3 of 6"),
        ((ATTEMPT, *EPOCHS[:2]), False, SETTINGS, "2 of 6 epochs trained"),
        (
            (ATTEMPT, *EPOCHS, READY),
            True,
            SETTINGS,
            "ready: big (stands for Swin), si-RMSE 0.1234 (partial), 6 epochs",
        ),
        ((), True, BEFORE, "to be looked at"),
        ((ADOPTED,), False, BEFORE, "ready: big, si-RMSE 0.1234 (partial), trained before"),
    ],
)
def test_the_status_tells_of_the_teacher(
    events: tuple[Event, ...], running: bool, settings: dict[str, Any], words: str | None
) -> None:
    status = status_of("s", history_of(records(*events, settings=settings)), running=running, now=100.0)
    assert status.teacher == words
    assert status_json(status)["teacher"] == words
    assert (f"teacher {words}" in status_line(status)) is (words is not None)


def lines(*events: Event) -> list[str | None]:
    state, told = replay([(0.0, started(SETTINGS))]), []
    for place, event in enumerate(events):
        before, state = state, replay((0.0, e) for e in (started(SETTINGS), *events[: place + 1]))
        told.append(event_line(before, state, event))
    return told


def test_a_log_has_a_line_for_each_of_its_events() -> None:
    lost = TeacherAttemptEnded(1, "lost", "the node died")
    again = TeacherAttemptStarted(2, 1, 6, "teacher/1.pt")
    assert lines(ATTEMPT, EPOCHS[0], lost, again) == [
        "teacher   training    from epoch 0 to 6",
        "teacher   epoch 1/6   si-RMSE 0.2500 (partial), 2.0 s",
        "teacher   lost        after epoch 1: the node died",
        "teacher   goes on     from epoch 1 to 6",
    ]
    assert lines(ADOPTED) == ["teacher   ready: big, si-RMSE 0.1234 (partial), trained before"]


def test_a_log_begins_with_who_teaches() -> None:
    assert "teacher: big (stands for Swin)" in list(opening_lines(facts_of(started(SETTINGS))))
    assert not any("teacher" in line for line in opening_lines(facts_of(started({"trials": 8}))))


def test_the_sweeps_mlflow_run_has_the_teachers_facts_and_figures() -> None:
    state = SweepState()
    updates = []
    for record in records(ATTEMPT, *EPOCHS, READY):
        state = replay((r.time, r.event) for r in records(ATTEMPT, *EPOCHS, READY)[: record.sequence + 1])
        updates += plan(state, record)
    assert {update.run for update in updates} == {None}
    points = [point for update in updates for point in update.metrics]
    assert [(p.step, p.value) for p in points if p.key == "teacher_si_rmse_partial"] == [
        (n, 0.25) for n in range(1, 7)
    ]
    assert updates[-1].tags == {
        "teacher": "big",
        "teacher_state": "ready",
        "teacher_candidate_hash": "c" * 16,
        "teacher_epochs": "6",
        "teacher_si_rmse_partial": "0.1234",
        "teacher_sha256": "f" * 64,
        "teacher_stands_for": "Swin",
    }
