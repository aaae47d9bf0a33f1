"""The text at the end of a run."""

from dataclasses import replace

import pytest
from report_journals import finalised, searched
from report_sweep import completed, every_ending, final_state, started, trained

from sweep.lifecycle import SweepState
from sweep.lifecycle.events import SweepEnded, TrialCompleted
from sweep.report.summary import BaselineFigures, TimeAccount, summary


def test_the_summary_names_the_best_its_worth_the_time_and_what_to_type():
    state = final_state([*every_ending(), SweepEnded("time")])
    account = TimeAccount(
        wall_s=581.0,
        steps={"training": 430.0, "measuring": 44.0},
        libraries={"Ray": 3.4, "Optuna": 0.31, "MLflow": 0.9},
        own_s=0.084,
    )
    text = summary(state, directory="runs/demo", baselines=BaselineFigures(0.625, 0.25), time=account)
    assert text == (
        "Sweep demo ended at its time limit: 7 trials (2 complete, 1 pruned, 1 infeasible, 1 failed).\n"
        "Best: trial 1, Final Score 671.8: si-RMSE 0.3125 at 12.50 ms.\n"
        "Latency is measured on this machine, not on a Raspberry Pi 4.\n"
        "Data: demo-1 (generated images: a score on them is not the challenge's).\n"
        "Without looking at the image (validation si-RMSE, lower is better):\n"
        "  best constant depth   0.6250   trial 1 is 50% lower\n"
        "  mean depth per pixel  0.2500   trial 1 does NOT beat it\n"
        "Time: 9:41; training 7:10, measuring 0:44 (steps may overlap).\n"
        "Our own time: 12 ms a trial; inside libraries: Ray 3.4 s, Optuna 0.3 s, MLflow 0.9 s.\n"
        "\n"
        "Everything is in runs/demo. Next:\n"
        "  sweep resume demo                 go on where it ended; finished trials stay\n"
        "  sweep best demo -o model.tflite   copy the best network's file\n"
        "  sweep leaderboard demo            all trials, beside the challenge's Table 1\n"
        "  sweep ui                          curves, pictures and files (MLflow)"
    )


def test_a_sweep_without_a_complete_trial_offers_no_file():
    text = summary(final_state([started(), SweepEnded("stopped", "Ctrl-C")]), directory="runs/demo")
    assert text == (
        "Sweep demo was stopped: 0 trials.\n"
        "No trial is complete, so there is no Final Score yet.\n"
        "\n"
        "Everything is in runs/demo. Next:\n"
        "  sweep resume demo        go on where it ended; finished trials stay\n"
        "  sweep leaderboard demo   all trials, beside the challenge's Table 1\n"
        "  sweep ui                 curves, pictures and files (MLflow)"
    )


@pytest.mark.parametrize(
    ("end", "opening"),
    [
        (SweepEnded("finished"), "Sweep demo is finished: 1 trial (1 complete)."),
        (
            SweepEnded("error", "disk\nfull"),
            "Sweep demo ended with an error (disk full): 1 trial (1 complete).",
        ),
    ],
)
def test_the_first_line_says_how_it_ended(end, opening):
    events = [started(), *trained(0, 4), completed(0, 0.3, 10.0, 500.0), end]
    text = summary(final_state(events), directory="runs/demo")
    assert text.splitlines()[0] == opening
    assert ("sweep resume" in text) == (end.reason == "error")


def test_a_sweep_that_never_started_says_so():
    assert summary(SweepState(), directory="runs/demo") == "The sweep has not started."


def test_what_was_not_trained_counts_apart_and_a_tie_at_the_top_is_told():
    text = summary(final_state([*searched(), SweepEnded("finished")]), directory="runs/demo")
    assert text.startswith(
        "Sweep demo is finished: 10 trials (4 complete, 3 pruned).\n"
        "Besides, 1 stopped before training: cannot beat the best.\n"
        "Besides, 1 infeasible: breaks a constraint.\n"
        "Best: trial 0, Final Score 1000.0: si-RMSE 0.3000 at 10.00 ms.\n"
        "Tied with trial 1: their order is not significant.\n"
        "Latency is measured"
    )


def test_a_finalising_sweep_tells_validation_and_held_out_data_apart():
    text = summary(final_state([*finalised(), SweepEnded("finished")]), directory="runs/final-1")
    assert text.startswith(
        "Sweep final-1 is finished: 6 trials (5 complete).\n"
        "Best on validation: trials 0, 2, 4, Final Score 859.7 +-207.1: si-RMSE 0.3000 +-0.0100 "
        "at 12.00 ms.\n"
        "On held-out test data (demo-1-test, 40 frames): Final Score 483.3 +-14.9, "
        "si-RMSE 0.3400 +-0.0100.\n"
        "Figures are means +- standard deviations over seeds.\n"
        "Latency is measured on this machine, not on a Raspberry Pi 4.\n"
        "Data: demo-1 (generated images: a score on them is not the challenge's).\n"
    )


def test_a_winner_that_was_not_judged_on_held_out_data_says_so():
    events = [
        replace(event, test=None) if isinstance(event, TrialCompleted) else event for event in finalised()
    ]
    text = summary(final_state(events), directory="runs/final-1")
    assert "It was not judged on held-out data yet.\n" in text
    assert "frames" not in text
