"""The coordinator's database: what it keeps, what it forgets, and what a full disk does to it."""

import resource
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from farm_reports import introduction, job, report

from device_farm.coordinator.acceptance import accept_report
from device_farm.coordinator.answers import answer_key
from device_farm.coordinator.database import Database, KeptJob, ModelStored, UnreadableState
from device_farm.coordinator.matchmaking import Place
from device_farm.coordinator.records import (
    AnswersTainted,
    AttemptEnded,
    DeviceForgotten,
    DeviceKnown,
    JobAccepted,
    JobEnded,
    LeaseGranted,
    Snapshot,
    UnfinishedJob,
)
from device_farm.jobs import Cancelled, Failed, Infeasible, NoDevice, device_id_of
from device_farm.types import JobRecord, NoSuchJob, StoryEntry

DEVICE = introduction("d1").registration
D1 = device_id_of("d1")
MEASUREMENT = accept_report(report(), job("a"), DEVICE)
PLACE = Place("raspberrypi-4b", False, "generic", "tflite-2.14.0", "2.14.0")


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "farm.db"


@pytest.fixture
def database(path):
    database = Database(path)
    yield database
    database.close()


def reopened(path: Path) -> Database:
    return Database(path)


def test_a_new_database_is_empty(database):
    assert database.snapshot() == Snapshot()
    assert database.job_records(10) == ()


def test_what_was_committed_is_what_a_restart_finds(database, path):
    known = DeviceKnown(DEVICE, "draining", "new fan", {"tflite-2.14.0/xnnpack": 1.5})
    database.commit(
        [
            known,
            JobAccepted(job("a"), 1),
            JobAccepted(job("b", priority=3, detached=True), 2),
            LeaseGranted("a", 1, D1, "board-d1"),
            AttemptEnded("a", 1, "failure", "flaky"),
            LeaseGranted("a", 2, D1, "board-d1"),
            LeaseGranted("b", 3, D1, "board-d1"),
            JobEnded("b", Failed("broken")),
        ],
        at=100.0,
    )
    waiting = UnfinishedJob(job("a"), 1, {"failure": 1}, frozenset({D1}), 2, D1)
    for found in (database, reopened(path)):
        assert found.snapshot() == Snapshot((known,), (waiting,), last_token=3, last_sequence=2)
        assert found.find_job("b") == KeptJob(job("b", priority=3, detached=True), Failed("broken"))


@pytest.mark.parametrize(
    ("outcome", "state", "latency_ms", "message", "told"),
    [
        (MEASUREMENT, "measured", 3.5, "", "measured on board-d1: 3.5 ms"),
        (replace(MEASUREMENT, cached=True), "measured", 3.5, "", "answered from an earlier job: 3.5 ms"),
        (Infeasible("no such op"), "infeasible", None, "no such op", "infeasible: no such op"),
        (Failed("broken"), "failed", None, "broken", "failed: broken"),
        (NoDevice("none"), "no device", None, "none", "no device: none"),
        (Cancelled("enough"), "cancelled", None, "enough", "cancelled: enough"),
    ],
)
def test_a_job_is_told_with_its_whole_story(database, outcome, state, latency_ms, message, told):
    database.commit([JobAccepted(job("a"), 1), LeaseGranted("a", 1, D1, "board-d1")], at=100.0)
    database.commit([AttemptEnded("a", 1, "invalid", "it was hot")], at=101.0)
    database.commit([JobEnded("a", outcome, D1)], at=102.0)
    story = (
        StoryEntry(100.0, "submitted for 1 thread, delegate xnnpack, priority 0"),
        StoryEntry(100.0, "leased to board-d1 under token 1"),
        StoryEntry(101.0, "attempt under token 1 ended (invalid): it was hot"),
        StoryEntry(102.0, told),
    )
    expected = JobRecord("a", state, 100.0, "ab" * 32, job("a").target, 0, latency_ms, message, story)
    assert database.job_record("a") == expected
    assert database.job_records(10) == (replace(expected, story=()),)


def test_the_last_jobs_are_listed_newest_first(database):
    database.commit([JobAccepted(job(f"j{index}"), index) for index in range(1, 6)], at=1.0)
    assert [record.job_id for record in database.job_records(3)] == ["j5", "j4", "j3"]


def test_a_job_is_found_by_the_beginning_of_its_id_if_that_is_clear(database):
    database.commit(
        [JobAccepted(job(name), number) for number, name in enumerate(["abc", "abd", "ab"])], at=1.0
    )
    assert database.job_record("abc").job_id == "abc"
    assert database.job_record("ab").job_id == "ab"  # an exact id, though others begin so
    database.commit([JobAccepted(job("xyz"), 9)], at=1.0)
    assert database.job_record("x").job_id == "xyz"
    with pytest.raises(NoSuchJob, match="no job begins with 'q'"):
        database.job_record("q")
    with pytest.raises(NoSuchJob, match="several jobs begin with 'a'"):
        database.job_record("a")


def test_a_measurement_answers_later_jobs_of_the_same_question_only(database):
    database.commit([JobAccepted(job("a"), 1), JobEnded("a", MEASUREMENT, D1)], at=1.0)
    assert database.answer([answer_key(job("z"), PLACE)]) == replace(MEASUREMENT, cached=True)
    others = [
        answer_key(job(model_sha256="cd" * 32), PLACE),
        answer_key(job(settings=replace(job().settings, interval_width=0.02)), PLACE),
        answer_key(job(target=replace(job().target, threads=4)), PLACE),
        answer_key(job(target=replace(job().target, delegate="none")), PLACE),
        answer_key(job(), replace(PLACE, device_class="raspberrypi-5b")),
        answer_key(job(), replace(PLACE, runtime_version="2.15.0")),
        answer_key(job(), replace(PLACE, emulated=True)),
    ]
    assert database.answer(others) is None
    assert database.answer([]) is None


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (job("a"), replace(MEASUREMENT, stable=False, interval_ms=None)),
        (job("a"), replace(MEASUREMENT, cached=True)),
        (job("a", profile_operators=True), MEASUREMENT),
        (job("a"), Infeasible("bad")),
    ],
)
def test_some_outcomes_answer_no_other_job(database, asked, answered):
    database.commit([JobAccepted(asked, 1), JobEnded("a", answered, D1)], at=1.0)
    assert database.answer([answer_key(asked, PLACE)]) is None


def test_answers_of_a_drifting_device_are_withdrawn(database):
    database.commit([JobAccepted(job("a"), 1), JobEnded("a", MEASUREMENT, D1)], at=1.0)
    database.commit([AnswersTainted(D1, ("a",), "the reference model takes 2 times as long")], at=2.0)
    assert database.answer([answer_key(job(), PLACE)]) is None
    assert database.find_job("a").outcome == MEASUREMENT
    assert database.job_record("a").story[-1] == StoryEntry(
        2.0, "its measurement answers no other job: the reference model takes 2 times as long"
    )


def test_a_device_that_is_forgotten_is_gone(database):
    database.commit([DeviceKnown(DEVICE)], at=1.0)
    database.commit([DeviceForgotten(D1)], at=2.0)
    assert database.snapshot().devices == ()


def test_old_finished_jobs_are_forgotten_with_all_that_hangs_on_them(database):
    records = [JobAccepted(job(f"j{index}", model_sha256=f"{index:064x}"), index) for index in range(6)]
    database.commit([ModelStored(f"{index:064x}", b"model") for index in range(6)] + records, at=1.0)
    database.commit([JobEnded(f"j{index}", MEASUREMENT, D1) for index in range(1, 6)], at=2.0)
    database.forget_old({f"{0:064x}"}, keep=2)
    assert [record.job_id for record in database.job_records(10)] == ["j5", "j4", "j0"]
    kept = [index for index in range(6) if database.model(f"{index:064x}") is not None]
    assert kept == [0, 4, 5]
    with pytest.raises(NoSuchJob):
        database.job_record("j1")


def test_a_group_is_kept_whole_or_not_at_all(database):
    broken = [JobAccepted(job("b"), 2), JobAccepted(job("c"), 2)]  # one number for two jobs
    with pytest.raises(sqlite3.IntegrityError):
        database.commit(broken, at=1.0)
    assert database.find_job("b") is None
    database.commit([JobAccepted(job("b"), 2)], at=1.0)
    assert database.find_job("b") is not None


def test_a_disk_that_is_full_keeps_nothing_of_the_group_and_takes_it_later(database, path):
    """The largest size that a file may have stands for the disk: SQLite's writes fail with an I/O error."""
    database.commit([JobAccepted(job("a"), 1)], at=1.0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    group = [ModelStored("cd" * 32, bytes(4_000_000)), JobAccepted(job("b"), 2)]
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.raises(sqlite3.OperationalError):
            database.commit(group, at=2.0)
        assert database.find_job("b") is None
        assert database.find_job("a") is not None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    database.commit(group, at=3.0)
    assert len(reopened(path).model("cd" * 32)) == 4_000_000


def test_a_file_that_is_no_database_is_named(path):
    path.write_bytes(b"these are not the bytes that you are looking for" * 100)
    with pytest.raises(UnreadableState, match=r"farm\.db: file is not a database; move it away"):
        Database(path)


@pytest.mark.usefixtures("database")
def test_a_database_of_another_version_is_left_alone(path):
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(UnreadableState, match="another version"):
        Database(path)
