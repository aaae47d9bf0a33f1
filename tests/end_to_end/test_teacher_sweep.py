"""A real sweep that trains its teacher first, is killed while it does, and goes on."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from sweep_cli import PATIENCE_S, SPACE, start_sweep, sweep, wait_for

from sweep.hashing import sha256_of
from sweep.lifecycle import Record, TrialState, read_journal, read_state
from sweep.lifecycle.events import AttemptStarted, TeacherAttemptStarted, TeacherEpochTrained, TeacherReady
from sweep.models import build_network
from sweep.space.candidate_file import load_candidate
from sweep.tracking.store import open_client

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

EPOCHS = 4
GUIDANCE = {"kind": "teacher", "start": 0.5, "depth": 1.0, "features": 0.1, "pairwise": 1.0}


def write_space(folder: Path, teacher: dict[str, Any]) -> Path:
    """The miniature, whose recipes all want a teacher, and that teacher's candidate file."""
    data = yaml.safe_load(SPACE.read_text())
    taught = {**data, "name": "taught", "recipe": {**data["recipe"], "distillation": GUIDANCE}}
    space = folder / "taught.yaml"
    space.write_text(yaml.safe_dump({**taught, "teacher": teacher, "budget": {"trials": 3, "max_epochs": 2}}))
    architecture = {
        "input": {"height": 64, "width": 96, "resize": "bilinear"},
        "encoder": {**data["architecture"]["encoder"], "width": 1.0, "stem_activation": "relu"},
        "decoder": {"kind": "concat", "width": 16, "taper": 0.5, "upsampling": "nearest"},
        "output": {"stride": 2, "upsampling": "bilinear"},
    }
    architecture["encoder"]["stage1"] = {**architecture["encoder"]["stage1"], "expansion": 2}
    recipe = {**data["recipe"], "learning_rate": 5e-3}
    (folder / "teacher.yaml").write_text(
        yaml.safe_dump({"name": "big", "architecture": architecture, "recipe": recipe})
    )
    return space


def is_taught_a_little(records: tuple[Record, ...]) -> bool:
    return any(isinstance(record.event, TeacherEpochTrained) for record in records)


def parent_run(runs: Path) -> Any:
    client = open_client(f"sqlite:///{runs / 'mlflow.db'}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    (run,) = client.search_runs(experiments, "tags.kind = 'sweep'")
    return run


def test_a_sweep_killed_while_its_teacher_is_trained_goes_on_and_every_student_is_taught(
    tmp_path: Path, real_images: Path
) -> None:
    space = write_space(tmp_path, {"candidate": "teacher.yaml", "epochs": EPOCHS, "stands_for": "Swin"})
    runs = tmp_path / "runs"
    process = start_sweep("run", space, "--data", real_images, "--runs", runs, "--name", "taught")
    wait_for(runs / "taught", is_taught_a_little)
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    said = sweep("status", "taught", "--runs", runs, "--json")
    assert json.loads(said.stdout)["teacher"].endswith(f"of {EPOCHS} epochs trained")
    (tmp_path / "teacher.yaml").unlink()  # the journal has everything

    done = sweep("resume", "taught", "--runs", runs)
    assert done.returncode == 0, done.stdout + done.stderr

    events = [record.event for record in read_journal(runs / "taught")]
    epochs = [event.epoch for event in events if isinstance(event, TeacherEpochTrained)]
    assert epochs == list(range(1, EPOCHS + 1))
    attempts = [event for event in events if isinstance(event, TeacherAttemptStarted)]
    assert [attempt.attempt for attempt in attempts] == [1, 2]
    assert attempts[1].from_epoch >= 1
    (ready,) = (event for event in events if isinstance(event, TeacherReady))
    first_student = next(event for event in events if isinstance(event, AttemptStarted))
    assert events.index(ready) < events.index(first_student)
    assert (ready.name, ready.stands_for, ready.epochs) == ("big", "Swin", EPOCHS)
    assert 0 < ready.si_rmse < 2
    assert sha256_of(runs / "taught" / ready.checkpoint) == ready.sha256

    state = read_state(runs / "taught")
    assert len(state.in_state(TrialState.COMPLETE)) >= 1
    assert all(math.isfinite(t.final_score or math.nan) for t in state.in_state(TrialState.COMPLETE))

    assert state.started is not None
    assert state.started.identity["teacher"] == {"candidate": ready.candidate_hash, "epochs": EPOCHS}
    run = parent_run(runs)
    assert run.data.tags["teacher"] == "big"
    assert run.data.tags["teacher_stands_for"] == "Swin"
    assert run.data.params["teacher.epochs"] == str(EPOCHS)
    assert run.data.metrics["teacher_si_rmse_partial"] == ready.si_rmse
    shown = sweep("status", "taught", "--runs", runs).stdout
    assert "big (stands for Swin)" in shown


def test_a_teacher_that_was_trained_before_teaches_at_once(tmp_path: Path, real_images: Path) -> None:
    space = write_space(tmp_path, {"candidate": "teacher.yaml", "checkpoint": "weights.pt"})
    network = build_network(load_candidate(tmp_path / "teacher.yaml").candidate.architecture)
    torch.save({"network": network.state_dict()}, tmp_path / "weights.pt")
    runs = tmp_path / "runs"
    done = sweep("run", space, "--data", real_images, "--runs", runs, "--name", "taught", "--trials", "1")
    events = [record.event for record in read_journal(runs / "taught")]
    (ready,) = (event for event in events if isinstance(event, TeacherReady))
    assert ready.sha256 == sha256_of(tmp_path / "weights.pt") == sha256_of(runs / "taught" / ready.checkpoint)
    assert ready.epochs == 0
    assert not any(isinstance(event, TeacherAttemptStarted) for event in events)
    (student,) = read_state(runs / "taught").trials.values()
    assert student.epoch == 2, done.stdout + done.stderr


def test_weights_of_another_network_end_the_sweep_with_a_reason(tmp_path: Path, real_images: Path) -> None:
    space = write_space(tmp_path, {"candidate": "teacher.yaml", "checkpoint": "weights.pt"})
    torch.save({"network": {"head.weight": torch.zeros(1, 3, 1, 1)}}, tmp_path / "weights.pt")
    runs = tmp_path / "runs"
    done = sweep("run", space, "--data", real_images, "--runs", runs, "--name", "taught", "--trials", "1")
    assert done.returncode != 0
    assert "the teacher cannot be used" in done.stdout + done.stderr
    assert "is not of the teacher's architecture" in done.stdout + done.stderr
