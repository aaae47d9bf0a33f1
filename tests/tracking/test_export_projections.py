"""What MLflow and Optuna hold of trials with several files."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from optuna.distributions import IntDistribution
from store_dump import dump
from tracking_sweep import T0, sweep_events

from sweep.lifecycle import Event, Record, replay
from sweep.lifecycle.events import TrialCompleted
from sweep.lifecycle.exports import ExportRecord
from sweep.search.told import FINAL_SCORE, Teller
from sweep.tracking.optuna_mirror import mirrored
from sweep.tracking.plan import flatten

TELLER = Teller({"width": IntDistribution(0, 9)}, FINAL_SCORE, ())
FINAL = "trials/0000/final"
RECORDS = (
    ExportRecord(
        variant="fp32",
        output_upsampling="nearest",
        threads=4,
        delegate="xnnpack",
        tflite=f"{FINAL}/model.tflite",
        size_bytes=1_200_000,
        si_rmse=0.3,
        rmse=3.0,
        log10=0.1,
        rel=0.2,
        latency_ms=20.0,
        interval_ms=(19.0, 21.0),
        final_score=500.0,
    ),
    ExportRecord(
        variant="int8",
        output_upsampling="nearest",
        threads=4,
        delegate="xnnpack",
        won=True,
        tflite=f"{FINAL}/model_int8.tflite",
        size_bytes=300_000,
        si_rmse=0.3125,
        latency_ms=12.5,
        final_score=671.8,
    ),
    ExportRecord("int8", "nearest", 1, "none", reason="refused", size_bytes=300_000),
)


def events() -> Iterator[Event]:
    """The small sweep, whose trial 0 has several files."""
    for event in sweep_events():
        if isinstance(event, TrialCompleted) and event.trial in (0, 5):
            folder = f"trials/{event.trial:04d}/final"
            files = {**event.files, "tflite": f"{folder}/model_int8.tflite"}
            files["tflite_fp32_nearest"] = f"{folder}/model.tflite"
            exports = [record.to_json() for record in RECORDS]
            yield replace(event, files=files, exports=exports)
        else:
            yield event


@pytest.fixture
def several(place, records: tuple[Record, ...]) -> tuple[Record, ...]:
    """``records`` is asked for so that the files are there."""
    del records
    for trial in (0, 5):
        (place.sweep / "trials" / f"{trial:04d}" / "final" / "model_int8.tflite").write_bytes(b"int8")
    return tuple(Record(i, T0 + 11 * i, event) for i, event in enumerate(events()))


def test_a_run_has_the_winner_s_settings_and_every_combination_s_figures(place, several):
    projection = place.projection()
    projection.catch_up(several)
    run = dump(place.uri)["trial 0 of demo"]
    exported = {key: value for key, value in run.params.items() if key.startswith("export.")}
    assert exported == {
        "export.variant": "int8",
        "export.threads": "4",
        "export.delegate": "xnnpack",
        "export.output_upsampling": "nearest",
    }
    figures = {key: value for key, _, _, value in run.metrics if "." in key}
    assert figures == {
        "fp32.4t.xnnpack.si_rmse": 0.3,
        "fp32.4t.xnnpack.latency_ms": 20.0,
        "fp32.4t.xnnpack.final_score": 500.0,
        "fp32.4t.xnnpack.size_mb": 1.2,
        "int8.4t.xnnpack.si_rmse": 0.3125,
        "int8.4t.xnnpack.latency_ms": 12.5,
        "int8.4t.xnnpack.final_score": 671.8,
        "int8.4t.xnnpack.size_mb": 0.3,
        "int8.1t.no-delegate.size_mb": 0.3,
    }
    assert run.series("final_score") == [(2, 671.8)]


def test_all_files_are_published_and_all_models_go_when_they_are_removed(place, several):
    place.projection().catch_up(several)
    runs = dump(place.uri)
    assert {"model.tflite", "model_int8.tflite", "model.onnx"} <= set(runs["trial 0 of demo"].files)
    assert sorted(runs["trial 5 of demo"].files) == [
        "candidate.yaml",
        "judgement.json",
        "measurement.json",
        "picture.png",
    ]


def test_optuna_s_objective_stays_and_the_winner_s_settings_are_attributes(several):
    state = replay((record.time, record.event) for record in several)
    trial = state.trials[0]
    shown = mirrored(TELLER, trial)
    assert shown.values == [671.8]
    names = ("variant", "threads", "delegate", "output_upsampling")
    assert [shown.user_attrs[name] for name in names] == ["int8", 4, "xnnpack", "nearest"]
    plain = replace(trial, completion=replace(trial.completion, exports=()))
    assert not set(names) & set(mirrored(TELLER, plain).user_attrs)


def test_what_a_sweep_tries_is_among_its_parameters():
    export = {"variants": ["fp32", "int8"], "threads": [1, 4]}
    assert flatten({"export": export}) == {"export.variants": '["fp32", "int8"]', "export.threads": "[1, 4]"}
