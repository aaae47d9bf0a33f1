"""``sweep stop`` and ``sweep add-trials``, against real processes that hold a sweep's lock."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from managed_sweeps import held_by_a_child, tree, write_sweep

from sweep.cli.control_commands import record_trials
from sweep.engine.control import AddTrials, StopRequest, ask, new_id, pending
from sweep.lifecycle import Journal, read_journal, read_state
from sweep.lifecycle.events import SweepEnded, TrialsAdded
from sweep.lifecycle.lock import held, is_running
from tests.report.report_sweep import every_ending, started

CLI = [sys.executable, "-m", "sweep"]


def test_a_sweep_runs_as_long_as_its_process_lives_however_that_ends(tmp_path: Path) -> None:
    directory = write_sweep(tmp_path, "demo", every_ending())
    before = tree(tmp_path)
    assert not is_running(directory)
    with held_by_a_child(directory, "deaf") as child:
        assert is_running(directory)
        with held(directory) as mine:
            assert mine is False
        child.kill()
        child.wait()
        assert not is_running(directory)
    with held(directory) as mine:
        assert mine is True
        assert is_running(directory)
    assert not is_running(tmp_path / "none")
    assert tree(tmp_path) == before


def test_stop_waits_until_the_sweep_has_ended_and_names_the_way_on(call, tmp_path: Path) -> None:
    directory = write_sweep(tmp_path, "demo", every_ending())
    with held_by_a_child(directory, "obeys") as child:
        result = call("stop", "demo", "--runs", tmp_path)
        assert (result.exit_code, result.stderr) == (0, "")
        assert child.wait() == 0
    assert result.stdout == (
        "waiting for sweep demo to stop; Ctrl-C ends the waiting, not the stopping\n"
        f"sweep demo stopped; go on with: sweep resume demo --runs {tmp_path}\n"
    )
    assert read_journal(directory)[-1].event == SweepEnded("stopped", "asked by a request")
    assert pending(directory) == ()


def test_stop_without_waiting_leaves_the_request_to_the_sweep(call, tmp_path: Path) -> None:
    directory = write_sweep(tmp_path, "demo", every_ending())
    with held_by_a_child(directory, "waits") as child:
        result = call("stop", "demo", "--no-wait", "--runs", tmp_path)
        assert is_running(directory)
        assert [type(request) for request in pending(directory)] == [StopRequest]
        child.communicate("go on\n")
        assert child.returncode == 0
    message = f"sweep demo was asked to stop; see: sweep status demo --runs {tmp_path}\n"
    assert (result.exit_code, result.stdout) == (0, message)


def test_stopping_a_sweep_that_does_not_run_changes_nothing_and_clears_stale_wishes(
    call, tmp_path: Path
) -> None:
    directory = write_sweep(tmp_path, "demo", every_ending())
    more = AddTrials(new_id(), 4)
    ask(directory, StopRequest(new_id()))  # of a run that died before it looked
    ask(directory, more)
    before = (directory / "journal.jsonl").read_bytes()
    result = call("stop", "demo", "--runs", tmp_path)
    assert (result.exit_code, result.stdout) == (0, "sweep demo is not running: nothing to stop\n")
    assert pending(directory) == (more,)
    assert (directory / "journal.jsonl").read_bytes() == before


def test_a_stop_is_not_left_behind_for_the_next_run_when_the_sweep_dies_first(tmp_path: Path) -> None:
    directory = write_sweep(tmp_path, "demo", every_ending())
    with held_by_a_child(directory, "deaf") as child:
        command = [*CLI, "stop", "demo", "--runs", str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stop:
            assert stop.stdout is not None
            assert stop.stdout.readline().startswith("waiting for sweep demo to stop")
            assert [type(request) for request in pending(directory)] == [StopRequest]
            child.kill()
            said = stop.stdout.read()
    assert stop.returncode == 0
    assert said == f"sweep demo died before it stopped; go on with: sweep resume demo --runs {tmp_path}\n"
    assert pending(directory) == ()


def test_ctrl_c_ends_the_waiting_but_not_the_wish(tmp_path: Path) -> None:
    directory = write_sweep(tmp_path, "demo", every_ending())
    with held_by_a_child(directory, "deaf"):
        command = [*CLI, "stop", "demo", "--runs", str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as stop:
            assert stop.stdout is not None
            stop.stdout.readline()
            stop.send_signal(signal.SIGINT)
            said, error = stop.communicate()
        assert (stop.returncode, said, error) == (130, "sweep demo stays asked to stop\n", "interrupted\n")
        assert [type(request) for request in pending(directory)] == [StopRequest]


def test_a_running_sweep_takes_up_more_trials_itself(call, tmp_path: Path) -> None:
    directory = write_sweep(tmp_path, "demo", every_ending())
    with held_by_a_child(directory, "obeys"):
        result = call("add-trials", "demo", 5, "--runs", tmp_path)
        again = call("add-trials", "demo", 1, "--runs", tmp_path)
    assert (result.exit_code, result.stdout) == (0, "sweep demo goes on for 5 more, 13 trials in all\n")
    assert (again.exit_code, again.stdout) == (0, "sweep demo goes on for 1 more, 14 trials in all\n")
    assert read_state(directory).trials_added == 6
    assert pending(directory) == ()


@pytest.mark.parametrize("ending", [[], [SweepEnded("finished")]], ids=["died", "finished"])
def test_a_sweep_that_does_not_run_gets_more_trials_for_its_resume(call, tmp_path: Path, ending) -> None:
    directory = write_sweep(tmp_path, "demo", [*every_ending(), *ending])
    result = call("add-trials", "demo", 5, "--runs", tmp_path)
    advice = f"go on with: sweep resume demo --runs {tmp_path}"
    assert (result.exit_code, result.stdout) == (
        0,
        f"sweep demo may try 5 more, 13 trials in all; {advice}\n",
    )
    last = read_journal(directory)[-1].event
    assert isinstance(last, TrialsAdded)
    assert last.trials == 5
    assert pending(directory) == ()


def test_more_trials_asked_of_a_sweep_that_dies_meanwhile_are_recorded_once(tmp_path: Path) -> None:
    directory = write_sweep(tmp_path, "demo", every_ending())
    with held_by_a_child(directory, "deaf") as child:
        command = [*CLI, "add-trials", "demo", "5", "--runs", str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as adding:
            while not pending(directory):
                assert adding.poll() is None
            child.kill()
            said, _ = adding.communicate()
    assert said.startswith("sweep demo may try 5 more, 13 trials in all; go on with: sweep resume demo")
    assert read_state(directory).trials_added == 5
    assert pending(directory) == ()


def test_trials_recorded_before_a_kill_could_remove_the_request_are_not_added_again(
    tmp_path: Path,
) -> None:
    directory = write_sweep(tmp_path, "demo", every_ending())
    request = AddTrials(new_id(), 5)
    with Journal(directory) as journal:
        journal.append(TrialsAdded(5, request.id))
    ask(directory, request)
    record_trials(directory, request)
    assert read_state(directory).trials_added == 5
    assert pending(directory) == ()


@pytest.mark.parametrize("number", ["0", "-3", "1.5", "many"])
def test_a_number_of_trials_below_one_is_refused(call, tmp_path: Path, number: str) -> None:
    directory = write_sweep(tmp_path, "demo", [started()])
    result = call("add-trials", "--runs", tmp_path, "--", "demo", number)
    assert result.exit_code == 2
    assert "Invalid value for 'N': Input should be" in result.stderr
    assert read_state(directory).trials_added == 0


def test_more_trials_for_a_sweep_that_never_started_are_refused(call, tmp_path: Path) -> None:
    directory = write_sweep(tmp_path, "demo")
    result = call("add-trials", "demo", 3, "--runs", tmp_path)
    message = "error: sweep demo never started; run it again\n"
    assert (result.exit_code, result.stderr) == (2, message)
    assert not (directory / "requests").exists()


@pytest.mark.parametrize(
    "command",
    [
        ("status", "nosuch"),
        ("stop", "nosuch"),
        ("add-trials", "nosuch", "1"),
        ("compare", "demo", "nosuch"),
        ("gc", "nosuch"),
    ],
    ids=lambda command: command[0],
)
def test_an_unknown_name_is_answered_with_the_sweeps_that_there_are(
    call, tmp_path: Path, command: tuple[str, ...]
) -> None:
    write_sweep(tmp_path, "demo", [started()])
    write_sweep(tmp_path, "other", [started()])
    result = call(*command, "--runs", tmp_path)
    message = f"error: no sweep 'nosuch' in {tmp_path}; there are: demo, other\n"
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", message)
