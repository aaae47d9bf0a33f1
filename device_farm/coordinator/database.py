"""The coordinator's durable memory: one SQLite file, written in groups and never ahead of the disk.

``commit`` makes a group of records durable in one transaction (write-ahead log, ``synchronous=FULL``: the
disk has it when ``commit`` returns). It is called from one thread at a time; the reading methods have a
connection of their own and may be called from another.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, assert_never

from device_farm import convert
from device_farm.coordinator.answers import key_of_answer
from device_farm.coordinator.records import (
    AnswersTainted,
    AttemptEnded,
    DeviceForgotten,
    DeviceKnown,
    Ending,
    JobAccepted,
    JobEnded,
    LeaseGranted,
    Record,
    Snapshot,
    UnfinishedJob,
)
from device_farm.jobs import Job, JobOutcome, Queued, Running, describe
from device_farm.types import STANDINGS, JobRecord, Measurement, NoSuchJob, StoryEntry

SCHEMA_VERSION = 1
KEPT_JOBS = 100_000  # finished jobs that are remembered
BUSY_TIMEOUT_SECONDS = 30.0

SCHEMA = """
CREATE TABLE jobs (
    job_id TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL UNIQUE,
    job BLOB NOT NULL,
    submitted_at REAL NOT NULL,
    state TEXT NOT NULL,
    attempts TEXT NOT NULL DEFAULT '{}',
    tried TEXT NOT NULL DEFAULT '[]',
    token INTEGER,
    device_id TEXT,
    outcome BLOB
) STRICT;
CREATE INDEX unfinished_jobs ON jobs (sequence) WHERE outcome IS NULL;
CREATE TABLE story (job_id TEXT NOT NULL, at REAL NOT NULL, text TEXT NOT NULL) STRICT;
CREATE INDEX story_of_job ON story (job_id);
CREATE TABLE devices (
    device_id TEXT PRIMARY KEY,
    registration BLOB NOT NULL,
    standing TEXT NOT NULL,
    standing_reason TEXT NOT NULL,
    baselines_ms TEXT NOT NULL
) STRICT;
CREATE TABLE answers (key BLOB PRIMARY KEY, job_id TEXT NOT NULL) STRICT;
CREATE INDEX answers_of_job ON answers (job_id);
CREATE TABLE models (sha256 TEXT PRIMARY KEY, data BLOB NOT NULL) STRICT;
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
INSERT INTO counters VALUES ('token', 0), ('sequence', 0);
"""


class UnreadableState(Exception):
    """The state folder holds no database that this version can use."""


@dataclass(frozen=True)
class ModelStored:
    """A small model file, kept in the database beside the job that brought it."""

    sha256: str
    data: bytes


@dataclass(frozen=True)
class KeptJob:
    """A job that the database knows; ``outcome`` is None while it is unfinished."""

    job: Job
    outcome: JobOutcome | None


class Database:
    """The file at ``path``, made if it is absent.

    Raises:
        UnreadableState: it is no database, or one of another version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._writer = _connect(path)
            self._reader = _connect(path)
            _prepare(self._writer, path)
        except sqlite3.DatabaseError as error:
            raise UnreadableState(f"{path}: {error}; move it away to start afresh") from None

    def close(self) -> None:
        self._reader.close()
        self._writer.close()

    # Writing

    def commit(self, group: Sequence[Record | ModelStored], at: float) -> None:
        """Makes the records durable, all or none; ``at`` (seconds since the epoch) dates their stories.

        Raises:
            sqlite3.Error: the disk is full or broken; nothing of the group is kept, and it may be tried again.
        """
        with closing(self._writer.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            try:
                for record in group:
                    _write(cursor, record, at)
                cursor.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    cursor.execute("ROLLBACK")
                raise

    def forget_old(self, live_models: Iterable[str], keep: int = KEPT_JOBS) -> None:
        """Drops finished jobs but the last ``keep``, with all that hangs on them, and models of no such job."""
        with closing(self._writer.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            old = "SELECT job_id FROM jobs WHERE outcome IS NOT NULL ORDER BY sequence DESC LIMIT -1 OFFSET ?"
            for table in ("story", "answers", "jobs"):
                cursor.execute(f"DELETE FROM {table} WHERE job_id IN ({old})", (keep,))
            cursor.execute(
                "DELETE FROM models WHERE sha256 NOT IN (SELECT value FROM json_each(?)) "
                "AND rowid NOT IN (SELECT rowid FROM models ORDER BY rowid DESC LIMIT ?)",
                (json.dumps(sorted(live_models)), keep),
            )
            cursor.execute("COMMIT")

    # Reading

    def snapshot(self) -> Snapshot:
        """What the scheduler goes on from."""
        counters = dict(self._reader.execute("SELECT name, value FROM counters").fetchall())
        devices = self._reader.execute(
            "SELECT registration, standing, standing_reason, baselines_ms FROM devices ORDER BY device_id"
        )
        jobs = self._reader.execute(
            "SELECT job, sequence, attempts, tried, token, device_id FROM jobs WHERE outcome IS NULL "
            "ORDER BY sequence"
        )
        return Snapshot(
            devices=tuple(_device(row) for row in devices),
            jobs=tuple(_unfinished(row) for row in jobs),
            last_token=counters["token"],
            last_sequence=counters["sequence"],
        )

    def job_ids(self) -> set[str]:
        """The ids of all jobs that are remembered."""
        return {job_id for (job_id,) in self._reader.execute("SELECT job_id FROM jobs")}

    def find_job(self, job_id: str) -> KeptJob | None:
        """The job with exactly this id."""
        row = self._reader.execute("SELECT job, outcome FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
        if row is None:
            return None
        job, outcome = row
        return KeptJob(convert.job_from_bytes(job), None if outcome is None else _outcome(outcome))

    def job_record(self, job_id: str) -> JobRecord:
        """The job with this id, or with the one id that begins so, and its story.

        Raises:
            NoSuchJob: there is none, or there are several.
        """
        rows = self._reader.execute(
            f"SELECT {_RECORD_COLUMNS} FROM jobs WHERE job_id >= ? AND job_id < ? ORDER BY job_id LIMIT 2",
            (job_id, job_id + "\U0010ffff"),
        ).fetchall()
        exact = [row for row in rows if row[0] == job_id]
        if len(exact or rows) != 1:
            raise NoSuchJob(f"{'several jobs begin' if rows else 'no job begins'} with {job_id!r}")
        record = _record((exact or rows)[0])
        story = self._reader.execute(
            "SELECT at, text FROM story WHERE job_id = ? ORDER BY rowid", (record.job_id,)
        )
        return replace(record, story=tuple(StoryEntry(at, text) for at, text in story))

    def job_records(self, limit: int) -> tuple[JobRecord, ...]:
        """The jobs submitted last, newest first, without their stories."""
        rows = self._reader.execute(
            f"SELECT {_RECORD_COLUMNS} FROM jobs ORDER BY sequence DESC LIMIT ?", (limit,)
        )
        return tuple(_record(row) for row in rows)

    def answer(self, keys: Iterable[bytes]) -> Measurement | None:
        """The newest measurement that is kept under one of the keys."""
        found = list(keys)
        marks = ", ".join("?" * len(found))
        row = self._reader.execute(
            f"SELECT outcome FROM jobs WHERE job_id IN (SELECT job_id FROM answers WHERE key IN ({marks})) "
            "ORDER BY sequence DESC LIMIT 1",
            found,
        ).fetchone()
        if row is None:
            return None
        measurement = _outcome(row[0])
        assert isinstance(measurement, Measurement)  # nothing else is kept as an answer
        return replace(measurement, cached=True)

    def model(self, sha256: str) -> bytes | None:
        """A small model file."""
        row = self._reader.execute("SELECT data FROM models WHERE sha256 = ?", (sha256,)).fetchone()
        return None if row is None else bytes(row[0])


_RECORD_COLUMNS = "job_id, state, submitted_at, job, outcome"


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0:
        connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    elif version != SCHEMA_VERSION:
        raise UnreadableState(
            f"{path}: written by another version (schema {version}, this one reads {SCHEMA_VERSION}); "
            "move it away to start afresh"
        )


def _write(cursor: sqlite3.Cursor, record: Record | ModelStored, at: float) -> None:
    match record:
        case ModelStored(sha256, data):
            cursor.execute("INSERT OR IGNORE INTO models VALUES (?, ?)", (sha256, data))
        case JobAccepted(job, sequence):
            cursor.execute(
                "INSERT INTO jobs (job_id, sequence, job, submitted_at, state) VALUES (?, ?, ?, ?, 'queued')",
                (job.job_id, sequence, convert.job_to_bytes(job), at),
            )
            cursor.execute("UPDATE counters SET value = ? WHERE name = 'sequence'", (sequence,))
            _tell(cursor, job.job_id, at, f"submitted for {describe(job.target)}, priority {job.priority}")
        case LeaseGranted(job_id, token, device_id, device_name):
            cursor.execute(
                "UPDATE jobs SET state = 'running', token = ?, device_id = ?, "
                "tried = json_insert(tried, '$[#]', ?) WHERE job_id = ?",
                (token, device_id, device_id, job_id),
            )
            cursor.execute("UPDATE counters SET value = ? WHERE name = 'token'", (token,))
            _tell(cursor, job_id, at, f"leased to {device_name} under token {token}")
        case AttemptEnded(job_id, token, ending, reason):
            cursor.execute(
                "UPDATE jobs SET state = 'queued', token = NULL, device_id = NULL, "
                "attempts = json_set(attempts, ?, coalesce(json_extract(attempts, ?), 0) + 1) "
                "WHERE job_id = ?",
                (f"$.{ending}", f"$.{ending}", job_id),
            )
            _tell(cursor, job_id, at, f"attempt under token {token} ended ({ending}): {reason}")
        case JobEnded(job_id, outcome, device_id):
            _end(cursor, job_id, outcome, device_id, at)
        case DeviceKnown(registration, standing, standing_reason, baselines_ms):
            cursor.execute(
                "INSERT OR REPLACE INTO devices VALUES (?, ?, ?, ?, ?)",
                (
                    registration.device_id,
                    convert.registration_to_bytes(registration),
                    standing,
                    standing_reason,
                    json.dumps(dict(baselines_ms)),
                ),
            )
        case DeviceForgotten(device_id):
            cursor.execute("DELETE FROM devices WHERE device_id = ?", (device_id,))
        case AnswersTainted(_, job_ids, reason):
            for job_id in job_ids:
                cursor.execute("DELETE FROM answers WHERE job_id = ?", (job_id,))
                _tell(cursor, job_id, at, f"its measurement answers no other job: {reason}")
        case never:
            assert_never(never)


def _end(cursor: sqlite3.Cursor, job_id: str, outcome: JobOutcome, device_id: str, at: float) -> None:
    state, text = _in_words(outcome)
    cursor.execute(
        "UPDATE jobs SET state = ?, token = NULL, device_id = ?, outcome = ? WHERE job_id = ? RETURNING job",
        (state, device_id or None, convert.update_to_bytes(outcome), job_id),
    )
    (job,) = cursor.fetchone()
    _tell(cursor, job_id, at, text)
    if isinstance(outcome, Measurement):
        key = key_of_answer(convert.job_from_bytes(job), outcome)
        if key is not None:
            cursor.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, job_id))


def _in_words(outcome: JobOutcome) -> tuple[str, str]:
    """The state of a job that ended so, and a text for its story."""
    if isinstance(outcome, Measurement):
        source = "answered from an earlier job" if outcome.cached else f"measured on {outcome.device_name}"
        return "measured", f"{source}: {outcome.latency_ms:.4g} ms"
    state = {"NoDevice": "no device"}.get(type(outcome).__name__, type(outcome).__name__.lower())
    return state, f"{state}: {outcome.message}"


def _tell(cursor: sqlite3.Cursor, job_id: str, at: float, text: str) -> None:
    cursor.execute("INSERT INTO story VALUES (?, ?, ?)", (job_id, at, text))


def _outcome(data: bytes) -> JobOutcome:
    update = convert.update_from_bytes(data)
    assert not isinstance(update, Queued | Running)  # only outcomes are kept
    return update


def _device(row: tuple[Any, ...]) -> DeviceKnown:
    registration, standing, reason, baselines_ms = row
    known = next(entry for entry in STANDINGS if entry == standing)
    return DeviceKnown(convert.registration_from_bytes(registration), known, reason, json.loads(baselines_ms))


def _unfinished(row: tuple[Any, ...]) -> UnfinishedJob:
    job, sequence, attempts, tried, token, device_id = row
    counts: dict[Ending, int] = json.loads(attempts)
    return UnfinishedJob(
        convert.job_from_bytes(job), sequence, counts, frozenset(json.loads(tried)), token, device_id
    )


def _record(row: tuple[Any, ...]) -> JobRecord:
    job_id, state, submitted_at, job_bytes, outcome_bytes = row
    job = convert.job_from_bytes(job_bytes)
    outcome = None if outcome_bytes is None else _outcome(outcome_bytes)
    latency_ms, message = None, ""
    if isinstance(outcome, Measurement):
        latency_ms = outcome.latency_ms
    elif outcome is not None:
        message = outcome.message
    return JobRecord(
        job_id=job_id,
        state=state,
        submitted_at=submitted_at,
        model_sha256=job.model_sha256,
        target=job.target,
        priority=job.priority,
        latency_ms=latency_ms,
        message=message,
    )
