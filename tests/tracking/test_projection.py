"""The MLflow store that comes of a journal, however and how often it got there."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient
from store_dump import dump
from tracking_sweep import DEVICE, T0, candidate, measurement, proposed, started

from sweep.lifecycle import Record, SweepState, fold
from sweep.lifecycle.events import (
    AttemptStarted,
    EpochTrained,
    FinalistMeasured,
    SweepEnded,
    TrialAdmitted,
    TrialsAdded,
)
from sweep.tracking.experiments import VIEW
from sweep.tracking.projection import MlflowProjection


def apply_all(
    projection: MlflowProjection, records: Sequence[Record], state: SweepState | None = None
) -> SweepState:
    state = state or SweepState()
    for record in records:
        state = fold(state, record.event, record.time)
        projection.apply(state, record)
    return state


def ms(sequence: int) -> int:
    return round((T0 + 11 * sequence) * 1000)


def test_every_trial_has_a_run_below_the_sweeps_with_its_true_status(place, records):
    apply_all(place.projection(), records)
    runs = dump(place.uri)
    assert {name: (run.status, run.tags["state"], run.parent) for name, run in runs.items()} == {
        "demo": ("RUNNING", "running", None),
        "trial 0 of demo": ("FINISHED", "complete", "demo"),
        "trial 1 of demo": ("KILLED", "pruned", "demo"),
        "trial 2 of demo": ("FAILED", "infeasible", "demo"),
        "trial 3 of demo": ("FAILED", "failed", "demo"),
        "trial 4 of demo": ("RUNNING", "paused", "demo"),
        "trial 5 of demo": ("FINISHED", "complete", "demo"),
    }
    assert runs["trial 1 of demo"].tags["reason"] == "not among the best at rung 1"
    assert runs["trial 2 of demo"].tags["error"] == "the runtime refused the file: op 152 is unknown"
    assert runs["trial 3 of demo"].tags["error"] == "training diverged: loss is NaN at step 40"


def test_a_complete_trial_holds_all_its_figures_at_the_journals_times(place, records):
    apply_all(place.projection(), records)
    run = dump(place.uri)["trial 0 of demo"]
    epochs = [
        point
        for epoch, at in ((1, ms(4)), (2, ms(5)))
        for point in (
            ("train_loss", epoch, at, 1.5 / epoch),
            ("si_rmse_partial", epoch, at, 0.5 / epoch),
            ("partial_score", epoch, at, 100.0 * epoch),
            ("learning_rate", epoch, at, 0.001),
            ("epoch_seconds", epoch, at, 10.5),
        )
    ]
    final = {
        "si_rmse": 0.3125,
        "rmse": 3.5,
        "log10": 0.125,
        "rel": 0.25,
        "runtime_ms": 12.5,
        "runtime_low_ms": 12.0,
        "runtime_high_ms": 12.75,
        "final_score": 671.8,
        "size_mb": 1.2,
    }
    judged = [(key, 2, ms(7), value) for key, value in final.items()]
    assert run.metrics == sorted([("admission_latency_ms", 0, ms(2), 9.5), *epochs, *judged])
    assert (run.start_ms, run.end_ms) == (ms(1), ms(7))
    assert run.params == {
        "architecture.encoder.kind": "mobilenetv3",
        "architecture.encoder.width": "0.5",
        "recipe.learning_rate": "0.001",
        "recipe.augmentation.flip": "true",
        "recipe.batch_size": "16",
    }
    assert (
        run.tags.items()
        >= {
            "depth_sweep.sweep_id": "demo-7f3a",
            "depth_sweep.trial": "0",
            "candidate_hash": f"{0:016x}",
            "architecture_hash": f"{256:016x}",
            "device_class": DEVICE,
            "data": "demo data",
            "target": f"{DEVICE}, tflite-2.14.0, 1 thread, xnnpack",
        }.items()
    )


def test_a_complete_trials_files_are_published_and_its_models_go_when_they_are_removed(place, records):
    apply_all(place.projection(), records)
    runs = dump(place.uri)
    kept = runs["trial 0 of demo"].files
    assert yaml.safe_load(kept.pop("candidate.yaml")) == candidate(0)
    names = ("model.tflite", "model.onnx", "picture.png", "measurement.json", "judgement.json")
    assert kept == {name: f"{name} of trial 0".encode() for name in names}
    assert sorted(runs["trial 5 of demo"].files) == [
        "candidate.yaml",
        "judgement.json",
        "measurement.json",
        "picture.png",
    ]


def test_the_sweeps_run_tells_how_far_it_got_and_what_it_searched(place, records):
    apply_all(place.projection(), records)
    run = dump(place.uri)["demo"]
    assert run.series("trials_done") == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (5, 5.0)]
    assert run.series("best_final_score") == [(step, 671.8) for step in range(1, 6)]
    assert "final_score" not in {key for key, *_ in run.metrics}  # sorting by it must give trials only
    assert run.params["target.device_class"] == DEVICE
    assert run.params["settings.time_s"] == "600.0"
    assert run.files["space.yaml"].decode() == started().space["text"]
    assert run.tags["mlflow.note.content"] == (
        "**Sweep demo**: 6 trials of at most 6 (2 complete, 1 pruned, 1 infeasible, 1 failed).\n\n"
        "**Best so far: trial 0**, Final Score 671.8 (si-RMSE 0.3125, 12.50 ms). "
        "Its file: `sweep best demo -o model.tflite`.\n\n"
        f"Search space mobilenetv3; demo data; {DEVICE}, tflite-2.14.0, 1 thread, xnnpack. "
        "Latency is measured on this machine, not on a Raspberry Pi 4."
    )


@pytest.mark.parametrize(
    ("reason", "status", "state"),
    [
        ("finished", "FINISHED", "finished"),
        ("time", "FINISHED", "out of time"),
        ("stopped", "KILLED", "stopped"),
        ("error", "FAILED", "failed"),
    ],
)
def test_a_sweeps_end_shows_in_its_status_and_leaves_open_trials_scheduled(
    place, records, reason, status, state
):
    end = Record(len(records), T0 + 5000, SweepEnded(reason, "the detail"))
    apply_all(place.projection(), [*records, end])
    runs = dump(place.uri)
    assert (runs["demo"].status, runs["demo"].tags["state"]) == (status, state)
    assert runs["demo"].end_ms == round((T0 + 5000) * 1000)
    assert runs["demo"].tags.get("error") == ("the detail" if reason == "error" else None)
    assert (runs["trial 4 of demo"].status, runs["trial 4 of demo"].tags["state"]) == ("SCHEDULED", "paused")
    assert runs["trial 0 of demo"].status == "FINISHED"


def test_catching_up_from_nothing_gives_the_same_store_as_applying_one_by_one(place, records, other):
    apply_all(place.projection(), records)
    other.projection().catch_up(records)
    assert dump(place.uri) == dump(other.uri)


@pytest.mark.parametrize("cut", [0, 1, 7, 26, 35])
def test_a_sweep_that_was_cut_off_goes_on_in_the_same_runs_without_counting_twice(place, records, other, cut):
    apply_all(place.projection(), records[:cut])
    resumed = place.projection()
    seen = records[: cut + 1]
    resumed.catch_up(seen)
    state = SweepState()
    for record in seen:
        state = fold(state, record.event, record.time)
    apply_all(resumed, records[cut + 1 :], state)
    other.projection().catch_up(records)
    assert dump(place.uri) == dump(other.uri)


def test_replaying_into_runs_whose_progress_is_unknown_repeats_nothing(place, records):
    place.projection().catch_up(records)
    before = dump(place.uri)
    client = MlflowClient(tracking_uri=place.uri)
    for run in client.search_runs(["1"]):
        client.set_tag(run.info.run_id, "depth_sweep.journal_sequence", "-1")
    place.projection().catch_up(records)
    assert dump(place.uri) == before


def test_a_store_that_fails_stops_nothing_and_gets_everything_later(place, records, other, caplog):
    place.artifacts.write_text("a file where the folder of artifacts should be")
    projection = place.projection()
    state = apply_all(projection, records[:10])
    assert projection.problem is not None
    assert [line.levelname for line in caplog.records if line.name == "sweep.tracking.projection"] == [
        "WARNING"
    ]
    place.artifacts.unlink()
    apply_all(projection, records[10:], state)
    assert projection.problem is None

    other.projection().catch_up(records)
    assert dump(place.uri) == dump(other.uri)


def test_of_two_runs_of_one_trial_the_emptier_one_is_deleted(place, records):
    """A server that repeats a call whose answer was lost makes a run twice."""
    place.projection().catch_up(records[:20])
    before = dump(place.uri)
    client = MlflowClient(tracking_uri=place.uri)
    tags = {"depth_sweep.sweep_id": "demo-7f3a", "depth_sweep.trial": "1"}
    second = client.create_run("1", tags=tags, run_name="trial 1 of demo")
    place.projection().catch_up(records[:21])
    assert client.get_run(second.info.run_id).info.lifecycle_stage == "deleted"
    assert sorted(dump(place.uri)) == sorted(before)


def test_a_run_whose_creation_seemed_to_fail_is_not_made_again(place, records, monkeypatch):
    projection = place.projection()
    state = apply_all(projection, records[:8])
    create_run = MlflowClient.create_run

    def lost_answer(*args: object, **kwargs: object) -> None:
        create_run(*args, **kwargs)
        raise TimeoutError("the answer was lost")

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "create_run", lost_answer)
        state = apply_all(projection, records[8:9], state)
    assert projection.problem == "the answer was lost"
    apply_all(projection, records[9:], state)
    assert projection.problem is None
    assert len(dump(place.uri)) == 7  # fails if two runs have one name


def test_an_experiment_that_was_made_twice_at_the_same_moment_is_used_as_one(place, records):
    place.projection().catch_up(records[:9])
    client = MlflowClient(tracking_uri=place.uri)
    ours = client.get_experiment("1")
    client.create_experiment("the same once more", tags=ours.tags)
    place.projection().catch_up(records)
    assert {run.info.experiment_id for run in client.search_runs(["0", "1", "2"])} == {"1"}
    assert len(dump(place.uri)) == 7


def test_what_is_learned_after_completion_and_added_by_hand_is_shown(place, records):
    shared = replace(records[2].event, shared_with=0)
    pruned = replace(records[13].event, rule="admission")
    completed = replace(records[7].event, flags=("latency_moved",), test={"si_rmse": 0.5, "frames": None})
    later = [
        TrialsAdded(3, "request-1"),
        FinalistMeasured(0, 1, 20.0, measurement(20.0)),
        FinalistMeasured(0, 2, 30.0, measurement(30.0)),
    ]
    changed = {2: shared, 7: completed, 13: pruned}
    edited = [replace(r, event=changed.get(r.sequence, r.event)) for r in records]
    end = len(records)
    edited += [Record(end + i, T0 + 11 * (end + i), event) for i, event in enumerate(later)]
    apply_all(place.projection(), edited)
    runs = dump(place.uri)
    trial = runs["trial 0 of demo"]
    now = 671.8
    assert trial.tags["admission_shared_with"] == "0"
    assert trial.tags["flags"] == "latency_moved"
    assert trial.series("test_si_rmse") == [(2, 0.5)]
    assert trial.series("test_frames") == []
    assert trial.series("finalist_latency_ms") == [(1, 20.0), (2, 30.0)]
    assert trial.end_ms == ms(7)
    client = MlflowClient(tracking_uri=place.uri)
    (latest,) = client.search_runs(["1"], "tags.`depth_sweep.trial` = '0'")
    assert latest.data.metrics["final_score"] == now
    assert latest.data.metrics["runtime_ms"] == 12.5
    assert runs["trial 1 of demo"].tags["rule"] == "admission"
    assert runs["demo"].tags["trials_added"] == "3"


def test_a_run_that_somebody_deleted_stays_deleted_and_the_others_go_on(place, records):
    projection = place.projection()
    state = apply_all(projection, records[:5])
    client = MlflowClient(tracking_uri=place.uri)
    (trial,) = client.search_runs(["1"], "tags.kind = 'trial'")
    client.delete_run(trial.info.run_id)
    apply_all(projection, records[5:], state)
    assert projection.problem is None
    place.projection().catch_up(records)
    assert sorted(dump(place.uri)) == ["demo", *(f"trial {n} of demo" for n in range(1, 6))]


def test_values_beyond_mlflows_limits_are_split_or_cut(place):
    wide = {f"parameter {i}/{'x' * 300}" if i == 0 else f"p{i}": "y" * 7000 for i in range(250)}
    events = [
        replace(started(), identity={**started().identity, "max_epochs": 300}),
        replace(proposed(0), candidate={"odd key!": [1, 2], **wide}),
        TrialAdmitted(0, 1.0, {}, {}),
        AttemptStarted(0, 1, 0, 300, None),
        *(EpochTrained(0, 1, e, 1.0, 0.5, 2.0, 0.1, 1.0, "c") for e in range(1, 301)),
    ]
    projection = place.projection()
    projection.catch_up([Record(i, T0 + i, event) for i, event in enumerate(events)])
    assert projection.problem is None
    run = dump(place.uri)["trial 0 of demo"]
    assert len(run.params) == 251
    assert run.params["odd key_"] == "[1, 2]"
    assert run.params["p1"] == "y" * 5996 + " ..."
    assert len(run.series("train_loss")) == 300


def test_sweeps_share_an_experiment_exactly_if_their_identity_is_the_same(place):
    def experiments_after(identity: dict[str, object], sweep_id: str) -> set[str]:
        event = replace(started(), name=sweep_id, sweep_id=sweep_id, identity=identity)
        place.projection().catch_up([Record(0, T0, event)])
        found = MlflowClient(tracking_uri=place.uri).search_experiments()
        return {experiment.name for experiment in found} - {"Default"}

    identity = dict(started().identity)
    first = f"mobilenetv3 on demo data, 2 epochs, {DEVICE}, tflite-2.14.0, 1 thread, xnnpack"
    assert experiments_after(identity, "a") == {first}
    assert experiments_after(identity, "b") == {first}
    other_threads = {**identity, "target": {**identity["target"], "threads": 4}}
    second = first.replace("1 thread", "4 threads")
    assert experiments_after(other_threads, "c") == {first, second}
    same_name = experiments_after({**identity, "data_digest": "d34db33f"}, "d") - {first, second}
    assert len(same_name) == 1
    assert same_name.pop().startswith(first + " (")


def test_the_experiment_has_a_view_of_trials_by_final_score(place, records):
    place.projection().catch_up(records[:1])
    tags = MlflowClient(tracking_uri=place.uri).get_experiment("1").tags
    assert (
        '"orderByKey": "metrics.`final_score`", "orderByAsc": false' in tags[f"mlflow.sharedViewState.{VIEW}"]
    )


def test_a_trial_without_its_run_and_without_its_proposal_asks_for_catch_up(place, records):
    state = SweepState()
    for record in records[:3]:
        state = fold(state, record.event, record.time)
    with pytest.raises(LookupError, match="catch_up"):
        place.projection().apply(state, records[2])


def test_time_inside_mlflow_is_counted(place, records):
    projection = place.projection()
    counted = [projection.seconds]
    projection.catch_up(records)
    counted.append(projection.seconds)
    assert 0 < counted[0] < counted[1]


def test_no_connection_is_opened_and_nothing_is_printed(place, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "def refuse(event, args):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo'):\n"
        "        print('connects:', args)\n"
        "sys.addaudithook(refuse)\n"
        "from pathlib import Path\n"
        "from tracking_sweep import write_sweep\n"
        "from sweep.tracking.projection import MlflowProjection\n"
        "uri, artifacts, directory = sys.argv[1:]\n"
        "records = write_sweep(Path(directory))\n"
        "projection = MlflowProjection(uri, Path(artifacts), Path(directory))\n"
        "projection.catch_up(records)\n"
        "projection.close()\n"
    )
    result = subprocess.run(
        [
            sys.executable,
            str(program),
            f"sqlite:///{tmp_path / 'fresh.db'}",
            str(place.artifacts),
            str(place.sweep),
        ],
        env={"PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[2]}", "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (result.stdout, result.stderr) == ("", "")
    assert not (tmp_path / "mlruns").exists()
