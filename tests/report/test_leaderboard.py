"""The leaderboard's order, figures and layout."""

import json
from dataclasses import replace

import pytest
from report_journals import finalised, searched
from report_sweep import completed, every_ending, final_state, started, trained

from sweep.judging.score import TABLE_1
from sweep.lifecycle import SweepState
from sweep.lifecycle.events import TrialCompleted
from sweep.report.leaderboard import leaderboard_json, leaderboard_table
from sweep.report.rows import LeaderboardRow, leaderboard_rows


def test_complete_trials_come_first_by_final_score_then_those_under_way_then_the_rest():
    rows = leaderboard_rows(final_state(every_ending()))
    assert [(row.rank, row.trial, row.state) for row in rows] == [
        (1, 1, "complete"),
        (2, 0, "complete"),
        (None, 5, "training"),
        (None, 6, "proposed"),
        (None, 2, "pruned"),
        (None, 3, "infeasible"),
        (None, 4, "failed"),
    ]


def test_a_complete_trials_figures_are_those_of_its_exported_file():
    assert leaderboard_rows(final_state(every_ending()))[0] == LeaderboardRow(
        rank=1,
        tied=False,
        trial=1,
        state="complete",
        final_score=671.8,
        si_rmse=0.3125,
        rmse=3.5,
        log10=0.125,
        rel=0.25,
        runtime_ms=12.5,
        runtime_interval_ms=(12.0, 12.75),
        finalist_rounds=0,
        size_mb=1.5,
        epochs=4,
        partial_score=400.0,
        flags=(),
        reason="",
        pruned_by=None,
        tried=True,
        candidate_hash=f"{1:016x}",
        architecture_hash=f"{257:016x}",
        files={"tflite": "trials/0001/final/model.tflite"},
    )


def test_a_trial_that_is_not_complete_shows_what_is_known_and_no_final_figures():
    rows = {row.trial: row for row in leaderboard_rows(final_state(every_ending()))}
    pruned = rows[2]
    assert (pruned.final_score, pruned.si_rmse, pruned.rank) == (None, None, None)
    assert (pruned.runtime_ms, pruned.runtime_interval_ms, pruned.size_mb) == (11.5, (11.0, 11.75), 1.25)
    assert (pruned.epochs, pruned.partial_score, pruned.reason) == (2, 200.0, "not among the best at rung 2")
    assert rows[6].runtime_ms is None


def test_files_that_were_removed_are_not_offered():
    rows = {row.trial: row for row in leaderboard_rows(final_state(every_ending()))}
    assert rows[0].files == {}


def test_the_json_names_what_scores_depend_on_and_survives_a_round_trip():
    board = leaderboard_json(final_state(every_ending()))
    assert json.loads(json.dumps(board, allow_nan=False)) == board
    trials = board.pop("trials")
    assert board == {
        "sweep": "demo",
        "sweep_id": "demo-7f3a",
        "space": "mobilenetv3",
        "data": "demo-1",
        "device_class": "x86_64 Test CPU",
        "latency": "measured",
        "measured_on_this_machine": True,
        "max_epochs": 4,
        "identity": started().identity,
        "best": 1,
    }
    assert [trial["trial"] for trial in trials] == [1, 0, 5, 6, 2, 3, 4]
    assert trials[0]["runtime_interval_ms"] == [12.0, 12.75]
    assert set(trials[0]) == {
        *("rank", "trial", "state", "final_score", "si_rmse", "rmse", "log10", "rel", "runtime_ms"),
        *("runtime_interval_ms", "size_mb", "epochs", "partial_score", "reason", "candidate_hash"),
        *("architecture_hash", "files", "tied", "finalist_rounds", "flags", "pruned_by", "tried"),
        *("export", "exports", "name"),
    }


def test_a_sweep_without_a_first_event_has_an_empty_leaderboard(show):
    assert leaderboard_json(SweepState()) == {"trials": []}
    assert show(leaderboard_table(SweepState(), width=80)) == "The sweep has not started yet.\n"


OURS_AT_80 = """\
Sweep demo: trials by Final Score
mobilenetv3 on demo-1; x86_64 Test CPU, tflite-2.14.0, 1 thread, xnnpack
Latency is measured on this machine, not on a Raspberry Pi 4.
Data: demo-1 (generated images: a score on them is not the challenge's).
 # trial  score si-RMSE RMSE  LOG10    REL    ms     95 % CI  MB state
─────────────────────────────────────────────────────────────────────────────
 1     1  671.8  0.3125 3.50 0.1250 0.2500 12.50 12.00-12.75 1.5 complete
 2     0  353.6  0.3750 3.50 0.1250 0.2500 10.00  9.50-10.25 1.5 complete
       5 ~100.0       -    -      -      - 14.50 14.00-14.75 1.2 training 1/4
       6      -       -    -      -      -     -           -   - proposed 0/4
       2 ~200.0       -    -      -      - 11.50 11.00-11.75 1.2 pruned 2/4
       3      -       -    -      -      -     -           -   - infeasible
       4      -       -    -      -      - 13.50 13.00-13.75 1.2 failed 0/4
~ partial score: what the last trained epoch promised, not a Final Score
trial 3 infeasible: the runtime refused the file: op 152 is unknown
trial 4 failed: training diverged: loss is NaN
"""


def test_the_table_fits_80_columns_and_keeps_the_challenges_results_apart(show):
    text = show(leaderboard_table(final_state(every_ending()), width=80))
    assert text.startswith(OURS_AT_80)
    theirs = text.removeprefix(OURS_AT_80)
    assert theirs.startswith(
        "\nFor orientation: Table 1 of the Mobile AI 2022 challenge\n"
        "A Raspberry Pi 4 and other data: NOT comparable with the scores above.\n"
        "team                         score si-RMSE RMSE  LOG10    REL  ms  MB\n"
    )
    for row, line in zip(TABLE_1, theirs.splitlines()[-8:], strict=True):
        assert line.startswith(row.team)
        figures = [float(cell) for cell in line.removeprefix(row.team).split()]
        metrics = [row.si_rmse, row.rmse, row.log10, row.rel]
        assert figures == [row.final_score, *metrics, row.runtime_ms, row.size_mb]


@pytest.mark.parametrize("width", [80, 100, 120, 200])
@pytest.mark.parametrize("events", [every_ending, searched, finalised])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_cut(show, width, events):
    text = show(leaderboard_table(final_state(events()), width=width), width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text


@pytest.mark.parametrize("events", [every_ending, searched, finalised])
def test_a_terminal_that_knows_only_ascii_shows_it_all(show, events):
    text = show(leaderboard_table(final_state(events()), width=80), encoding="ascii")
    assert text.isascii()
    assert "?" not in text


def test_a_limit_says_how_many_more_there_are(show):
    text = show(leaderboard_table(final_state(every_ending()), width=80, limit=2))
    assert "and 5 more: sweep leaderboard demo\n" in text
    assert " 5 ~100.0" not in text


def test_a_sweep_without_trials_says_so(show):
    assert "No trials yet." in show(leaderboard_table(final_state([started()]), width=80))


def test_latency_from_a_farm_is_told_as_such(show):
    events = [started(farm="pi:50051"), *trained(0, 4), completed(0, 0.3, 40.0, 250.0)]
    text = show(leaderboard_table(final_state(events), width=80))
    assert "Latency is measured on the device farm: raspberrypi-4b.\n" in text
    assert leaderboard_json(final_state(events))["measured_on_this_machine"] is False


def test_a_latency_that_moved_while_it_was_measured_is_marked(show):
    events = [
        replace(event, measurement={"interval_ms": None})
        if isinstance(event, TrialCompleted) and event.trial == 1
        else event
        for event in every_ending()
    ]
    text = show(leaderboard_table(final_state(events), width=100), 100)
    (line,) = (line for line in text.splitlines() if line.split()[:2] == ["1=", "1"])
    assert "drifts" in line
    assert "drifts: the latency moved while it was measured, so that it has no interval" in text
    assert text.count("drifts") == 2


WITH_EVERY_MARK_AT_80 = """\
 # trial  score si-RMSE RMSE  LOG10    REL    ms     95 % CI  MB state
─────────────────────────────────────────────────────────────────────────────
1=     0 1000.0  0.3000 3.50 0.1250 0.2500 10.00  9.50-10.25 1.5 complete r3
1=     1  980.4  0.3000 3.50 0.1250 0.2500 10.20  9.70-10.45 1.5 complete r3
 3     2  714.3  0.3000 3.50 0.1250 0.2500 14.00 13.50-14.25 1.5 complete r3
 4     3  125.0  0.4000 3.50 0.1250 0.2500 20.00 19.50-20.25 1.5 complete m
       9 ~100.0       -    -      -      -  9.50   9.00-9.75 1.2 training 1/4
      11      -       -    -      -      - 20.50 20.00-20.75 1.2 admitted 0/4
      10      -       -    -      -      -     -           -   - proposed 0/4
       4 ~200.0       -    -      -      - 13.50 13.00-13.75 1.2 pruned 2/4
       5 ~200.0       -    -      -      - 14.50 14.00-14.75 1.2 pruned 2/4
       7 ~200.0       -    -      -      - 16.50 16.00-16.75 1.2 pruned 2/4
       6      -       -    -      -      - 15.50 15.00-15.75 1.2 not trained
       8      -       -    -      -      - 17.50 17.00-17.75 1.2 infeasible
=: tied; latency intervals, or finalists' rounds, leave the order open
rN: finalist, measured afresh in N rounds, in turn with its rivals; they
    decide the order of finalists, and change no figure
m: latency intervals before and after training disagree; the one after counts
~ partial score: what the last trained epoch promised, not a Final Score
1 stopped before training: cannot beat the best
1 infeasible: breaks a constraint

"""


def test_ties_finalists_flags_and_untrained_candidates_are_told_apart_and_explained(show):
    text = show(leaderboard_table(final_state(searched()), width=80))
    assert WITH_EVERY_MARK_AT_80 in text


def test_a_mark_is_explained_only_where_it_stands(show):
    text = show(leaderboard_table(final_state(every_ending()), width=80))
    assert not any(legend in text for legend in ("=:", "rN:", "m:", "stopped before training"))


def test_tied_trials_share_a_rank_and_say_so_as_plain_data():
    rows = [row for row in leaderboard_rows(final_state(searched())) if row.rank is not None]
    assert [(row.rank, row.tied, row.trial) for row in rows] == [
        (1, True, 0),
        (1, True, 1),
        (3, False, 2),
        (4, False, 3),
    ]


def test_rounds_of_a_finalist_are_counted_and_change_no_figure():
    rows = {row.trial: row for row in leaderboard_rows(final_state(searched()))}
    assert (rows[0].finalist_rounds, rows[0].runtime_ms) == (3, 10.0)
    assert rows[0].runtime_interval_ms == (9.5, 10.25)
    assert rows[0].final_score == 1000.0


def test_the_json_says_which_rule_stopped_a_trial_and_what_is_flagged():
    trials = {trial["trial"]: trial for trial in leaderboard_json(final_state(searched()))["trials"]}
    assert [trials[number]["pruned_by"] for number in range(3, 9)] == [
        *(None, "rung", "extrapolation", "admission", "time", None)
    ]
    assert [number for number, trial in trials.items() if not trial["tried"]] == [6, 8]
    assert {number: trial["flags"] for number, trial in trials.items() if trial["flags"]} == {
        3: ["latency_moved"]
    }


def test_a_flag_of_another_version_stands_there_by_its_name(show):
    events = [started(), *trained(0, 4), replace(completed(0, 0.3, 10.0, 500.0), flags=["something_new"])]
    assert "complete something_new\n" in show(leaderboard_table(final_state(events), width=120), 120)


def test_a_persons_own_data_are_not_called_generated(show):
    event = started()
    own = replace(event, settings={**event.settings, "data": "/data/demo-1"})
    assert "generated" not in show(leaderboard_table(final_state([own]), width=80))
