"""A whole sweep in miniature whose trainings become several files, run at several settings."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from sweep_cli import SPACE, FinishedSweep, sweep

from device_farm.local import LocalFarm
from sweep.data import default_cache, prepare_dataset
from sweep.judging.judge import combine, judge_chunk
from sweep.judging.score import final_score
from sweep.lifecycle import Trial, TrialState, read_state
from sweep.lifecycle.exports import ExportRecord, records_of, winner_of
from sweep.tracking.store import open_client

pytestmark = pytest.mark.long

EXPORT = """
export:
  variants: [fp32, fp16, int8]
  delegates: [xnnpack, none]
  output_upsampling: [nearest]
"""


class LenientFarm(LocalFarm):
    """Takes measurements on a busy machine as well: what matters here is what becomes of them."""

    def __init__(self, state: Path) -> None:
        super().__init__(state)
        self._worker_options += ["--profile", "emulated"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, real_images: Path) -> FinishedSweep:
    runs = tmp_path_factory.mktemp("runs")
    space = runs.parent / f"{runs.name}.yaml"
    space.write_text(SPACE.read_text() + EXPORT)
    with LenientFarm(tmp_path_factory.mktemp("farm")) as farm:
        done = sweep(
            *("run", space, "--data", real_images, "--runs", runs, "--name", "variants", "--seed", "3"),
            *("--trials", "3", "--farm", farm.address),
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return FinishedSweep(runs, "variants", real_images, done.stdout)


@pytest.fixture
def complete(exported: FinishedSweep) -> list[Trial]:
    trials = read_state(exported.directory).trials.values()
    return [trial for trial in trials if trial.state is TrialState.COMPLETE]


def records(trial: Trial) -> tuple[ExportRecord, ...]:
    assert trial.completion is not None
    return records_of(trial.completion.exports)


def test_every_combination_has_its_own_figures_and_the_best_is_the_trial_s(complete: list[Trial]) -> None:
    assert complete
    for trial in complete:
        assert trial.completion is not None
        found = records(trial)
        assert [(record.variant, record.delegate) for record in found] == [
            (variant, delegate) for variant in ("fp32", "fp16", "int8") for delegate in ("xnnpack", "none")
        ]
        assert {record.output_upsampling for record in found} == {"nearest"}
        for record in found:
            assert record.reason == ""
            assert record.si_rmse is not None
            assert record.latency_ms is not None
            assert record.final_score == final_score(record.si_rmse, record.latency_ms)
        best = max(found, key=lambda record: record.final_score or 0.0)
        assert winner_of(found) == best
        figures = trial.completion
        assert (figures.final_score, figures.latency_ms) == (best.final_score, best.latency_ms)
        assert figures.measurement["delegate"] == best.delegate
        sizes = {record.variant: record.size_bytes or 0 for record in found}
        assert sizes["int8"] < sizes["fp32"]
        errors = {record.variant: record.si_rmse or 0 for record in found}
        assert errors["fp16"] == pytest.approx(errors["fp32"], abs=0.005)
        assert len({record.si_rmse for record in found}) == 3


def test_admission_knew_every_combination_and_partial_scores_go_by_the_fastest(complete: list[Trial]) -> None:
    for trial in complete:
        latencies = {
            record.latency_ms: record.won
            for record in records_of(trial.admission_exports)
            if record.latency_ms
        }
        assert len(records_of(trial.admission_exports)) == 6
        assert trial.admission_latency_ms == min(latencies)
        assert latencies[min(latencies)]


def test_finalists_were_measured_at_the_settings_that_they_won_at(complete: list[Trial]) -> None:
    measured = [trial for trial in complete if trial.finals]
    assert measured
    for trial in measured:
        winner = winner_of(records(trial))
        assert winner is not None
        assert {final.measurement["delegate"] for final in trial.finals} == {winner.delegate}


def test_the_output_the_leaderboard_and_the_identity_say_what_was_tried(exported: FinishedSweep) -> None:
    assert "Exported as fp32, fp16, int8, each with a nearest last resize; the best of 6" in exported.output
    assert "as its files at their settings (*: counts):" in exported.output
    done = sweep("leaderboard", exported.name, "--runs", exported.runs, "--json")
    board: dict[str, Any] = json.loads(done.stdout)
    assert board["identity"]["export"]["variants"] == ["fp32", "fp16", "int8"]
    assert board["trials"][0]["export"]


def test_mlflow_holds_every_combination_and_every_file(exported: FinishedSweep) -> None:
    client: Any = open_client(f"sqlite:///{exported.runs / 'mlflow.db'}")
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    best = read_state(exported.directory).best
    assert best is not None
    (run,) = (run for run in runs if run.data.tags.get("depth_sweep.trial") == str(best.number))
    winner = winner_of(records(best))
    assert winner is not None
    assert run.data.params["export.variant"] == winner.variant
    for record in records(best):
        delegate = "no-delegate" if record.delegate == "none" else record.delegate
        assert run.data.metrics[f"{record.variant}.{delegate}.si_rmse"] == record.si_rmse
        assert run.data.metrics[f"{record.variant}.{delegate}.latency_ms"] == record.latency_ms
    files = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert files >= {f"model_{variant}_nearest.tflite" for variant in ("fp32", "fp16", "int8")}
    assert files >= {"model_nearest.onnx", "exports.json"}


@pytest.mark.parametrize("variant", ["fp32", "int8"])
def test_best_writes_any_variant_and_it_is_judged_the_same(
    exported: FinishedSweep, tmp_path: Path, variant: str
) -> None:
    model = tmp_path / "model.tflite"
    done = sweep("best", exported.name, "-o", model, "--variant", variant, "--runs", exported.runs)
    assert done.returncode == 0, done.stderr
    assert f"{variant} with nearest upsampling at 1 thread, " in done.stdout
    dataset = prepare_dataset(exported.data, default_cache(), lambda *_: None)
    judged = combine([judge_chunk(model, dataset.path, 0, len(dataset.validation))])
    best = read_state(exported.directory).best
    assert best is not None
    expected = next(record.si_rmse for record in records(best) if record.variant == variant)
    assert math.isclose(judged.metrics.si_rmse, expected or 0.0, rel_tol=1e-9)
