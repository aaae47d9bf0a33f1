"""The journal: an append-only file of JSON lines, the only truth about a sweep.

A record is on disk (fsync) before anybody acts on it. A line that a crash cut short was never acknowledged,
so it is dropped when the journal is opened for writing; damage anywhere else is an error, never skipped.
"""

import fcntl
import json
import os
import time as clock
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from sweep.lifecycle.events import Event, from_json, to_json

JOURNAL_NAME = "journal.jsonl"
LOCK_NAME = "sweep.lock"


class JournalError(Exception):
    """The journal cannot be read; the message names file and line."""


class SweepLocked(Exception):
    """Another process is running this sweep."""


@dataclass(frozen=True)
class Record:
    """One line of the journal; ``sequence`` counts from 0, ``time`` is in seconds since the epoch."""

    sequence: int
    time: float
    event: Event


def read_journal(directory: Path) -> tuple[Record, ...]:
    """All whole records of the sweep in ``directory``; safe while another process appends.

    Raises:
        JournalError: no journal there, or a damaged line.
    """
    path = directory / JOURNAL_NAME
    try:
        data = path.read_bytes()
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}") from None
    return tuple(_parse(path, data))


def _parse(path: Path, data: bytes) -> Iterator[Record]:
    lines = data.split(b"\n")
    for sequence, line in enumerate(lines[:-1]):  # what follows the last newline was never acknowledged
        try:
            found, time, event = _parse_line(line)
        except (ValueError, KeyError, RecursionError) as error:
            raise JournalError(f"{path}: line {sequence + 1} is damaged: {error}") from None
        if found != sequence:
            raise JournalError(f"{path}: line {sequence + 1} has sequence {found}; expected {sequence}")
        yield Record(sequence, time, event)


def _parse_line(line: bytes) -> tuple[int, float, Event]:
    raw = json.loads(line, parse_constant=_refuse_constant)
    if not isinstance(raw, dict):
        raise ValueError(f"not a JSON object but {type(raw).__name__}")
    return raw.pop("sequence"), raw.pop("time"), from_json(raw)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


class Journal:
    """The journal of one sweep, open for appending by one process at a time."""

    def __init__(self, directory: Path, now: Callable[[], float] = clock.time) -> None:
        """Open or create the journal in ``directory``, which is created if needed.

        Raises:
            SweepLocked: another process has it open.
            JournalError: a damaged line.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / JOURNAL_NAME
        self._now = now
        self._lock = (directory / LOCK_NAME).open("a+")
        if not _locks(self._lock):
            self._lock.close()
            raise SweepLocked(f"{directory} is in use by another process")
        try:
            self._file = self._path.open("ab", buffering=0)
            self.records = self._recover()
        except BaseException:
            self._lock.close()
            raise
        self._next = len(self.records)
        _sync_directory(directory)

    def append(self, event: Event) -> Record:
        """Write ``event`` durably and return its record, as `read_journal` will return it.

        Raises:
            ValueError: a number is NaN or infinite; nothing was written.
            OSError: the disk is full or gone; the journal then still ends on a whole record.
        """
        fields = {"sequence": self._next, "time": self._now(), **to_json(event)}
        line = json.dumps(fields, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        record = Record(*_parse_line(line))  # what a replay will see, where a tuple went in, say
        whole = self._path.stat().st_size
        try:
            written = self._file.write(line)
            if written != len(line):
                raise OSError(f"{self._path}: only {written} of {len(line)} bytes were written")
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(whole)
            raise
        self._next += 1
        return record

    def close(self) -> None:
        """Close the file and release the lock."""
        self._file.close()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _recover(self) -> tuple[Record, ...]:
        data = self._path.read_bytes()
        whole = data.rfind(b"\n") + 1
        records = tuple(_parse(self._path, data[:whole]))
        if whole != len(data):
            self._file.truncate(whole)
            os.fsync(self._file.fileno())
        return records


def _locks(file: IO[str]) -> bool:
    """Take the lock, unless a process keeps it. Who only asks whether it is held has it for microseconds."""
    for pause_s in (0.02, 0.1, None):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if pause_s is not None:
                clock.sleep(pause_s)
        else:
            return True
    return False


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
