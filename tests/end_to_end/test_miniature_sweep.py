"""A whole sweep in miniature on real images: what the journal, MLflow and the leaderboard hold agrees."""

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sweep_cli import FinishedSweep, sweep

from sweep.judging.score import final_score
from sweep.lifecycle import Trial, TrialState, read_journal, read_state
from sweep.lifecycle.events import AttemptStarted, SweepEnded
from sweep.tracking.store import open_client


@pytest.fixture
def trials(finished: FinishedSweep) -> list[Trial]:
    return list(read_state(finished.directory).trials.values())


@pytest.fixture
def complete(trials: list[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.state is TrialState.COMPLETE]


def test_every_trial_of_the_journal_is_final_and_at_least_one_is_pruned(trials: list[Trial]) -> None:
    states = [trial.state for trial in trials]
    assert len(states) == 4
    assert set(states) == {TrialState.COMPLETE, TrialState.PRUNED}
    assert states.count(TrialState.COMPLETE) == 3


def test_the_journal_ends_with_the_end_of_the_sweep(finished: FinishedSweep) -> None:
    assert read_journal(finished.directory)[-1].event == SweepEnded("finished")


def test_promotions_start_from_checkpoints(finished: FinishedSweep) -> None:
    starts = [r.event for r in read_journal(finished.directory) if isinstance(r.event, AttemptStarted)]
    assert {(event.from_epoch, event.to_epoch) for event in starts} == {(0, 1), (1, 2)}
    assert all((event.checkpoint is None) == (event.from_epoch == 0) for event in starts)


def test_final_scores_follow_from_the_figures_of_the_file(complete: list[Trial]) -> None:
    for trial in complete:
        assert trial.completion is not None
        figures = trial.completion
        assert figures.final_score == final_score(figures.metrics["si_rmse"], figures.latency_ms)
        assert figures.measurement["latency_ms"] == figures.latency_ms
        assert len(figures.measurement["samples_ms"]) >= 30
        assert figures.export["parity"]["max_relative"] < 1e-3
        assert figures.export["reference_max_relative"] < 1e-3
        assert figures.judgement["frames"] == 4


def test_the_partial_score_was_close_to_the_judged_one(complete: list[Trial]) -> None:
    for trial in complete:
        assert trial.completion is not None
        assert trial.epochs[-1].si_rmse == pytest.approx(trial.completion.metrics["si_rmse"], abs=0.02)


def test_files_of_all_but_the_best_two_are_gone(finished: FinishedSweep, complete: list[Trial]) -> None:
    best = sorted(complete, key=lambda trial: -(trial.final_score or 0.0))[:2]
    kept = {path.name for path in (finished.directory / "trials").iterdir()}
    assert kept == {f"{trial.number:04d}" for trial in best}
    for trial in best:
        assert trial.completion is not None
        assert all((finished.directory / path).is_file() for path in trial.completion.files.values())


def test_the_picture_shows_image_truth_and_prediction(finished: FinishedSweep) -> None:
    best = read_state(finished.directory).best
    assert best is not None
    assert best.completion is not None
    picture = cv2.imread(str(finished.directory / best.completion.files["picture"]))
    assert picture.shape == (400, 1560, 3)
    assert np.std(picture) > 10


def test_the_leaderboard_as_json_ranks_the_complete_trials(
    finished: FinishedSweep, complete: list[Trial]
) -> None:
    done = sweep("leaderboard", finished.name, "--runs", finished.runs, "--json")
    assert done.returncode == 0, done.stderr
    board: dict[str, Any] = json.loads(done.stdout)
    expected = sorted(complete, key=lambda trial: -(trial.final_score or 0.0))
    ranked = [row for row in board["trials"] if row["state"] == "complete"]
    assert [row["trial"] for row in ranked] == [trial.number for trial in expected]
    assert [row["final_score"] for row in ranked] == [trial.final_score for trial in expected]
    assert all(row["runtime_ms"] == trial.latency_ms for row, trial in zip(ranked, expected, strict=True))
    assert {row["state"] for row in board["trials"]} == {"complete", "pruned"}


def test_mlflow_holds_one_true_run_per_trial(finished: FinishedSweep, trials: list[Trial]) -> None:
    client: Any = open_client(f"sqlite:///{finished.runs / 'mlflow.db'}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments)
    children = {
        int(run.data.tags["depth_sweep.trial"]): run for run in runs if "depth_sweep.trial" in run.data.tags
    }
    parents = [run for run in runs if "depth_sweep.trial" not in run.data.tags]
    assert [run.info.status for run in parents] == ["FINISHED"]
    assert set(children) == {trial.number for trial in trials}
    for trial in trials:
        run = children[trial.number]
        assert run.data.tags["mlflow.parentRunId"] == parents[0].info.run_id
        series = client.get_metric_history(run.info.run_id, "train_loss")
        assert [(point.step, point.value) for point in series] == [
            (record.epoch, record.train_loss) for record in trial.epochs
        ]
        if trial.completion is None:
            assert run.info.status == "KILLED"
            continue
        assert run.info.status == "FINISHED"
        assert run.data.metrics["final_score"] == trial.final_score
        assert run.data.metrics["runtime_ms"] == trial.latency_ms
        for name, value in trial.completion.metrics.items():
            assert run.data.metrics[name] == value
        width = trial.candidate["architecture"]["encoder"]["width"]
        assert float(run.data.params["architecture.encoder.width"]) == width


def test_the_output_says_whose_latency_it_is_and_what_to_type_next(finished: FinishedSweep) -> None:
    assert "not on a Raspberry Pi" in finished.output
    assert f"sweep best {finished.name} -o model.tflite" in finished.output
    assert "NOT comparable" in finished.output


def test_best_writes_a_file_that_evaluate_judges_the_same(finished: FinishedSweep, tmp_path: Path) -> None:
    model = tmp_path / "model.tflite"
    done = sweep("best", finished.name, "-o", model, "--runs", finished.runs)
    assert done.returncode == 0, done.stderr
    judged = sweep("evaluate", model, "--data", finished.data, "--json")
    assert judged.returncode == 0, judged.stderr
    result = json.loads(judged.stdout)
    best = read_state(finished.directory).best
    assert best is not None
    assert best.completion is not None
    for name in ("si_rmse", "rmse", "log10", "rel"):
        assert result[name] == pytest.approx(best.completion.metrics[name], rel=1e-9)
    assert result["latency_ms"] > 0
    assert math.isclose(result["final_score"], final_score(result["si_rmse"], result["latency_ms"]))


def test_a_name_in_use_is_refused(finished: FinishedSweep) -> None:
    done = sweep("run", "mobilenetv3", "--runs", finished.runs, "--name", finished.name)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: --name: sweep mini exists in {finished.runs}: go on with `sweep resume mini`, "
        "or choose another name\n"
    )
