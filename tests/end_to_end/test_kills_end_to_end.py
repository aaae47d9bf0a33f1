"""A real sweep whose processes are killed: the driver after each kind of record, and each of its children."""

import os
import re
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from sweep_cli import PATIENCE_S, SPACE, start_sweep, sweep, wait_for

from sweep.engine import control
from sweep.engine.garbage import garbage_of
from sweep.lifecycle import Record, TrialState, read_journal, read_state
from sweep.lifecycle.events import (
    AttemptEnded,
    EpochTrained,
    SweepEnded,
    TrialCompleted,
    TrialProposed,
    TrialsAdded,
)
from sweep.tracking.readers import disagreements
from sweep.tracking.store import open_client

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

KINDS = (
    "SweepStarted",
    "SweepResumed",
    "SweepEnded",
    "TrialsAdded",
    "TrialProposed",
    "TrialAdmitted",
    "AttemptStarted",
    "EpochTrained",
    "AttemptEnded",
    "TrialCompleted",
    "FinalistMeasured",
    "TrialPruned",
    "FilesRemoved",
)
"""Every kind of record that a sweep in which nothing fails leaves."""

LOOK_S = 0.002
MARK = "DEPTH_SWEEP_TEST_PROCESS"


@pytest.fixture(autouse=True)
def nothing_is_left_running(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every process that a test starts, and whatever that starts, carries a mark; in the end none may be left."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv(MARK, mark)
    yield
    left = [process for process in psutil.process_iter() if carries(process, mark)]
    _, alive = psutil.wait_procs([process for process in left if process.pid != os.getpid()], PATIENCE_S)
    assert alive == []


def carries(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark
    except psutil.Error:  # it is gone, or a zombie
        return False


class Sweep:
    """The miniature, which has an order to find out among its finalists."""

    def __init__(self, root: Path, data: Path, *options: str) -> None:
        """``options`` are further ones of ``sweep run``."""
        self._options = options
        self.runs = root / "runs"
        self.directory = self.runs / "mini"
        self._data = data

    def start(self) -> subprocess.Popen[str]:
        """Begin the sweep, or go on with it."""
        if (self.directory / "journal.jsonl").exists():
            return start_sweep("resume", "mini", "--runs", self.runs)
        command = ("run", SPACE, "--data", self._data, "--runs", self.runs, "--name", "mini")
        return start_sweep(*command, *self._options)

    def lines(self) -> list[bytes]:
        """The journal's whole lines."""
        try:
            return (self.directory / "journal.jsonl").read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []

    def to_the_end(self) -> None:
        done = sweep("resume", "mini", "--runs", self.runs)
        assert done.returncode == 0, done.stdout + done.stderr

    def run_ids(self) -> dict[str, str]:
        """MLflow's runs by the number of the trial; the sweep's own under an empty key."""
        client = open_client(f"sqlite:///{self.runs / 'mlflow.db'}")
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        runs = client.search_runs(experiments)
        found = {run.data.tags.get("depth_sweep.trial", ""): run.info.run_id for run in runs}
        assert len(found) == len(runs)
        return found

    def check_whole(self, trials: int) -> None:
        """All trials are there, none twice, the stores agree, and nothing is left that `sweep gc` would keep."""
        events = [record.event for record in read_journal(self.directory)]
        state = read_state(self.directory)
        assert isinstance(events[-1], SweepEnded)
        assert events[-1].reason == "finished"
        assert len(state.trials) == trials
        assert not state.unfinished
        assert len(state.in_state(TrialState.COMPLETE)) >= 3
        for once in (
            Counter(event.trial for event in events if isinstance(event, TrialProposed)),
            Counter((event.trial, event.epoch) for event in events if isinstance(event, EpochTrained)),
            Counter(event.trial for event in events if isinstance(event, TrialCompleted)),
        ):
            assert set(once.values()) == {1}
        assert disagreements(self.directory, f"sqlite:///{self.runs / 'mlflow.db'}", None) == ()
        garbage = {found.path for found in garbage_of(self.directory)}
        kept = {trial.number for trial in state.trials.values() if trial.has_files}
        folders = {path for path in (self.directory / "trials").iterdir() if path not in garbage}
        assert {int(path.name) for path in folders} == kept


@pytest.fixture
def mini(tmp_path: Path, real_images: Path) -> Sweep:
    return Sweep(tmp_path, real_images)


def kill_after_one_of(process: subprocess.Popen[str], mini: Sweep, kinds: set[str]) -> str | None:
    """SIGKILL the driver at the first new record of one of ``kinds``: which; None if it ended before that."""
    before = len(mini.lines())
    while process.poll() is None:
        for line in mini.lines()[before:]:
            kind = re.search(rb'"event":"(\w+)"', line)
            if kind and kind[1].decode() in kinds:
                process.kill()
                process.wait(PATIENCE_S)
                return kind[1].decode()
        time.sleep(LOOK_S)  # the journal belongs to another process: there is nothing to wait on
    return None


def test_the_driver_is_killed_after_each_kind_of_record(mini: Sweep) -> None:
    missing = set(KINDS)
    parents: set[str] = set()
    while missing:
        process = mini.start()
        # The sweep's last record comes once; whatever else is missing must be seen before.
        killed_after = kill_after_one_of(process, mini, missing - {"SweepEnded"} or missing)
        output, _ = process.communicate(timeout=PATIENCE_S)
        assert killed_after is not None, f"{missing} never came:\n{output}"
        missing.remove(killed_after)
        if killed_after == "TrialProposed":
            control.ask(mini.directory, control.AddTrials(control.new_id(), 1))
        parents |= {mini.run_ids()[""]} if "" in mini.run_ids() else set()

    mini.to_the_end()

    mini.check_whole(trials=5)
    events = [record.event for record in read_journal(mini.directory)]
    assert sum(isinstance(event, TrialsAdded) for event in events) == 1
    assert mini.run_ids().keys() == {"", "0", "1", "2", "3", "4"}
    assert parents == {mini.run_ids()[""]}


def in_the_middle(records: tuple[Record, ...]) -> bool:
    return any(isinstance(record.event, EpochTrained) and record.event.epoch > 1 for record in records)


def child_of(process: subprocess.Popen[str], is_it: Callable[[str], bool]) -> psutil.Process:
    """The child, or child's child, whose command line it is."""
    children = psutil.Process(process.pid).children(recursive=True)
    return next(child for child in children if is_it(" ".join(child.cmdline())))


def start_and_kill(mini: Sweep, is_it: Callable[[str], bool]) -> tuple[int, str]:
    """Exit status and output of a sweep that lost one of its children in the middle."""
    process = mini.start()
    wait_for(mini.directory, in_the_middle)
    child_of(process, is_it).kill()
    output, _ = process.communicate(timeout=PATIENCE_S)
    return process.returncode, output


@pytest.fixture
def long_attempts(tmp_path: Path, real_images: Path) -> Sweep:
    """Attempts of many epochs: one of them is under way whenever somebody looks."""
    return Sweep(tmp_path, real_images, "--max-epochs", "30", "--trials", "3")


def test_a_training_process_that_is_killed_costs_an_attempt_and_no_trial(long_attempts: Sweep) -> None:
    mini = long_attempts
    status, output = start_and_kill(mini, lambda command: re.match(r"ray::\w*Trainable", command) is not None)
    assert status == 0, output
    events = [record.event for record in read_journal(mini.directory)]
    lost = [event for event in events if isinstance(event, AttemptEnded) and event.outcome == "lost"]
    assert len(lost) == 1
    assert "killed or died" in lost[0].reason
    mini.check_whole(trials=3)


@pytest.mark.parametrize("role", ["serve", "worker"])
def test_a_farm_that_dies_ends_the_sweep_or_not_and_a_resume_finishes_it(mini: Sweep, role: str) -> None:
    status, output = start_and_kill(mini, lambda command: f"-m device_farm {role} " in command)
    if status != 0:
        assert "sweep resume mini" in output
        assert not read_state(mini.directory).in_state(TrialState.FAILED, TrialState.INFEASIBLE)
        mini.to_the_end()
    mini.check_whole(trials=4)
