"""Ctrl-C and SIGKILL in the middle of a sweep, then resume: nothing lost, nothing twice, the same MLflow runs."""

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sweep_cli import PATIENCE_S, SPACE, interrupt, start_sweep, sweep, wait_for

from sweep.lifecycle import Record, read_journal, read_state
from sweep.lifecycle.events import EpochTrained, SweepEnded, SweepResumed, TrialCompleted, TrialProposed
from sweep.tracking.store import open_client

pytestmark = pytest.mark.long


def in_the_middle(records: tuple[Record, ...]) -> bool:
    """Something is trained already and something is still to do."""
    return sum(isinstance(record.event, EpochTrained) for record in records) >= 2


def something_complete(records: tuple[Record, ...]) -> bool:
    return any(isinstance(record.event, TrialCompleted) for record in records)


def run_ids(runs: Path) -> dict[str, str]:
    """MLflow's run of each trial, by the trial's number; the parent's under an empty key."""
    client: Any = open_client(f"sqlite:///{runs / 'mlflow.db'}")
    found = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    return {run.data.tags.get("depth_sweep.trial", ""): run.info.run_id for run in found}


def check_whole(directory: Path) -> None:
    """The sweep ended by itself, and its journal tells of no trial and no epoch twice."""
    events = [record.event for record in read_journal(directory)]
    assert isinstance(events[-1], SweepEnded)
    assert events[-1].reason == "finished"
    state = read_state(directory)
    assert len(state.trials) == 4
    assert all(trial.state.is_final for trial in state.trials.values())
    assert len([trial for trial in state.trials.values() if trial.completion]) == 3
    assert set(Counter(e.trial for e in events if isinstance(e, TrialProposed)).values()) == {1}
    assert set(Counter((e.trial, e.epoch) for e in events if isinstance(e, EpochTrained)).values()) == {1}
    assert set(Counter(e.trial for e in events if isinstance(e, TrialCompleted)).values()) == {1}


def test_ctrl_c_ends_cleanly_and_resume_goes_on(tmp_path: Path, real_images: Path) -> None:
    directory = tmp_path / "runs" / "mini"
    process = start_sweep("run", SPACE, "--data", real_images, "--runs", tmp_path / "runs", "--name", "mini")
    wait_for(directory, in_the_middle)
    output = interrupt(process)
    assert process.returncode == 0, output
    assert "Sweep mini was stopped" in output
    assert "sweep resume mini" in output
    stopped = read_state(directory)
    assert stopped.ended == SweepEnded("stopped", "SIGINT")
    before = run_ids(tmp_path / "runs")

    done = sweep("resume", "mini", "--runs", tmp_path / "runs")

    assert done.returncode == 0, done.stdout + done.stderr
    check_whole(directory)
    assert run_ids(tmp_path / "runs").items() >= before.items()


@pytest.mark.parametrize("moment", [in_the_middle, something_complete])
def test_sigkill_loses_nothing(tmp_path: Path, real_images: Path, moment: Any) -> None:
    directory = tmp_path / "runs" / "mini"
    process = start_sweep("run", SPACE, "--data", real_images, "--runs", tmp_path / "runs", "--name", "mini")
    wait_for(directory, moment)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(PATIENCE_S)
    killed = read_state(directory)
    assert killed.ended is None

    done = sweep("resume", "mini", "--runs", tmp_path / "runs")

    assert done.returncode == 0, done.stdout + done.stderr
    check_whole(directory)
    assert sum(isinstance(record.event, SweepResumed) for record in read_journal(directory)) == 1
    resumed = read_state(directory)
    for number, trial in killed.trials.items():
        assert resumed.trials[number].epochs[: len(trial.epochs)] == trial.epochs
        if trial.completion:
            assert resumed.trials[number].completion == trial.completion
    assert len(run_ids(tmp_path / "runs")) == 1 + len(resumed.trials)


def test_a_second_run_of_the_same_sweep_is_refused(tmp_path: Path, real_images: Path) -> None:
    directory = tmp_path / "runs" / "mini"
    process = start_sweep("run", SPACE, "--data", real_images, "--runs", tmp_path / "runs", "--name", "mini")
    wait_for(directory, in_the_middle)
    refused = sweep("resume", "mini", "--runs", tmp_path / "runs")
    output = interrupt(process)
    assert process.returncode == 0, output
    assert refused.returncode == 2
    assert refused.stderr.endswith("is in use by another process\n")
