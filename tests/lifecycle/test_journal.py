"""The journal on disk: durability, torn tails, damage, the lock, and a disk that is full."""

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from event_strategies import any_event
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweep.lifecycle import Journal, JournalError, Record, SweepLocked, read_journal
from sweep.lifecycle.events import FilesRemoved, TrialAdmitted, TrialFailed, TrialPruned
from sweep.lifecycle.journal import JOURNAL_NAME

THREE = (FilesRemoved(0), TrialFailed(1, "größer als\nzwei Zeilen"), TrialPruned(2, 4, None, ""))


def ticking(start: float = 1000.5) -> Callable[[], float]:
    times = iter(range(10_000))
    return lambda: start + next(times)


def write(directory: Path, events: tuple[object, ...] = THREE) -> Path:
    with Journal(directory, now=ticking()) as journal:
        for event in events:
            journal.append(event)
    return directory / JOURNAL_NAME


def test_what_was_appended_is_read_back_with_sequence_and_time(tmp_path):
    write(tmp_path / "a" / "new" / "folder")
    assert read_journal(tmp_path / "a" / "new" / "folder") == tuple(
        Record(i, 1000.5 + i, event) for i, event in enumerate(THREE)
    )


@given(events=st.lists(any_event, max_size=5))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_events_are_returned_read_and_reopened_alike(tmp_path, events):
    directory = Path(tempfile.mkdtemp(dir=tmp_path))
    with Journal(directory, now=ticking()) as journal:
        appended = tuple(journal.append(event) for event in events)
    assert read_journal(directory) == appended
    with Journal(directory) as again:
        assert again.records == appended


def test_a_record_in_memory_equals_the_record_on_disk_even_for_tuples(tmp_path):
    with Journal(tmp_path) as journal:
        record = journal.append(TrialAdmitted(0, 1.5, {"interval_ms": (1.0, 2.0)}, {}))
    assert read_journal(tmp_path) == (record,)


def test_a_journal_goes_on_where_it_ended(tmp_path):
    write(tmp_path)
    with Journal(tmp_path, now=lambda: 2000.0) as journal:
        assert len(journal.records) == 3
        assert journal.append(FilesRemoved(7)) == Record(3, 2000.0, FilesRemoved(7))
    assert [record.sequence for record in read_journal(tmp_path)] == [0, 1, 2, 3]


def test_a_record_is_on_disk_as_a_whole_line_when_append_returns(tmp_path):
    with Journal(tmp_path, now=lambda: 2.0) as journal:
        for count in range(1, 4):
            journal.append(FilesRemoved(count))
            data = (tmp_path / JOURNAL_NAME).read_bytes()
            assert data.count(b"\n") == count
            assert data.endswith(b"\n")
            assert len(read_journal(tmp_path)) == count
    first = json.loads(data.split(b"\n")[0])
    assert first == {"sequence": 0, "time": 2.0, "event": "FilesRemoved", "trial": 1}


def test_a_record_is_synced_after_it_was_written_and_before_append_returns(tmp_path, monkeypatch):
    path = tmp_path / JOURNAL_NAME
    synced: list[bytes] = []
    with Journal(tmp_path, now=lambda: 2.0) as journal:
        monkeypatch.setattr(
            os, "fsync", lambda descriptor: synced.append(Path(f"/proc/self/fd/{descriptor}").read_bytes())
        )
        journal.append(FilesRemoved(0))
        monkeypatch.undo()
    assert synced == [path.read_bytes()]


def test_a_record_that_could_not_be_synced_did_not_happen(tmp_path, monkeypatch):
    def fail(descriptor: int) -> None:
        raise OSError(f"descriptor {descriptor}: input/output error")

    with Journal(tmp_path, now=lambda: 2.0) as journal:
        journal.append(FilesRemoved(0))
        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="input/output error"):
            journal.append(FilesRemoved(1))
        monkeypatch.undo()
        journal.append(FilesRemoved(2))
    assert [record.event for record in read_journal(tmp_path)] == [FilesRemoved(0), FilesRemoved(2)]


@pytest.mark.parametrize("reading", ["another process", "the next run"])
def test_a_line_cut_short_at_any_byte_is_dropped_and_nothing_else(tmp_path, reading):
    path = write(tmp_path)
    whole = path.read_bytes()
    records = read_journal(tmp_path)
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        expected = records[: sum(end <= length for end in ends)]
        if reading == "another process":
            assert read_journal(tmp_path) == expected
            assert path.read_bytes() == whole[:length]
        else:
            with Journal(tmp_path) as journal:
                assert journal.records == expected
            assert path.read_bytes() == whole[: max([0, *(end for end in ends if end <= length)])]


def test_after_a_torn_line_the_next_record_takes_its_place(tmp_path):
    path = write(tmp_path)
    path.write_bytes(path.read_bytes()[:-5])
    with Journal(tmp_path) as journal:
        journal.append(FilesRemoved(9))
    assert [record.event for record in read_journal(tmp_path)] == [*THREE[:2], FilesRemoved(9)]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"[1]",
        b'"text"',
        b"7",
        b"\x00\x00\x00",
        b"\xff\xfe",
        b"{}",
        b'{"sequence":1,"time":1.0}',
        b'{"sequence":1,"event":"FilesRemoved","trial":0}',
        b'{"sequence":1,"time":1.0,"event":"Unheard","trial":0}',
        b'{"sequence":1,"time":1.0,"event":["FilesRemoved"],"trial":0}',
        b'{"sequence":1,"time":1.0,"event":"FilesRemoved"}',
        b'{"sequence":1,"time":1.0,"event":"FilesRemoved","trial":NaN}',
        b'{"sequence":1,"time":1.0,"event":"FilesRemoved","trial":0,"more":0}',
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("opening", [read_journal, Journal], ids=["read", "open"])
def test_a_damaged_line_in_the_middle_is_an_error_naming_file_and_line(tmp_path, line, opening):
    path = write(tmp_path)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], line, *lines[2:]]))
    before = path.read_bytes()
    with pytest.raises(JournalError, match=r"journal\.jsonl: line 2 is damaged: "):
        opening(tmp_path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("kept", "line", "found"), [((0, 2), 2, 2), ((1, 2), 1, 1), ((0, 0), 2, 0), ((1, 0), 1, 1)]
)
def test_a_missing_doubled_or_swapped_line_is_an_error_naming_both_numbers(tmp_path, kept, line, found):
    path = write(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[i] for i in kept))
    with pytest.raises(JournalError, match=f"line {line} has sequence {found}; expected {line - 1}"):
        read_journal(tmp_path)


def test_a_journal_that_could_not_be_opened_can_be_opened_once_it_is_repaired(tmp_path):
    path = write(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(b"rubbish\n")
    with pytest.raises(JournalError):
        Journal(tmp_path)
    path.write_bytes(whole)
    with Journal(tmp_path) as journal:
        assert len(journal.records) == 3


def test_no_journal_is_an_error_naming_the_file(tmp_path):
    with pytest.raises(JournalError, match=r"journal\.jsonl: No such file or directory"):
        read_journal(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_none_are_refused_and_leave_no_trace(tmp_path, value):
    with Journal(tmp_path) as journal:
        journal.append(FilesRemoved(0))
        with pytest.raises(ValueError, match="not JSON compliant"):
            journal.append(TrialPruned(0, 1, value, ""))
        with pytest.raises(ValueError, match="not JSON compliant"):
            journal.append(TrialAdmitted(0, 1.0, {"deep": [{"value": value}]}, {}))
        journal.append(FilesRemoved(1))
    assert [record.event for record in read_journal(tmp_path)] == [FilesRemoved(0), FilesRemoved(1)]


OPEN_IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
from sweep.lifecycle import Journal, SweepLocked, read_journal
from sweep.lifecycle.events import FilesRemoved
directory = Path(sys.argv[1])
try:
    journal = Journal(directory)
except SweepLocked as error:
    print("locked:", error, len(read_journal(directory)))
else:
    journal.append(FilesRemoved(99))
    print("open", flush=True)
    sys.stdin.read()
"""


def in_another_process(directory: Path) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", OPEN_IN_ANOTHER_PROCESS, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )


def test_a_second_process_is_refused_but_may_read(tmp_path):
    with Journal(tmp_path) as journal:
        journal.append(FilesRemoved(0))
        output, _ = in_another_process(tmp_path).communicate()
        assert output == f"locked: {tmp_path} is in use by another process 1\n"
        journal.append(FilesRemoved(1))
    output, _ = in_another_process(tmp_path).communicate("")
    assert output == "open\n"


def test_the_lock_of_a_killed_process_is_free_and_its_records_are_there(tmp_path):
    other = in_another_process(tmp_path)
    assert other.stdout is not None
    assert other.stdout.readline() == "open\n"
    with pytest.raises(SweepLocked):
        Journal(tmp_path)
    other.kill()
    other.communicate()
    with Journal(tmp_path) as journal:
        assert [record.event for record in journal.records] == [FilesRemoved(99)]


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Writes beyond ``size`` bytes fail half-way, as on a disk that is full (Python ignores SIGXFSZ)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 1, 30, 70])
def test_a_full_disk_leaves_whole_records_and_the_journal_goes_on_later(tmp_path, room):
    with Journal(tmp_path, now=lambda: 5.0) as journal:
        journal.append(FilesRemoved(0))
        size = (tmp_path / JOURNAL_NAME).stat().st_size
        with (
            files_limited_to(size + room),
            pytest.raises(OSError, match=r"bytes were written|File too large"),
        ):
            journal.append(TrialFailed(1, "y" * 200))
        assert read_journal(tmp_path) == (Record(0, 5.0, FilesRemoved(0)),)
        assert (tmp_path / JOURNAL_NAME).stat().st_size == size
        journal.append(FilesRemoved(2))
    assert read_journal(tmp_path) == (Record(0, 5.0, FilesRemoved(0)), Record(1, 5.0, FilesRemoved(2)))
