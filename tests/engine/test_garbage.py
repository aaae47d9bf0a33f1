"""What may be removed from a sweep's directory, and what must stay."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweep.engine.control import AddTrials, StopRequest, ask, new_id, path_of
from sweep.engine.garbage import garbage_of, remove
from sweep.lifecycle import Event, IllegalEvent, Journal, JournalError
from sweep.lifecycle.events import FilesRemoved, SweepEnded, TrialFailed, TrialsAdded
from tests.report.report_sweep import admitted, completed, every_ending, started, trained


def sweep_of(directory: Path, events: Iterator[Event]) -> Path:
    with Journal(directory) as journal:
        for event in events:
            journal.append(event)
    return directory


def over() -> Iterator[Event]:
    """Trial 0 is kept, the files of 1 and 2 are not."""
    yield started()
    yield from trained(0, 4)
    yield completed(0, si_rmse=0.375, latency_ms=10.0, final_score=353.6)
    for trial in (1, 2):
        yield from admitted(trial)
        yield TrialFailed(trial, "diverged")
        yield FilesRemoved(trial)
    yield SweepEnded("finished")


def put(path: Path, size: int = 1000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    return path


def found_in(directory: Path) -> dict[str, tuple[str, int]]:
    return {
        str(item.path.relative_to(directory)): (item.why, item.size_bytes) for item in garbage_of(directory)
    }


def tree(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir()}


def test_a_clean_sweep_has_no_garbage(tmp_path: Path) -> None:
    directory = sweep_of(tmp_path / "demo", over())
    put(directory / "trials/0000/final/model.tflite")
    assert garbage_of(directory) == ()


def test_everything_that_kills_leave_behind_is_found_with_its_size_and_removed(tmp_path: Path) -> None:
    directory = sweep_of(tmp_path / "demo", over())
    needed = {
        put(directory / "trials/0000/final/model.tflite"),
        put(directory / "trials/0000/checkpoints/epoch-0004.pt"),
        put(directory / "trials/notes.txt"),
        put(directory / "my own folder/thing"),
        put(tmp_path / "mlflow.db"),
    }
    put(directory / "trials/0001/admission/model.tflite", 700)
    put(directory / "trials/0001/final/model.tflite", 300)
    put(directory / "trials/0007/admission/model.tflite", 10)
    put(directory / "trials/0000/checkpoints/.epoch-0005.pt.4711.tmp", 20)
    put(directory / "trials/0000/final/.export-x8/model.onnx", 30)
    put(directory / "ray/attempts/state.json", 40)
    put(directory / "farm/coordinator/farm.db", 50)
    put(directory / "stop", 0)
    put(directory / "requests/.half.tmp", 60)
    put(directory / "requests/nonsense", 70)
    assert found_in(directory) == {
        "trials/0000/checkpoints/.epoch-0005.pt.4711.tmp": ("a file half written", 20),
        "trials/0000/final/.export-x8": ("a file half written", 30),
        "trials/0001": ("files of a trial that were to be removed", 1000),
        "trials/0007": ("a trial that the journal does not know", 10),
        "ray": ("Ray's bookkeeping of a run", 40),
        "farm": ("the farm of a run; no trial is under way", 50),
        "stop": ("a run's flag to stop", 0),
        "requests/.half.tmp": ("no request", 60),
        "requests/nonsense": ("no request", 70),
    }
    before = (directory / "journal.jsonl").read_bytes()
    for item in garbage_of(directory):
        remove(item)
        remove(item)  # gone already: fine
    assert garbage_of(directory) == ()
    assert (directory / "journal.jsonl").read_bytes() == before
    expected = needed | {directory / "journal.jsonl", directory / "sweep.lock"}
    assert tree(tmp_path) == {str(path.relative_to(tmp_path)) for path in expected}


def test_the_farm_stays_while_a_trial_is_under_way_or_a_farm_process_lives(tmp_path: Path) -> None:
    unfinished = sweep_of(tmp_path / "unfinished", every_ending())
    put(unfinished / "farm/coordinator/farm.db")
    assert found_in(unfinished) == {}
    finished = sweep_of(tmp_path / "finished", over())
    lock = put(finished / "farm/coordinator/lock", 0)
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert found_in(finished) == {}
    assert list(found_in(finished)) == ["farm"]


def test_trials_that_are_wanted_stay_asked_for_and_answered_requests_go(tmp_path: Path) -> None:
    done, wanted, stop = AddTrials(new_id(), 2), AddTrials(new_id(), 3), StopRequest(new_id())
    directory = sweep_of(tmp_path / "demo", iter([*over(), TrialsAdded(2, done.id)]))
    for request in (done, wanted, stop):
        ask(directory, request)
    names = {
        path_of(directory, request).name: why
        for request, why in (
            (done, "a request that was carried out"),
            (stop, "a request to a run that is over"),
        )
    }
    assert found_in(directory) == {
        f"requests/{name}": (why, (directory / "requests" / name).stat().st_size)
        for name, why in names.items()
    }


def test_links_are_removed_and_never_followed(tmp_path: Path) -> None:
    precious = put(tmp_path / "precious/data.bin")
    directory = sweep_of(tmp_path / "demo", over())
    (directory / "trials").mkdir()
    (directory / "trials/0001").symlink_to(precious.parent)
    put(directory / "trials/0002/x")
    (directory / "trials/0002/link").symlink_to(precious)
    for item in garbage_of(directory):
        remove(item)
    assert precious.read_bytes() == bytes(1000)
    assert os.listdir(directory / "trials") == []


def test_a_run_that_never_started_goes_as_a_whole(tmp_path: Path) -> None:
    directory = sweep_of(tmp_path / "demo", iter(()))
    put(directory / "farm/worker/log", 5)
    assert found_in(directory) == {".": ("a run that never started", 5)}
    for item in garbage_of(directory):
        remove(item)
    assert not directory.exists()


@pytest.mark.parametrize("stranger", ["thesis.tex", "data/train/0.png"])
def test_a_directory_with_anything_of_somebody_else_is_never_removed(tmp_path: Path, stranger: str) -> None:
    directory = sweep_of(tmp_path / "demo", iter(()))
    put(directory / stranger)
    assert garbage_of(directory) == ()
    (tmp_path / "empty").mkdir()
    assert garbage_of(tmp_path / "empty") == ()


def test_nothing_is_garbage_where_the_journal_cannot_be_read(tmp_path: Path) -> None:
    directory = sweep_of(tmp_path / "demo", over())
    put(directory / "ray/state")
    journal = directory / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2]) + b"damaged\n")
    with pytest.raises(JournalError, match="line 3 is damaged"):
        garbage_of(directory)
    journal.write_bytes(b'{"sequence":0,"time":1.0,"event":"FilesRemoved","trial":0}\n')
    with pytest.raises(IllegalEvent):
        garbage_of(directory)
