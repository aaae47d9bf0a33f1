"""The live view: lines for files, a screen for terminals."""

import io
import threading
from collections.abc import Iterable
from datetime import UTC

import pytest
from report_journals import searched, taught
from report_sweep import (
    START,
    admitted,
    as_records,
    completed,
    epoch,
    every_ending,
    final_state,
    proposed,
    started,
    states,
    trained,
)
from rich.console import Console

from sweep.lifecycle import Event, SweepState
from sweep.lifecycle.events import (
    EVENT_TYPES,
    AttemptEnded,
    AttemptStarted,
    FilesRemoved,
    SweepEnded,
    SweepResumed,
    SweepStarted,
    TrialFailed,
    TrialPruned,
)
from sweep.report.endings import spoken_pipeline
from sweep.report.facts import facts_of
from sweep.report.lines import event_line
from sweep.report.live import LiveView
from sweep.report.screen import choose_trials, progress, screen

FACTS = facts_of(started())
ENDED_AND_RESUMED = (SweepEnded("stopped", "Ctrl-C"), SweepResumed({}, {}))


def log_of(events: Iterable[Event], width: int = 80) -> str:
    """What a log file holds after ``events``."""
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=False)
    view = LiveView(console, FACTS, started_at=START, now=lambda: START, timezone=UTC)
    for state, record in states(as_records(events)):
        view.update(state, record)
    view.close()
    return file.getvalue()


def test_a_log_file_gets_one_plain_dated_line_per_event():
    assert log_of(every_ending()) == (
        "2023-11-14 22:13:20  sweep demo: mobilenetv3 on demo-1, full fidelity 4 epochs\n"
        "2023-11-14 22:13:20  target: x86_64 Test CPU, tflite-2.14.0, 1 thread, xnnpack. "
        "Latency is measured on this machine, not on a Raspberry Pi 4.\n"
        "2023-11-14 22:13:20  limits: at most 8 trials, at most 10 min\n"
        "2023-11-14 22:13:30  trial 0   proposed    candidate 0000000000000000\n"
        "2023-11-14 22:13:40  trial 0   admitted    9.50 ms with untrained weights\n"
        "2023-11-14 22:13:50  trial 0   training    to epoch 2\n"
        "2023-11-14 22:14:00  trial 0   epoch 1/4   si-RMSE 0.5000 and score 100.0 (both partial), 9.2 s\n"
        "2023-11-14 22:14:10  trial 0   epoch 2/4   si-RMSE 0.2500 and score 200.0 (both partial), 9.2 s\n"
        "2023-11-14 22:14:30  trial 0   promoted    from epoch 2, now training to epoch 4\n"
        "2023-11-14 22:14:40  trial 0   epoch 3/4   si-RMSE 0.1667 and score 300.0 (both partial), 9.2 s\n"
        "2023-11-14 22:14:50  trial 0   epoch 4/4   si-RMSE 0.1250 and score 400.0 (both partial), 9.2 s\n"
        "2023-11-14 22:15:00  trial 0   trained     exporting, judging and measuring\n"
        "2023-11-14 22:15:10  trial 0   complete    Final Score 353.6, si-RMSE 0.3750, 10.00 ms, "
        "the best so far\n"
        "2023-11-14 22:15:20  trial 1   proposed    candidate 0000000000000001\n"
        "2023-11-14 22:15:30  trial 1   admitted    10.50 ms with untrained weights\n"
        "2023-11-14 22:15:40  trial 1   training    to epoch 2\n"
        "2023-11-14 22:15:50  trial 1   epoch 1/4   si-RMSE 0.5000 and score 100.0 (both partial), 9.2 s\n"
        "2023-11-14 22:16:00  trial 1   epoch 2/4   si-RMSE 0.2500 and score 200.0 (both partial), 9.2 s\n"
        "2023-11-14 22:16:20  trial 1   promoted    from epoch 2, now training to epoch 4\n"
        "2023-11-14 22:16:30  trial 1   epoch 3/4   si-RMSE 0.1667 and score 300.0 (both partial), 9.2 s\n"
        "2023-11-14 22:16:40  trial 1   epoch 4/4   si-RMSE 0.1250 and score 400.0 (both partial), 9.2 s\n"
        "2023-11-14 22:16:50  trial 1   trained     exporting, judging and measuring\n"
        "2023-11-14 22:17:00  trial 1   complete    Final Score 671.8, si-RMSE 0.3125, 12.50 ms, "
        "the best so far\n"
        "2023-11-14 22:17:20  trial 2   proposed    candidate 0000000000000002\n"
        "2023-11-14 22:17:30  trial 2   admitted    11.50 ms with untrained weights\n"
        "2023-11-14 22:17:40  trial 2   training    to epoch 2\n"
        "2023-11-14 22:17:50  trial 2   epoch 1/4   si-RMSE 0.5000 and score 100.0 (both partial), 9.2 s\n"
        "2023-11-14 22:18:00  trial 2   epoch 2/4   si-RMSE 0.2500 and score 200.0 (both partial), 9.2 s\n"
        "2023-11-14 22:18:20  trial 2   pruned      at epoch 2 by the rung policy: not among the best at rung 2\n"
        "2023-11-14 22:18:30  trial 3   proposed    candidate 0000000000000003\n"
        "2023-11-14 22:18:40  trial 3   infeasible  the runtime refused the file: op 152 is unknown\n"
        "2023-11-14 22:18:50  trial 4   proposed    candidate 0000000000000004\n"
        "2023-11-14 22:19:00  trial 4   admitted    13.50 ms with untrained weights\n"
        "2023-11-14 22:19:10  trial 4   training    to epoch 2\n"
        "2023-11-14 22:19:20  trial 4   crashed     after epoch 0: loss is NaN\n"
        "2023-11-14 22:19:30  trial 4   failed      training diverged: loss is NaN\n"
        "2023-11-14 22:19:40  trial 5   proposed    candidate 0000000000000005\n"
        "2023-11-14 22:19:50  trial 5   admitted    14.50 ms with untrained weights\n"
        "2023-11-14 22:20:00  trial 5   training    to epoch 2\n"
        "2023-11-14 22:20:10  trial 5   epoch 1/4   si-RMSE 0.5000 and score 100.0 (both partial), 9.2 s\n"
        "2023-11-14 22:20:20  trial 6   proposed    candidate 0000000000000006\n"
    )


def test_a_resumed_sweep_tells_what_was_there_and_that_trials_go_on():
    events = [
        started(),
        *trained(0, 4),
        completed(0, 0.3, 10.0, 500.0),
        *admitted(1),
        AttemptStarted(1, 1, 0, 2, None),
        epoch(1, 1, 1),
        AttemptEnded(1, 1, "interrupted", "the machine went away"),
        SweepEnded("stopped", "Ctrl-C"),
        SweepResumed({}, {}),
        AttemptStarted(1, 2, 1, 2, "c"),
    ]
    assert [line[21:] for line in log_of(events).splitlines()[-4:]] == [
        "trial 1   interrupted after epoch 1: the machine went away",
        "ended (stopped): Ctrl-C; best score 500.0 (trial 0)",
        "resumed with 2 trials, 1 of them complete",
        "trial 1   goes on     from epoch 1, training to epoch 2",
    ]


def test_every_rule_attempt_and_measurement_has_its_own_words():
    wanted = ("stopped", "lost", "finalist", "shares", "added", "moved", "breaks", "pruned")
    lines = [line[21:] for line in log_of(searched()).splitlines()]
    assert [line for line in lines if any(word in line for word in wanted)] == [
        "trial 3   complete    Final Score 125.0, si-RMSE 0.4000, 20.00 ms "
        "(latency moved with training: the final one counts)",
        "trial 4   pruned      at epoch 2 by the rung policy: not among the best at rung 2",
        "trial 5   pruned      at epoch 2 by extrapolation: at 14.5 ms a score of at most 40 is plausible",
        "trial 6   stopped     before training: at 15.5 ms a score of at most 30 is plausible",
        "trial 7   pruned      at epoch 2: out of time",
        "trial 8   infeasible  breaks latency_ms <= 15: latency_ms is 17.5",
        "3 trials added",
        "trial 9   admitted    9.50 ms with untrained weights, shares the measurement of trial 0",
        "trial 9   lost        after epoch 1: its process or node went away (node 10.0.0.7 died)",
        "trial 0   finalist    round 1: 10.00 ms",
        "trial 1   finalist    round 1: 10.10 ms",
        "trial 2   finalist    round 1: 14.00 ms",
        "trial 0   finalist    round 2: 10.20 ms",
        "trial 1   finalist    round 2: 10.30 ms",
        "trial 2   finalist    round 2: 14.10 ms",
        "trial 0   finalist    round 3: 10.10 ms",
        "trial 1   finalist    round 3: 10.00 ms",
        "trial 2   finalist    round 3: 14.20 ms",
    ]


def test_a_trial_that_was_never_trained_is_pruned_before_training():
    log = log_of([started(), *admitted(0), TrialPruned(0, 0, None, "no longer needed", "rung")])
    assert (
        log.splitlines()[-1][21:]
        == "trial 0   pruned      before training by the rung policy: no longer needed"
    )


@pytest.mark.parametrize("event", EVENT_TYPES.values(), ids=EVENT_TYPES)
def test_no_kind_of_event_goes_without_a_line_but_the_two_that_need_none(event):
    told = list(
        states(
            as_records([*searched(), *taught(), FilesRemoved(0), TrialFailed(11, "x"), *ENDED_AND_RESUMED])
        )
    )
    befores = [SweepState(), *(state for state, _ in told)]
    lines = {
        event_line(before, state, record.event)
        for before, (state, record) in zip(befores, told, strict=False)
        if isinstance(record.event, event)
    }
    assert lines
    assert (lines == {None}) == (event in (SweepStarted, FilesRemoved))


def test_a_long_line_is_not_wrapped_and_holds_no_escape_codes():
    text = log_of(every_ending(), width=40)
    assert all(line.startswith("2023-11-14 ") for line in text.splitlines())
    assert "\x1b" not in text


def test_a_log_file_hears_of_a_silent_sweep_once_a_minute():
    file, now = io.StringIO(), [START]
    view = LiveView(Console(file=file), FACTS, started_at=START, now=lambda: now[0], timezone=UTC)
    for now[0] in (START + 59, START + 60, START + 119, START + 121):
        view.tick()
    assert file.getvalue().splitlines()[3:] == [
        "2023-11-14 22:14:20  still at work, 1:00 of 10:00; 0 of 8 trials done; no score yet",
        "2023-11-14 22:15:21  still at work, 2:01 of 10:00; 0 of 8 trials done; no score yet",
    ]


SCREEN_AT_80 = """\
Sweep demo   mobilenetv3 on demo-1
x86_64 Test CPU, tflite-2.14.0, 1 thread, xnnpack. Latency is measured on this
machine, not on a Raspberry Pi 4.
2:30 of 10:00   5 of 8 trials done   best score 671.8 (trial 1)
under way  1 with the farm, 0 ahead, 1 training, 0 paused, 0 judging
ended      2 complete, 1 pruned, 1 infeasible, 1 failed
━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━

trial   state        epoch      ms   si-RMSE    score   note
────────────────────────────────────────────────────────────────────────────────
    0   complete       4/4   10.00    0.3750    353.6
    1   complete       4/4   12.50    0.3125    671.8   best
    2   pruned         2/4   11.50   ~0.2500   ~200.0   not among the best at r…
    3   infeasible     0/4       -         -        -   the runtime refused the…
    4   failed         0/4   13.50         -        -   training diverged: loss…
    5   training       1/4   14.50   ~0.5000   ~100.0   to epoch 2
    6   proposed       0/4       -         -        -   exporting, measuring la…
~ partial: of the last epoch trained, with the latency of untrained weights
"""


def test_a_terminal_shows_progress_and_every_trial(show):
    assert show(screen(FACTS, final_state(every_ending()), 150.0, height=40)) == SCREEN_AT_80


def test_a_low_terminal_shows_the_best_and_those_under_way_and_counts_the_rest(show):
    text = show(screen(FACTS, final_state(every_ending()), 150.0, height=15))
    shown = [line.split()[0] for line in text.splitlines() if line[:5].strip().isdigit()]
    assert shown == ["1", "5", "6"]
    assert text.endswith("and 4 more: 1 complete, 1 pruned, 1 infeasible, 1 failed\n")


MANY_ADMITTED = [started(trials=200), *(event for trial in range(100) for event in admitted(trial))]


@pytest.mark.parametrize("height", range(15, 60, 3))
@pytest.mark.parametrize("events", [MANY_ADMITTED, [*every_ending()], [*searched()]])
def test_the_screen_never_outgrows_the_terminal(show, height, events):
    text = show(screen(FACTS, final_state(events), 150.0, height=height))
    assert len(text.splitlines()) <= height


def test_the_screen_shows_where_candidates_are_and_counts_what_was_not_trained_apart(show):
    lines = show(screen(FACTS, final_state(searched()), 150.0, height=40), width=120).splitlines()
    assert lines[2:5] == [
        "2:30 of 10:00   7 of 11 trials done, 2 not trained   best score 1000.0 (trial 0)",
        "under way  1 with the farm, 1 ahead, 1 training, 0 paused, 0 judging",
        "ended      4 complete, 3 pruned, 1 stopped before training, 1 breaking a constraint",
    ]


def test_the_screen_notes_finalists_and_flags(show):
    lines = show(screen(FACTS, final_state(searched()), 150.0, height=40), width=120).splitlines()
    notes = {int(line[:5]): line[54:].strip() for line in lines if line[:5].strip().isdigit()}
    assert [notes[trial] for trial in range(4)] == [
        "best; finalist, 3 rounds",
        "finalist, 3 rounds",
        "finalist, 3 rounds",
        "latency moved with training: the final one counts",
    ]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("proposed", "1 with the farm, 0 ahead, 0 training, 0 paused, 0 judging"),
        ("admitted", "0 with the farm, 1 ahead, 0 training, 0 paused, 0 judging"),
        ("training", "0 with the farm, 0 ahead, 1 training, 0 paused, 0 judging"),
        ("paused", "0 with the farm, 0 ahead, 0 training, 1 paused, 0 judging"),
        ("trained", "0 with the farm, 0 ahead, 0 training, 0 paused, 1 judging"),
    ],
)
def test_each_step_of_the_pipeline_has_its_count(state, words):
    events = {
        "proposed": [proposed(0)],
        "admitted": [*admitted(0)],
        "training": [*admitted(0), AttemptStarted(0, 1, 0, 2, None)],
        "paused": [*trained(0, 2)],
        "trained": [*trained(0, 4)],
    }
    assert spoken_pipeline(final_state([started(), *events[state]])) == words


def test_among_trials_that_ended_the_latest_are_chosen():
    events = [
        started(),
        *(
            event
            for trial in range(5)
            for event in [*trained(trial, 4), completed(trial, 0.3, 10, trial == 1)]
        ),
    ]
    assert [trial.number for trial in choose_trials(final_state(events), 3)] == [1, 3, 4]


@pytest.mark.parametrize(
    ("trials", "time_s", "share"),
    [
        (8, 600.0, 5 / 8),
        (10, 200.0, 0.75),
        (None, 300.0, 0.5),
        (8, None, 5 / 8),
        (None, None, None),
        (2, 100.0, 1),
    ],
)
def test_progress_follows_the_limit_that_is_nearest(trials, time_s, share):
    facts = facts_of(started(), {"trials": trials, "time_s": time_s})
    assert progress(facts, final_state(every_ending()), 150.0) == share


def test_a_terminal_is_drawn_on_and_left_with_the_last_state():
    file = io.StringIO()
    console = Console(file=file, width=80, height=40, force_terminal=True, color_system=None, _environ={})
    view = LiveView(console, FACTS, started_at=START, now=lambda: START + 150.0)
    for state, record in states(as_records(every_ending())):
        view.update(state, record)
    view.close()
    view.close()
    last_frame = "\n".join(line.rstrip() for line in file.getvalue().split("Sweep ")[-1].splitlines())
    assert SCREEN_AT_80.removeprefix("Sweep ").rstrip() in last_frame


def test_updates_from_many_threads_lose_no_line():
    file = io.StringIO()
    view = LiveView(Console(file=file, width=80), FACTS, started_at=START, timezone=UTC)
    told = list(states(as_records([started(), *(proposed(trial) for trial in range(40))])))

    def tell(pairs: list[tuple[object, object]]) -> None:
        for state, record in pairs:
            view.update(state, record)

    threads = [threading.Thread(target=tell, args=(told[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = file.getvalue().splitlines()[3:]
    assert sorted(int(line.split()[3]) for line in lines) == list(range(40))


def test_added_trials_are_wanted_as_well_and_untrained_ones_are_no_progress():
    facts = facts_of(started(), {"trials": 8, "time_s": None})
    assert progress(facts, final_state(searched()), 0.0) == 7 / 11
