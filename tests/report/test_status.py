"""What a sweep does now: the whole status, its pace, and how it looks."""

import json
from dataclasses import replace

import pytest
from report_sweep import (
    START,
    STEP_S,
    admitted,
    as_records,
    completed,
    epoch,
    every_ending,
    measurement,
    started,
    trained,
)

from sweep.lifecycle import Event
from sweep.lifecycle.events import (
    AttemptEnded,
    AttemptStarted,
    FinalistMeasured,
    SweepEnded,
    SweepResumed,
    TrialAdmitted,
    TrialInfeasible,
    TrialProposed,
    TrialPruned,
    TrialsAdded,
)
from sweep.report.history import SweepHistory, history_of
from sweep.report.status import (
    BestTrial,
    Breakage,
    InTraining,
    Pace,
    SweepStatus,
    status_json,
    status_of,
)
from sweep.report.status_view import status_line, status_screen


def busy(farm: str | None = None) -> list[Event]:
    """Every ending, and what only this view tells: sharing, losses, bounds, rules, constraints, finalists."""
    first = started(farm, time_s=1800.0)
    known = replace(first, settings={**first.settings, "cluster": {"slots": 3, "lookahead": 4}})
    return [
        known,
        *list(every_ending())[1:],
        AttemptEnded(5, 1, "lost"),
        AttemptStarted(5, 2, 1, 4, None),
        TrialAdmitted(6, 11.5, measurement(11.5), {"size_bytes": 1_000_000}, shared_with=0),
        TrialPruned(6, 0, None, "cannot beat 671.8", "admission"),
        *admitted(7),
        TrialInfeasible(7, "latency_ms <= 15 is broken:\n16.5"),
        *admitted(8),
        *trained(9, 2, 4),
        TrialProposed(10, {}, {}, "c" * 16, "a" * 16, "sampler"),
        FinalistMeasured(1, 1, 12.5, measurement(12.5)),
        FinalistMeasured(0, 1, 10.0, measurement(10.0)),
        FinalistMeasured(1, 2, 12.5, measurement(12.5)),
        TrialsAdded(4, "r1"),
    ]


def status(events: list[Event], *, running: bool, after_s: float = 0.0) -> SweepStatus:
    history = history_of(as_records(events))
    assert history.last_at is not None
    return status_of("demo", history, running=running, now=history.last_at + after_s)


def test_the_status_tells_the_pipeline_its_bounds_what_was_spent_and_what_came_of_it() -> None:
    events = busy()
    elapsed_s = STEP_S * (len(events) - 1) + 5.0
    assert status(events, running=True, after_s=5.0) == SweepStatus(
        name="demo",
        about="mobilenetv3 on demo-1",
        target="x86_64 Test CPU, tflite-2.14.0, 1 thread, xnnpack",
        condition="running",
        detail="",
        done=5,
        wanted=12,
        counts={
            "proposed": 1,
            "admitted": 1,
            "training": 1,
            "paused": 0,
            "trained": 1,
            "complete": 2,
            "pruned": 2,
            "infeasible": 2,
            "failed": 1,
        },
        slots=3,
        lookahead=4,
        training=(InTraining(trial=5, epoch=1, to_epoch=4, max_epochs=4),),
        judged=(9,),
        pruned_by={"rung": 1, "admission": 1},
        breaking_constraint=1,
        breakages=(
            Breakage(7, "infeasible", "latency_ms <= 15 is broken: 16.5"),
            Breakage(4, "failed", "training diverged: loss is NaN"),
            Breakage(3, "infeasible", "the runtime refused the file: op 152 is unknown"),
        ),
        best=BestTrial(trial=1, final_score=671.8, si_rmse=0.3125, latency_ms=12.5),
        epochs=15,
        training_s=15 * 9.25,
        admissions_measured=8,
        admissions_shared=1,
        attempts=10,
        lost=1,
        crashed=1,
        finalists=2,
        rounds=3,
        pace=Pace(
            elapsed_s=elapsed_s,
            limit_s=1800.0,
            needed_s=pytest.approx(7 * elapsed_s / 5),
            spare_s=pytest.approx(1800.0 - elapsed_s - 7 * elapsed_s / 5),
            reached=None,
        ),
        silent_s=5.0,
    )


def test_the_json_is_plain_data_with_the_same_figures() -> None:
    found = status(busy(), running=True)
    plain = json.loads(json.dumps(status_json(found)))
    assert plain["counts"] == found.counts
    assert plain["pruned_by"] == {"rung": 1, "admission": 1}
    assert plain["training"] == [{"trial": 5, "epoch": 1, "to_epoch": 4, "max_epochs": 4}]
    assert plain["breakages"][1] == {
        "trial": 4,
        "state": "failed",
        "reason": "training diverged: loss is NaN",
    }
    assert plain["best"] == {"trial": 1, "final_score": 671.8, "si_rmse": 0.3125, "latency_ms": 12.5}
    assert set(plain["pace"]) == {"elapsed_s", "limit_s", "needed_s", "spare_s", "reached"}


def run_of(done: int, trials: int | None, time_s: float | None) -> SweepHistory:
    """A history in which ``done`` trials completed in 10 s each."""
    history = SweepHistory()
    events: list[Event] = [started(trials=trials, time_s=time_s)]
    for trial in range(done):
        events += [*trained(trial, 4), completed(trial, 0.375, 10.0, 353.6)]
    for record in as_records(events):
        history = history.after(replace(record, time=START))
    return replace(history, last_at=START + 10.0 * done)


@pytest.mark.parametrize(
    ("done", "trials", "time_s", "expected"),
    [
        (4, 10, 100.0, Pace(40.0, 100.0, 60.0, 0.0, None)),  # exactly in time
        (4, 8, 100.0, Pace(40.0, 100.0, 40.0, 20.0, None)),
        (4, 12, 100.0, Pace(40.0, 100.0, 80.0, -20.0, 10)),
        (4, 4, 100.0, Pace(40.0, 100.0, 0.0, 60.0, None)),
        (4, 10, 30.0, Pace(40.0, 30.0, 60.0, -60.0, 4)),  # past its limit already
        (4, 10, None, Pace(40.0, None, 60.0, None, None)),
        (4, None, 100.0, Pace(40.0, 100.0, None, None, None)),
        (0, 10, 100.0, Pace(0.0, 100.0, None, None, None)),
    ],
)
def test_the_pace_follows_from_the_trials_of_this_run_and_its_clock(done, trials, time_s, expected) -> None:
    history = run_of(done, trials, time_s)
    assert status_of("demo", history, running=True, now=START + 10.0 * done).pace == expected


def test_trials_of_earlier_runs_say_nothing_about_the_pace_of_this_one() -> None:
    events = [*busy(), SweepEnded("stopped"), SweepResumed(started().settings, {})]
    pace = status(events, running=True, after_s=100.0).pace
    assert pace == Pace(elapsed_s=100.0, limit_s=600.0, needed_s=None, spare_s=None, reached=None)


def test_a_dead_sweep_has_no_pace_and_its_clock_stopped_with_its_last_record() -> None:
    events = busy()
    found = status(events, running=False, after_s=86_400.0)
    assert found.condition == "died"
    assert found.pace == Pace(STEP_S * (len(events) - 1), 1800.0, None, None, None)
    assert found.silent_s == 86_400.0


def test_a_journal_without_a_record_is_a_sweep_that_starts_or_never_did(show) -> None:
    found = status_of("demo", SweepHistory(), running=True, now=START)
    assert (found.condition, found.runs, found.best, found.pace.elapsed_s) == ("starting", True, None, None)
    assert show(status_screen(found)) == "Sweep demo   starting\n"
    assert status_line(found) == "starting: 0 trials done; 0 epochs; no score yet"


SCREEN = """\
Sweep demo   running
mobilenetv3 on demo-1; x86_64 Test CPU, tflite-2.14.0, 1 thread, xnnpack
11:00 of 30:00   5 of 12 trials done
━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━

proposed    1  being exported and measured on the farm
admitted    1  ready to train; with those proposed 2 of 4 ahead
training    1  of 3 slots; trial 5 at 1 of 4
paused      0
trained     1  being judged: trial 9
complete    2
pruned      2  1 by admission, 1 by rung
infeasible  2  1 breaking a constraint
failed      1

best        trial 1, Final Score 671.8: si-RMSE 0.3125 at 12.50 ms
spent       15 epochs, 139 s of training
admissions  8 measured, 1 shared with an equal network
attempts    10 started, 1 lost, 1 crashed
finalists   2 measured again, 3 rounds in all
pace        faster than the deadline: all 12 trials are done 3 min before it
trial 7 infeasible: latency_ms <= 15 is broken: 16.5
trial 4 failed: training diverged: loss is NaN
trial 3 infeasible: the runtime refused the file: op 152 is unknown
"""


def test_the_screen_of_a_running_sweep(show) -> None:
    found = status(busy(), running=True)
    assert show(status_screen(found)) == SCREEN


@pytest.mark.parametrize(
    ("time_s", "text"),
    [
        (100.0, "pace faster than the deadline: all 8 trials are done 20 s before it"),
        (50.0, "pace slower than the deadline by 30 s: time for about 5 of 8 trials"),
        (None, "pace all 8 trials are done in about 40 s"),
    ],
)
def test_the_pace_in_words(show, time_s: float | None, text: str) -> None:
    found = status_of("demo", run_of(4, 8, time_s), running=True, now=START + 40.0)
    assert text in " ".join(show(status_screen(found)).split())


def test_every_line_fits_a_terminal_of_eighty_columns_whatever_the_sweep_is_like(show) -> None:
    events = [*busy("farm:50051"), SweepEnded("error", "the disk is full: " + "very " * 40)]
    for running in (True, False):
        text = show(status_screen(status(events, running=running, after_s=400.0)), width=80)
        assert max(map(len, text.splitlines())) <= 80


def test_the_line_for_logs_is_one_line_of_ascii() -> None:
    line = status_line(status(busy(), running=True))
    assert line == (
        "running: 5 of 12 trials done; 1 proposed, 1 admitted, 1 training, 1 trained, 2 complete, 2 pruned, "
        "2 infeasible, 1 failed; 15 epochs; best 671.8 (trial 1)"
    )
    assert line.isascii()


def test_many_attempts_are_cut_to_a_few(show) -> None:
    events: list[Event] = [started()]
    for trial in range(9):
        events += [*admitted(trial), AttemptStarted(trial, 1, 0, 2, None), epoch(trial, 1, 1)]
    found = status(events, running=True)
    assert len(found.training) == 9
    text = " ".join(show(status_screen(found), width=200).split())
    assert "training 9 trial 0 at 1 to 2 of 4, trial 1 at 1 to 2 of 4" in text
    assert "trial 5 at 1 to 2 of 4, and 3 more" in text
