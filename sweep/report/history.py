"""A sweep's journal as its observers need it: the state, and what the state forgets on the way."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from sweep.lifecycle import Event, IllegalEvent, JournalError, Record, SweepState, fold, read_journal
from sweep.lifecycle.events import (
    AttemptEnded,
    AttemptStarted,
    EpochTrained,
    Json,
    SweepEnded,
    SweepResumed,
    SweepStarted,
    from_json,
)
from sweep.lifecycle.journal import JOURNAL_NAME
from sweep.report.endings import trials_over

UNREADABLE: Final = (
    JournalError,
    IllegalEvent,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""What reading a damaged journal may raise: lines that are no records, or records that make no sense."""

_ENDINGS: Final = {"finished": "finished", "time": "out of time", "stopped": "stopped", "error": "error"}


@dataclass(frozen=True)
class SweepHistory:
    """A sweep's state and its counts so far; times are in seconds since the epoch.

    Attributes:
        settings: of the latest run.
        run_at: when the latest run announced itself.
        done_before: trials that had ended when it did, see `done`.
        attempts: attempts started; ``lost`` and ``crashed`` are how some of them ended.
        epochs: epochs trained, all trials together.
        training_s: seconds that these took, each on the GPU (or the CPUs) of one attempt.
    """

    state: SweepState = field(default_factory=SweepState)
    settings: Mapping[str, Json] = field(default_factory=dict)
    first_at: float | None = None
    last_at: float | None = None
    run_at: float | None = None
    done_before: int = 0
    attempts: int = 0
    lost: int = 0
    crashed: int = 0
    epochs: int = 0
    training_s: float = 0.0

    @property
    def done(self) -> int:
        """Trials that ended, without those that admission stopped: what the number of trials counts."""
        return trials_over(self.state)

    @property
    def wanted(self) -> int | None:
        """How many trials may be tried, later additions included; None: no limit."""
        limit = self.settings.get("trials")
        return None if limit is None else int(limit) + self.state.trials_added

    def after(self, record: Record) -> "SweepHistory":
        """The history with one more record.

        Raises:
            IllegalEvent: it cannot happen now.
        """
        state = fold(self.state, record.event, record.time)
        first_at = record.time if self.first_at is None else self.first_at
        return replace(self._counted(record), state=state, first_at=first_at, last_at=record.time)

    def _counted(self, record: Record) -> "SweepHistory":
        match record.event:
            case SweepStarted(settings=settings) | SweepResumed(settings=settings):
                return replace(self, settings=settings, run_at=record.time, done_before=self.done)
            case AttemptStarted():
                return replace(self, attempts=self.attempts + 1)
            case AttemptEnded(outcome="lost"):
                return replace(self, lost=self.lost + 1)
            case AttemptEnded(outcome="crashed"):
                return replace(self, crashed=self.crashed + 1)
            case EpochTrained(seconds=seconds):
                return replace(self, epochs=self.epochs + 1, training_s=self.training_s + seconds)
            case _:
                return self


def history_of(records: Iterable[Record]) -> SweepHistory:
    """The history that ``records``, a journal from its beginning, add up to."""
    history = SweepHistory()
    for record in records:
        history = history.after(record)
    return history


def condition(history: SweepHistory, running: bool) -> str:
    """What the sweep does, in a word or two.

    ``running``, ``finished``, ``out of time``, ``stopped`` or ``error`` (as it ended); ``died``: nobody runs it,
    and it never came to its end; ``starting``, ``never started``: its journal is empty.
    """
    if history.state.started is None:
        return "starting" if running else "never started"
    if running:
        return "running"
    ended: SweepEnded | None = history.state.ended
    return _ENDINGS[ended.reason] if ended else "died"


class Follower:
    """Follows a journal that another process writes, reading only what is new."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read_bytes = 0
        self._records = 0
        self._history = SweepHistory()

    def update(self) -> SweepHistory:
        """The history by now; the same object while the journal has not grown.

        Raises:
            JournalError: no journal there, or a damaged line.
            IllegalEvent: a record that cannot be.
        """
        path = self._directory / JOURNAL_NAME
        try:
            size = path.stat().st_size
            if size > self._read_bytes:
                self._advance(path)
            elif size < self._read_bytes:  # its writer took back a line that it could not make durable
                self._start_again()
        except (OSError, *UNREADABLE):
            self._start_again()  # which is right, or says what is wrong and where
        return self._history

    def _advance(self, path: Path) -> None:
        with path.open("rb") as file:
            file.seek(self._read_bytes)
            data = file.read()
        whole = data.rfind(b"\n") + 1
        history, count = self._history, self._records
        for line in data[:whole].split(b"\n")[:-1]:
            history = history.after(_record(line, count))
            count += 1
        self._history, self._records = history, count
        self._read_bytes += whole

    def _start_again(self) -> None:
        records = read_journal(self._directory)
        self._history = history_of(records)
        self._read_bytes, self._records = 0, 0
        if records:  # the next look begins where the last whole record ends
            data = (self._directory / JOURNAL_NAME).read_bytes()
            lines = data.split(b"\n")[: len(records)]
            self._read_bytes, self._records = sum(map(len, lines)) + len(lines), len(records)


def _record(line: bytes, sequence: int) -> Record:
    fields = json.loads(line)
    if fields.pop("sequence") != sequence:
        raise ValueError(f"expected sequence {sequence}")
    time = fields.pop("time")
    event: Event = from_json(fields)
    return Record(sequence, time, event)
