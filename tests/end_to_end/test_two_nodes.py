"""A sweep on a Ray cluster of which the node that trains dies: nothing is lost, nothing is done twice."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray_nodes import RayCluster, ray_cluster
from sweep_cli import PATIENCE_S, SPACE, start_sweep, sweep, wait_for

import device_farm
import sweep as sweep_package
from sweep.lifecycle import Record, read_journal, read_state
from sweep.lifecycle.events import (
    AttemptEnded,
    AttemptStarted,
    EpochTrained,
    SweepEnded,
    TrialCompleted,
    TrialProposed,
)
from sweep.tracking.store import open_client

pytestmark = pytest.mark.long

BUDGET = "budget: {trials: 3, max_epochs: 100}\nrungs: {epochs: [50, 100], reduction_factor: 2}\nkeep: 2\n"
"""Long enough attempts that one of them is still at work when its node is killed after its first epochs."""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[RayCluster]:
    with ray_cluster() as running:
        for name, value in running.driver_environment.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def space(tmp_path: Path) -> Path:
    """The miniature space with more epochs."""
    text = SPACE.read_text("utf-8")
    path = tmp_path / "longer.yaml"
    path.write_text(text[: text.index("budget:")] + BUDGET, "utf-8")
    return path


def events(directory: Path, kind: type) -> list[Any]:
    return [record.event for record in read_journal(directory) if isinstance(record.event, kind)]


def early_in_an_attempt(records: tuple[Record, ...]) -> bool:
    """An attempt has most of its fifty epochs to go."""
    last = records[-1].event if records else None
    return isinstance(last, EpochTrained) and 1 <= last.epoch % 50 <= 10


def something_is_lost(records: tuple[Record, ...]) -> bool:
    return any(isinstance(r.event, AttemptEnded) and r.event.outcome == "lost" for r in records)


def check_whole(directory: Path) -> None:
    """Three trials, none failed, no epoch twice, the lost attempt taken up where its last checkpoint was."""
    ended = events(directory, SweepEnded)
    assert [event.reason for event in ended] == ["finished"], ended
    state = read_state(directory)
    assert len(state.trials) == 3
    assert {trial.state.value for trial in state.trials.values()} <= {"complete", "pruned"}
    assert len([trial for trial in state.trials.values() if trial.completion]) >= 2
    assert set(Counter(e.trial for e in events(directory, TrialProposed)).values()) == {1}
    assert set(Counter((e.trial, e.epoch) for e in events(directory, EpochTrained)).values()) == {1}
    assert set(Counter(e.trial for e in events(directory, TrialCompleted)).values()) == {1}
    outcomes = Counter(e.outcome for e in events(directory, AttemptEnded))
    assert outcomes.keys() == {"reached", "lost"}
    assert outcomes["lost"] == 1
    (lost,) = (e for e in events(directory, AttemptEnded) if e.outcome == "lost")
    (again,) = (
        e for e in events(directory, AttemptStarted) if (e.trial, e.attempt) == (lost.trial, lost.attempt + 1)
    )
    trained = [
        e.epoch for e in events(directory, EpochTrained) if (e.trial, e.attempt) == (lost.trial, lost.attempt)
    ]
    assert again.from_epoch == trained[-1]
    assert again.checkpoint is not None


def check_mlflow(runs: Path) -> None:
    """One run for the sweep and one for each trial."""
    client: Any = open_client(f"sqlite:///{runs / 'mlflow.db'}")
    found = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    trials = [run.data.tags.get("depth_sweep.trial", "") for run in found]
    assert sorted(trials) == ["", "0", "1", "2"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("shared", [True, False], ids=["shared folders", "files shipped"])
def test_the_death_of_the_node_that_trains_loses_nothing(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    real_images: Path,
    private_cache: Path,
    cluster: RayCluster,
    space: Path,
    shared: bool,
) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    hidden = () if shared else (runs, private_cache)
    first = cluster.add_node(hidden=hidden)
    arguments = ("--data", real_images, "--runs", runs, "--name", "mini", "--ray-address", cluster.address)
    process = start_sweep("run", space, *arguments)
    request.addfinalizer(process.kill)
    wait_for(runs / "mini", early_in_an_attempt)
    assert bool(list(first.inside(private_cache).glob("shipped-*/manifest.json"))) != shared
    first.kill()
    wait_for(runs / "mini", something_is_lost)  # well before another node takes over

    second = cluster.add_node(hidden=hidden)

    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    check_whole(runs / "mini")
    check_mlflow(runs)
    if not shared:
        assert len(list(second.inside(private_cache).glob("shipped-*/manifest.json"))) == 1
        assert os.listdir(second.inside(runs)) == []


@pytest.mark.timeout(600)
def test_nodes_without_this_package_are_refused_or_given_it(
    tmp_path: Path, real_images: Path, cluster: RayCluster
) -> None:
    packages = (Path(sweep_package.__path__[0]), Path(device_farm.__path__[0]))
    cluster.add_node(hidden=packages)
    arguments = ("--data", real_images, "--runs", tmp_path / "runs", "--ray-address", cluster.address)

    refused = sweep("run", SPACE, *arguments)
    assert refused.returncode != 0
    assert "cannot run this package" in refused.stderr
    assert "--ship-code" in refused.stderr

    shipped = sweep("run", SPACE, "--name", "mini", "--ship-code", *arguments)
    assert shipped.returncode == 0, shipped.stdout + shipped.stderr
    assert [event.reason for event in events(tmp_path / "runs" / "mini", SweepEnded)] == ["finished"]
