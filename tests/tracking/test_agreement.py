"""The comparison of the journal with what its projections hold."""

from collections.abc import Sequence
from dataclasses import replace

import optuna
import pytest
from mlflow import MlflowClient
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from sweep.lifecycle import Journal, Record, SweepState, replay
from sweep.tracking.agreement import MlflowRow, agreement
from sweep.tracking.optuna_mirror import mirrored
from sweep.tracking.readers import disagreements, read_mlflow, read_optuna


@pytest.fixture
def state(records: Sequence[Record]) -> SweepState:
    return replay((record.time, record.event) for record in records)


@pytest.fixture
def rows() -> list[MlflowRow]:
    """What MLflow should hold, written down by hand."""
    return [
        MlflowRow(None, "RUNNING", "running"),
        MlflowRow(0, "FINISHED", "complete", 671.8, {1: 100.0, 2: 200.0}),
        MlflowRow(1, "KILLED", "pruned", None, {1: 100.0}),
        MlflowRow(2, "FAILED", "infeasible"),
        MlflowRow(3, "FAILED", "failed"),
        MlflowRow(4, "RUNNING", "paused", None, {1: 100.0}),
        MlflowRow(5, "FINISHED", "complete", 353.6, {1: 100.0, 2: 200.0}),
    ]


@pytest.fixture
def trials(state: SweepState, place) -> list[FrozenTrial]:
    teller = place.optuna_projection()._teller
    return [mirrored(teller, trial) for trial in state.trials.values()]


def test_stores_that_show_what_the_journal_says_agree(state, rows, trials):
    assert agreement(state, rows, trials) == ()
    assert agreement(state, None, None) == ()


def test_an_empty_store_lacks_everything(state):
    assert agreement(state, [], []) == (
        "MLflow has 0 runs of the sweep itself, not 1",
        *(f"MLflow lacks trial {number}" for number in range(6)),
        *(f"Optuna lacks trial {number}" for number in range(6)),
    )


@pytest.mark.parametrize(
    ("place_in_list", "changes", "sentence"),
    [
        (0, {"status": "KILLED"}, "the sweep is KILLED, not RUNNING"),
        (1, {"final_score": 1.5}, "trial 0 has the Final Score 1.5, not 671.8"),
        (1, {"scores": {1: 100.0}}, "trial 0 has the score None at epoch 2, not 200.0"),
        (2, {"scores": {1: 7.0}}, "trial 1 has the score 7.0 at epoch 1, not 100.0"),
        (2, {"scores": {1: 100.0, 2: 3.0}}, "trial 1 has the score 3.0 at epoch 2, not None"),
        (3, {"status": "RUNNING"}, "trial 2 is RUNNING (infeasible), not FAILED (infeasible)"),
        (5, {"state": "training"}, "trial 4 is RUNNING (training), not RUNNING (paused)"),
    ],
)
def test_whatever_mlflow_shows_otherwise_is_named(state, rows, trials, place_in_list, changes, sentence):
    rows[place_in_list] = replace(rows[place_in_list], **changes)
    assert agreement(state, rows, trials) == (f"MLflow: {sentence}",)


def test_a_run_of_a_trial_that_the_journal_lacks_is_named(state, rows, trials):
    rows[6] = replace(rows[6], trial=9)
    assert agreement(state, rows, trials) == (
        "MLflow lacks trial 5",
        "MLflow has trial 9, which the journal lacks",
    )


def test_a_run_that_is_there_twice_is_named(state, rows, trials):
    assert agreement(state, [*rows, rows[3]], trials) == ("MLflow has trial 2 2 times",)


def test_whatever_optuna_shows_otherwise_is_named(state, rows, trials):
    trials[0].values = [1.0]
    trials[1].state = OptunaState.RUNNING
    del trials[4].intermediate_values[1]
    trials[5].params = {"width": 7}
    trials[2].user_attrs["outcome"] = "failed"
    trials[3].user_attrs["trial"] = 2
    assert agreement(state, rows, trials) == (
        "Optuna lacks trial 3",
        "Optuna has trial 2 2 times",
        "Optuna: trial 0 has the values [1.0], not [671.8]",
        "Optuna: trial 1 is RUNNING, not PRUNED",
        "Optuna: trial 2 has the outcome failed, not infeasible",
        "Optuna: trial 2 has the outcome failed, not infeasible",
        "Optuna: trial 2 has other parameters",
        "Optuna: trial 4 has the score None at epoch 1, not 100.0",
        "Optuna: trial 5 has other parameters",
    )


def test_both_stores_are_read_back_and_compared_with_the_sweeps_directory(place, records):
    with Journal(place.sweep) as journal:
        for record in records:
            journal.append(record.event)
    assert len(disagreements(place.sweep, place.uri, place.optuna_url)) == 1 + 6 + 6
    place.projection().catch_up(records)
    place.optuna_projection().catch_up(records)
    assert disagreements(place.sweep, place.uri, place.optuna_url) == ()

    started = records[0].event
    trial_runs = [row for row in read_mlflow(place.uri, started) if row.trial is not None]
    assert sorted(row.trial for row in trial_runs) == [0, 1, 2, 3, 4, 5]
    client = MlflowClient(tracking_uri=place.uri)
    (run,) = client.search_runs(["1"], "tags.`depth_sweep.trial` = '4'")
    client.delete_run(run.info.run_id)
    study = optuna.load_study(study_name="demo-demo-7f3", storage=place.optuna_url)
    study.add_trial(read_optuna(place.optuna_url, started)[1])
    assert disagreements(place.sweep, place.uri, place.optuna_url) == (
        "MLflow lacks trial 4",
        "Optuna has trial 1 2 times",
    )
